"""A runtime: what computes the graph of an export, and shows its layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from lehr.errors import InputError
from lehr.runtime.installing import how_to_install

INPUT = "images"
"""Name of the graph's input."""
MAX_LAYERS = 10_000
"""Layers of a graph that are looked at."""


@dataclass(frozen=True, slots=True)
class LayerValues:
    """A convolution as a runtime computed it.

    Attributes:
        name: the module that its weight belongs to, e.g. "model.0.conv".
        taken: what went in.
        given: what came out.
        weight: its weight as stored in the file; None if that is not float32.
    """

    name: str
    taken: Tensor
    given: Tensor
    weight: Tensor | None = None


class Runtime(Protocol):
    """The graph of an export, ready to compute."""

    @property
    def title(self) -> str:
        """Name and version of the library, e.g. "ONNX Runtime 1.32.0"."""

    @property
    def device(self) -> torch.device:
        """Device that it computes on."""

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the graph for images (batch, 3, height, width), RGB, 0 to 1, on its device."""

    def layers(self, images: Tensor) -> Iterator[LayerValues]:
        """The convolutions of the graph in their order, as computed for some images; slow, to look for faults."""


@contextmanager
def required(package: str, extra: str, path: Path) -> Iterator[None]:
    """Say how to install what an import within lacks.

    Args:
        package: its title, e.g. "ONNX Runtime".
        extra: the extra of Lehr that brings it.
        path: what needs it.

    Raises:
        InputError: it cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"{path}: needs {package}, which cannot be imported ({error}). {how_to_install(extra)}"
        ) from None


def require_cpu(device: torch.device, path: Path, title: str) -> None:
    """Refuse a device that a runtime cannot compute on.

    Raises:
        InputError: it is not a CPU.
    """
    if device.type != "cpu":
        raise InputError(f"{path}: {title} computes on the CPU here, not on {device}. Use --device cpu.")


def module_of(weight: str) -> str:
    """The module that a weight belongs to, without what wraps the model: "m.model.0.conv.weight" to "model.0.conv"."""
    name = weight.removesuffix(".weight")
    return name[name.find("model.") :] if "model." in name else name
