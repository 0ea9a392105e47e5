"""Options of an export, checked against what its format can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lehr.errors import InputError
from lehr.export.formats import FORMATS, ExportFormat
from lehr.models.scale import rounded_size
from lehr.options.data import MAX_IMGSZ
from lehr.weights.export_metadata import MAX_BATCH, Suppression

MIN_OPSET, MAX_OPSET = 18, 23
"""Operator sets of ONNX that torch's exporter writes: it is written in the first, and converts to later ones."""


def graph_size(imgsz: int | Sequence[int] | None, trained: int) -> tuple[int, int]:
    """Height and width of a graph's images, pixels, rounded up to multiples of 32.

    Args:
        imgsz: the side, or height and width; None for the side of the training.
        trained: that side.

    Raises:
        InputError: it is none of these, or too large.
    """
    sides = (trained if imgsz is None else imgsz,) if imgsz is None or isinstance(imgsz, int) else tuple(imgsz)
    if len(sides) not in (1, 2) or not all(isinstance(side, int) and 1 <= side <= MAX_IMGSZ for side in sides):
        raise InputError(f"imgsz {imgsz!r}: must be a side, or height and width, of 1 to {MAX_IMGSZ} pixels.")
    return rounded_size(sides[0]), rounded_size(sides[-1])


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        size: height and width that the graph is made for, pixels, multiples of 32.
        batch: images at once.
        dynamic: take any batch, and any sizes that are multiples of 32.
        half: compute in float16.
        int8: compute in int8.
        nms: suppression to be done inside; None for outside.
        opset: operator set of ONNX.
        calibration: gives batches (batch, 3, height, width), RGB, 0 to 1, to measure the ranges of int8 on.
    """

    size: tuple[int, int]
    batch: int = 1
    dynamic: bool = False
    half: bool = False
    int8: bool = False
    nms: Suppression | None = None
    opset: int = MIN_OPSET
    calibration: Callable[[], Iterator[NDArray[np.float32]]] | None = None

    def check(self, kind: ExportFormat) -> None:
        """Check that a format can do what is wanted.

        Raises:
            InputError: it cannot, or two options exclude each other.
        """
        wanted: tuple[tuple[str, bool, bool, Callable[[ExportFormat], bool]], ...] = (
            ("--dynamic", self.dynamic, kind.dynamic, lambda each: each.dynamic),
            ("--half", self.half, kind.half, lambda each: each.half),
            ("--int8", self.int8, kind.int8, lambda each: each.int8),
            ("--nms", self.nms is not None, kind.nms, lambda each: each.nms),
        )
        for option, given, possible, can in wanted:
            if given and not possible:
                others = ", ".join(each.name for each in FORMATS.values() if can(each))
                raise InputError(
                    f"{option}: not possible in {kind.title}. Formats that take it: {others}. "
                    "Choose one of these, or leave the option out."
                )
        if self.half and self.int8:
            raise InputError("--half and --int8: an export computes in one of the two. Give one of them.")
        if self.int8 and self.calibration is None:
            raise InputError("--int8: needs images to measure ranges on. Name a data set with --data.")
        if not 1 <= self.batch <= MAX_BATCH:
            raise InputError(f"--batch {self.batch}: an export takes 1 to {MAX_BATCH} images at once.")
        if not MIN_OPSET <= self.opset <= MAX_OPSET:
            raise InputError(f"--opset {self.opset}: must be {MIN_OPSET} to {MAX_OPSET}.")
