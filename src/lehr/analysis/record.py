"""What a model found on a split, beside what is there: all that curves, mistakes and suspects are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lehr.sample import Sample


@dataclass(frozen=True, slots=True)
class DetectionRecord:
    """Objects and detections of a split.

    Attributes:
        names: the class names.
        samples: the images that were evaluated and their objects, in the order of the split.
        detections: float64 (n, 7): index of the image, x1, y1, x2, y2 in the image's own pixels, score, class.
        max_det: most detections an image.
    """

    names: tuple[str, ...]
    samples: tuple[Sample, ...]
    detections: NDArray[np.float64]
    max_det: int = 300
