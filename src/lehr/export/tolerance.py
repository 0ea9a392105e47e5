"""Tolerated differences between an export and its model, by the precision that it computes in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Differences that are still a pass.

    Attributes:
        boxes: pixels of the input, of each side of every box that scores above 0.001; None for any.
        scores: of every row and class; None for any.
        detections: share of the detections without a counterpart of the same class; None for any.
        map50: how much lower mAP50 may be, or, where `both_ways`, how far off.
        map: the same for mAP50-95.
        both_ways: whether a higher mAP is outside too.
        layer: difference of a layer's output, in shares of its largest value, from which it counts as another.
    """

    boxes: float | None
    scores: float | None
    detections: float | None
    map50: float
    map: float
    both_ways: bool
    layer: float


TOLERANCES = {
    "float32": Tolerance(1e-3, 1e-3, 1e-3, 1e-4, 1e-4, both_ways=True, layer=1e-3),
    "float16": Tolerance(2.0, 0.02, 0.05, 0.005, 0.005, both_ways=False, layer=0.02),
    "int8": Tolerance(None, None, None, 0.01, 0.02, both_ways=False, layer=0.25),
}
"""By precision. float32 rounds in another order, no more; float16 keeps 11 bits of each number, int8 keeps 8."""
