"""Finding objects in images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lehr.augment.letterbox import Placement, letterbox, smallest_rectangle
from lehr.data.images import read_image
from lehr.detections import Detections
from lehr.errors import InputError
from lehr.evaluation.nms import suppress
from lehr.models.detection import DetectionModel, Prediction

ImageSource = Path | NDArray[np.uint8]
"""An image file, or pixels uint8 (height, width, 3), RGB."""


def predict_images(
    model: DetectionModel,
    images: Sequence[ImageSource],
    *,
    imgsz: int,
    confidence: float = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    batch: int = 1,
    square: bool = False,
) -> Iterator[Detections]:
    """The objects of each image, in order, as soon as its batch is done.

    Args:
        model: in eval mode, on its device.
        images: files or pixels.
        imgsz: longest side that the model sees, pixels, a multiple of 32.
        confidence: lowest score.
        iou: overlap from which a detection is a repetition.
        max_det: most detections an image.
        batch: images at once.
        square: letterbox to squares instead of the smallest rectangle.

    Raises:
        InputError: a file cannot be read, or pixels are no uint8 RGB image.
    """
    for start in range(0, len(images), batch):
        named = [_open(image, start + i) for i, image in enumerate(images[start : start + batch])]
        sizes = [(pixels.shape[1], pixels.shape[0]) for _, pixels in named]
        width, height = (imgsz, imgsz) if square else smallest_rectangle(sizes, imgsz)
        canvases, placements = zip(*(letterbox(pixels, width, height) for _, pixels in named), strict=True)
        boxes, scores = _infer(model, np.stack(canvases))
        found = suppress(boxes, scores, confidence=confidence, iou=iou, max_det=max_det, best_class_only=True).cpu()
        for place_in_batch, (source, pixels) in enumerate(named):
            of_image = found.images == place_in_batch
            yield Detections(
                source,
                pixels.shape[1],
                pixels.shape[0],
                _in_image(found.boxes[of_image].numpy(), placements[place_in_batch], pixels),
                found.scores[of_image].numpy(),
                found.classes[of_image].numpy(),
                model.names,
            )


@torch.inference_mode()
def _infer(model: DetectionModel, canvases: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    weights = next(model.parameters())
    images = torch.from_numpy(canvases).permute(0, 3, 1, 2).to(weights.device).to(weights.dtype).div_(255)
    prediction: Prediction = model(images)
    return prediction.decode()


def _open(image: ImageSource, index: int) -> tuple[str, NDArray[np.uint8]]:
    if isinstance(image, Path):
        return str(image), read_image(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"Image {index}: must be uint8 (height, width, 3), RGB; it is {image.dtype} {image.shape}.")
    return f"image {index}", image


def _in_image(boxes: NDArray[np.float32], placement: Placement, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    limit = [pixels.shape[1], pixels.shape[0]] * 2
    return np.clip(placement.to_image(boxes), 0, limit).astype(np.float32)
