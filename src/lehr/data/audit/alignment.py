"""Comparison of two aligned images: copies and neighbouring frames agree, others do not.

Both are freed of slow changes of brightness, shifted to where they agree best, and then brought to cover by the affine
map that maximises their correlation (Evangelidis and Psarakis, "Parametric image alignment using enhanced correlation
coefficient maximization", TPAMI 2008). Correlation is invariant to brightness and contrast.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SMOOTH, REACH = 8, 6
"""Share of a side above which brightness changes are slow, and largest shift of an image as a share of it."""
ROUNDS, PRECISION, BLUR = 40, 1e-4, 3
MIN_OVERLAP = 0.5
"""Share of an image that the other has to cover."""
FLAT = 1.0
"""Standard deviation of grey levels below which an image shows nothing to compare."""
Affine = NDArray[np.float32]


def alike(image: NDArray[np.uint8], other: NDArray[np.uint8], start: Affine | None = None) -> tuple[float, Affine]:
    """Return how similar two images are after alignment.

    Args:
        image: (side, side), grey.
        other: of the same shape.
        start: affine map (2, 3) to begin with, with shifts as shares of the side; None to look for a shift.

    Returns:
        Their correlation, 0 to 1, where they overlap: 0 if they do not agree at all, or less than half of them
        overlaps; and the affine map.
    """
    side = image.shape[0]
    first, second = _flattened(image), _flattened(other)
    affine = np.hstack([np.eye(2), np.zeros((2, 1))]).astype(np.float32) if start is None else start.copy()
    if first is None or second is None:
        return 0.0, affine
    if start is None:
        margin = side // REACH
        inner = first[margin : side - margin, margin : side - margin]
        _, _, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(second, inner, cv2.TM_CCOEFF_NORMED))
        affine[:, 2] = x - margin, y - margin
    else:
        affine[:, 2] *= side
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ROUNDS, PRECISION)
    whole = np.full(image.shape, 255, np.uint8)
    try:
        correlation, found = cv2.findTransformECC(first, second, affine, cv2.MOTION_AFFINE, criteria, whole, BLUR)
    except cv2.error:  # it does not converge: they have nothing in common
        return 0.0, affine
    covered = cv2.warpAffine(whole, found, (side, side), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    affine = np.asarray(found, np.float32)
    affine[:, 2] /= side
    return (max(0.0, float(correlation)) if np.mean(covered > 0) >= MIN_OVERLAP else 0.0), affine


def _flattened(image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """An image without its slow changes of brightness, of mean 128 and standard deviation 32; None if it is flat."""
    pixels = image.astype(np.float32)
    if pixels.std() < FLAT:
        return None
    detail = pixels - cv2.GaussianBlur(pixels, (0, 0), image.shape[0] / SMOOTH)
    return np.asarray(np.clip(detail / max(float(detail.std()), 1e-6) * 32 + 128, 0, 255), np.float32)
