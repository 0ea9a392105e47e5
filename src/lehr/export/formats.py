"""Formats of exports: one value each, from which the command, its messages and the documentation read what one is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from lehr.errors import InputError, did_you_mean
from lehr.runtime.installing import how_to_install


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format of exports.

    Attributes:
        name: as `--format` takes it.
        title: as people call it.
        suffix: what the name of its file, or folder, ends with.
        folder: whether it is a folder of several files.
        extra: the extra of Lehr that installs what it needs; empty if nothing more is needed.
        packages: what must be importable to write it.
        writer: the function that writes it, or where it is, "package.module:function": it takes the model, the file or
            the empty folder, the options and the description.
        dynamic: whether it takes any batch and size.
        half: whether it can compute in float16.
        int8: whether it can compute in int8.
        nms: whether suppression can be part of it.
    """

    name: str
    title: str
    suffix: str
    folder: bool
    extra: str
    packages: tuple[str, ...]
    writer: str | Callable[..., None]
    dynamic: bool = True
    half: bool = True
    int8: bool = False
    nms: bool = False

    def require(self) -> None:
        """Check that what it needs is installed.

        Raises:
            InputError: it is not, with the way to install it.
        """
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            what = "is" if len(missing) == 1 else "are"
            raise InputError(
                f"--format {self.name}: {', '.join(missing)} {what} not installed. {how_to_install(self.extra)}"
            )


ONNX = ExportFormat(
    "onnx",
    "ONNX",
    ".onnx",
    folder=False,
    extra="onnx",
    packages=("onnx", "onnxscript"),
    writer="lehr.export.onnx:write_onnx",
    nms=True,
)
OPENVINO = ExportFormat(
    "openvino",
    "OpenVINO",
    "_openvino",
    folder=True,
    extra="openvino",
    packages=("onnx", "onnxscript", "openvino", "nncf"),
    writer="lehr.export.openvino:write_openvino",
    int8=True,
    nms=True,
)
TORCH = ExportFormat(
    "torch",
    "torch programs",
    ".pt2",
    folder=False,
    extra="",
    packages=(),
    writer="lehr.export.torch_program:write_torch_program",
)
EXECUTORCH = ExportFormat(
    "executorch",
    "ExecuTorch",
    ".pte",
    folder=False,
    extra="executorch",
    packages=("executorch",),
    writer="lehr.export.executorch:write_executorch",
    dynamic=False,
    half=False,
)
COREML = ExportFormat(
    "coreml",
    "Core ML",
    ".mlpackage",
    folder=True,
    extra="coreml",
    packages=("coremltools",),
    writer="lehr.export.coreml:write_coreml",
    dynamic=False,
)
FORMATS = {each.name: each for each in (ONNX, OPENVINO, TORCH, EXECUTORCH, COREML)}
"""By name."""


def find_format(name: str) -> ExportFormat:
    """Return a format by its name.

    Raises:
        InputError: there is none of this name; with the nearest names.
    """
    found = FORMATS.get(name.lower())
    if found is None:
        raise InputError(f"--format {name}: there is no such format. {did_you_mean(name, FORMATS)}")
    return found
