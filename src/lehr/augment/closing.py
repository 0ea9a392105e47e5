"""Closing mosaic: the last epochs have none, so that the detector finishes on images as it will see them.

Ge et al., "YOLOX", 2021. Mixup, CutMix and copy-paste close with it. Without NumPy or torch, for options and plans.
"""

from __future__ import annotations

CLOSING_EPOCHS = 10
"""Default number of last epochs without mosaic."""
CLOSING_SHARE = 3
"""Such epochs are at most one in this many."""


def closing_epochs(close_mosaic: int | None, epochs: int) -> int:
    """Number of last epochs without mosaic, mixup, CutMix and copy-paste: as given, if they fit.

    `min(10, epochs // 3)` where none are given, or not fewer than the run has, which would leave no mosaic at all.

    Args:
        close_mosaic: `--close-mosaic`; None if not given.
        epochs: of the run.
    """
    if close_mosaic is not None and close_mosaic < epochs:
        return close_mosaic
    return min(CLOSING_EPOCHS, epochs // CLOSING_SHARE)
