"""Closing mosaic: the last epochs of a run have none, so that the detector ends on images as it will see them.

Ge et al., "YOLOX", 2021. Mixup, CutMix and copy-paste close with it. Without NumPy or torch, for options and plans.
"""

from __future__ import annotations

CLOSING_EPOCHS = 10
"""Last epochs of a run without mosaic, where their count is not given."""
CLOSING_SHARE = 3
"""Such epochs are at most one in so many."""


def closing_epochs(close_mosaic: int | None, epochs: int) -> int:
    """Last epochs of a run without mosaic, mixup, CutMix and copy-paste: as many as are given, where they fit.

    `min(10, epochs // 3)` where none are given, or not fewer than the run has, which would leave no mosaic at all.

    Args:
        close_mosaic: `--close-mosaic`; None where it is not given.
        epochs: of the run.
    """
    if close_mosaic is not None and close_mosaic < epochs:
        return close_mosaic
    return min(CLOSING_EPOCHS, epochs // CLOSING_SHARE)
