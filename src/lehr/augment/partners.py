"""Partners: the further images of a mosaic, of a mixup or of a copy-paste."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Partners:
    """The images that partners are drawn from.

    Attributes:
        images: images of the training split.
        shown: indices of the images of the epoch, each as often as it is shown; None if each is shown once. So partners
            follow image weights, repeat factors and the background share.
    """

    images: int
    shown: NDArray[np.int32] | None = None

    def draw(self, rng: np.random.Generator, count: int) -> list[int]:
        """Draw indices of images with replacement.

        Args:
            rng: draws them.
            count: how many.
        """
        if self.shown is None:
            return [int(index) for index in rng.integers(self.images, size=count)]
        return [int(index) for index in self.shown[rng.integers(len(self.shown), size=count)]]
