"""Weights within an ONNX export of a detector, by the names that its convolutions keep."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lehr.models.detection import STRIDES
from lehr.runtime.counted import counted
from lehr.weights.published.contents import Contents, is_numbered, numbered
from lehr.weights.published.identify import layer_number
from lehr.weights.published.kinds import TASKS
from lehr.weights.published.onnx_file import (
    FLOAT,
    HALF,
    REMEDY,
    Convolution,
    OnnxFile,
    StoredTensor,
    read_onnx_file,
    shown,
)
from lehr.weights.published.stand_in import Refused, StandIn

ESCAPE = r"\\(?:[\\'\"ntr]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"
NAME = re.compile(rf"""\s*(?:(\d{{1,6}})\s*:\s*)?('(?:[^'\\\n]|{ESCAPE})*'|"(?:[^"\\\n]|{ESCAPE})*")\s*(?:,|\Z)""")
"""A class name in the metadata, as Python writes it, with its number or without."""
SIZES = re.compile(r"\s*[\[(]?\s*\d{1,6}(\s*,\s*\d{1,6})*\s*[\])]?\s*")
ACTIVATIONS = {"Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "HardSwish", "HardSigmoid", "Mish", "Gelu"}
"""Operators that a detector with SiLU does not have."""
QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger"}
ANCHOR_GRID = "anchor_grid"


def read_export(path: Path) -> Contents:
    """Read the weights of an ONNX export; nothing in it is computed.

    Raises:
        InputError: it cannot be read.
        Refused: it is damaged, or no weights of a detector can be found in it.
    """
    file = read_onnx_file(path)
    task = file.metadata.get("task", "detect").strip().lower()
    if task != "detect":
        raise Refused(f"{TASKS.get(task, f'is a model of the task {shown(task)}')}. {REMEDY}")
    _check_operators(file)
    layers = {_weight(each, file): _layer(each, file) for each in file.convolutions}
    named = {name: tensor for name, tensor in file.tensors.items() if is_numbered(name)}
    if not named:
        raise Refused(f"is an ONNX export without weights of layers that are numbered as YOLO's are. {REMEDY}")
    _check_used(named, layers, file)
    published = dict(zip(named, numbered(named), strict=True))
    tensors = {published[name]: tensor.read(name) for name, tensor in named.items() if ANCHOR_GRID not in name}
    return Contents(
        tensors | _anchors(file, tensors),
        {published[name].removesuffix(".weight"): layer for name, layer in layers.items()},
        entries=_entries(file, len(file.tensors) - len(named)),
        exported=True,
    )


def _check_operators(file: OnnxFile) -> None:
    """Refuse what is quantized, or has another activation than SiLU."""
    if file.operators & QUANTIZED:
        raise Refused(f"is a quantized ONNX export, whose weights are rounded to whole numbers. {REMEDY}")
    for other in sorted(file.operators & ACTIVATIONS):
        raise Refused(f"has the activation {other} in place of SiLU, which Lehr's detectors have. {REMEDY}")


def _weight(convolution: Convolution, file: OnnxFile) -> str:
    """The name of the weight of a convolution, which must be that of a layer.

    Raises:
        Refused: it is not, or its bias has no such name.
    """
    weight, *bias = convolution.inputs[1:3] or ("",)
    block = weight.removesuffix(".weight")
    if not (is_numbered(weight) and weight in file.tensors and block != weight):
        raise _optimised(weight, "weight")
    if bias and bias[0] and (bias[0] != f"{block}.bias" or bias[0] not in file.tensors):
        raise _optimised(bias[0], "bias")
    return weight


def _optimised(name: str, what: str) -> Refused:
    return Refused(
        f"is an ONNX export whose names were optimised away: the {what} of a convolution is named {shown(name)!r}, "
        f"which is of no layer. {REMEDY}"
    )


def _check_used(named: Mapping[str, StoredTensor], layers: Mapping[str, StandIn], file: OnnxFile) -> None:
    """Check that each weight of a layer's convolution belongs to one convolution of the graph.

    Raises:
        Refused: one belongs to none, or to several.
    """
    if len(layers) != len(file.convolutions):
        raise Refused(f"is an ONNX export with several convolutions of the same weights. {REMEDY}")
    for name, tensor in named.items():
        if name.endswith(".weight") and len(tensor.shape) == 4 and name not in layers:
            raise Refused(f"is an ONNX export whose {shown(name)} is used by no convolution. {REMEDY}")


def _layer(convolution: Convolution, file: OnnxFile) -> StandIn:
    """A convolution of a graph as a layer of a pickled model, whose settings are compared."""
    given = convolution.numbers
    shape = file.tensors[convolution.inputs[1]].shape if len(convolution.inputs) > 1 else ()
    padding: object = given.get("pads") or (0, 0)
    if isinstance(padding, tuple) and len(padding) == 4 and padding[:2] == padding[2:]:
        padding = padding[:2]
    settings = {
        "kernel_size": shape[2:],
        "stride": given.get("strides") or (1, 1),
        "padding": "auto_pad" if convolution.auto_pad else padding,
        "dilation": given.get("dilations") or (1, 1),
        "groups": (given.get("group") or (1,))[0],
        "padding_mode": "zeros",
    }
    return StandIn("torch.nn.modules.conv.Conv2d", state=settings)


def _anchors(file: OnnxFile, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The anchors of YOLOv5 and YOLOv3, in cells, from the constants that a graph multiplies sizes by.

    Each level has one, (1, anchors, rows, columns, 2) in pixels and the same in each cell. Where they cannot be told
    apart by their rows, which half from level to level, nothing says whose they are.

    Raises:
        Refused: the model has anchors, and they are not there.
    """
    head = f"model.{max(map(layer_number, tensors), default=-1)}."
    if f"{head}m.0.weight" not in tensors or f"{head}anchors" in tensors:
        return {}
    grids: dict[int, Tensor] = {}
    for name, tensor in file.tensors.items():
        shape = tensor.shape
        if len(shape) == 5 and shape[0] == 1 and shape[4] == 2 and tensor.kind in (FLOAT, HALF) and min(shape) > 0:
            grid = tensor.read(name)
            if (grid > 0).all() and (grid == grid[:, :, :1, :1]).all():
                if shape[2] in grids and not torch.equal(grids[shape[2]], grid[0, :, 0, 0]):
                    raise _no_anchors()
                grids[shape[2]] = grid[0, :, 0, 0]
    rows = sorted(grids, reverse=True)
    if len(rows) != len(STRIDES) or any(rows[0] * STRIDES[0] != r * s for r, s in zip(rows, STRIDES, strict=True)):
        raise _no_anchors()
    if len({tuple(grid.shape) for grid in grids.values()}) != 1:
        raise _no_anchors()
    return {f"{head}anchors": torch.stack([grids[r] / s for r, s in zip(rows, STRIDES, strict=True)])}


def _no_anchors() -> Refused:
    return Refused(
        "is an ONNX export in which the anchors cannot be found, without which its weights predict other boxes (an "
        f"export of a fixed image size with its head has them as constants). {REMEDY}"
    )


def _entries(file: OnnxFile, constants: int) -> dict[str, Any]:
    """The facts next to the weights, as a checkpoint has them."""
    entries: dict[str, Any] = dict(file.metadata)
    entries["names"] = parse_names(entries.get("names", ""))
    sizes = entries.get("imgsz", "")
    entries["imgsz"] = [int(each) for each in re.findall(r"\d+", sizes)] if SIZES.fullmatch(sizes) else None
    sides = file.input_shape[2:4]
    if not entries["imgsz"] and len(sides) == 2 and min(sides) > 0:
        entries["imgsz"] = list(sides)
    if constants:
        entries[f"{counted(constants, 'constant')} of the graph"] = None
    return {name: value for name, value in entries.items() if value is not None or name not in ("names", "imgsz")}


def parse_names(text: str) -> list[str] | dict[int, str] | None:
    """Class names as an export's metadata hold them; None if they are written otherwise.

    Args:
        text: a list or a dictionary as Python writes it, e.g. "{0: 'crack', 1: 'pore'}". Nothing nested is parsed.
    """
    inner, at, names = text.strip(), 0, []
    if inner[:1] + inner[-1:] not in ("{}", "[]"):
        return None
    keyed, inner = inner[0] == "{", inner[1:-1].rstrip()
    while at < len(inner):
        found = NAME.match(inner, at)
        if found is None or (found[1] is not None) != keyed:
            return None
        try:
            names.append((int(found[1] or 0), str(ast.literal_eval(found[2]))))  # one text, of known escapes
        except (ValueError, SyntaxError):
            return None
        at = found.end()
    return dict(names) if keyed else [name for _, name in names]
