"""Weather by torchvision: code of one's own on finished images, with a transform that was not written for Lehr.

`lehr train --augmentation lehr_example.weather:Weather=0.5` uses it, half of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms import v2


class ByTorchvision:
    """Has a transform of torchvision change images and their boxes.

    Args:
        transform: of `torchvision.transforms.v2`; keeps the size of the image.
    """

    def __init__(self, transform: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._transform = transform

    def __call__(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32], classes: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
        """Change an image.

        Args:
            image: uint8 (h, w, 3), RGB.
            boxes: float32 (n, 4), xyxy in pixels.
            classes: int64 (n,).
            rng: not needed here: torchvision draws from torch, whose generator Lehr seeds for each image.
        """
        sample = {
            "image": tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)),
            "boxes": tv_tensors.BoundingBoxes(torch.from_numpy(boxes), format="XYXY", canvas_size=image.shape[:2]),
            "labels": torch.from_numpy(classes),
        }
        done = self._transform(sample)
        pixels = np.ascontiguousarray(done["image"].permute(1, 2, 0).numpy())
        return pixels, done["boxes"].numpy(), done["labels"].numpy()


class Weather(ByTorchvision):
    """Bad weather: blurred, or of little contrast; now and then in a mirror."""

    def __init__(self) -> None:
        blur = v2.GaussianBlur(kernel_size=9, sigma=(1.0, 4.0))
        dull = v2.ColorJitter(contrast=(0.2, 0.5), saturation=(0.1, 0.5))
        super().__init__(v2.Compose([v2.RandomChoice([blur, dull]), v2.RandomHorizontalFlip(0.5)]))
