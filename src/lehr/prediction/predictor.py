"""Finding objects in images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from lehr.augment.letterbox import Placement, letterbox, smallest_rectangle
from lehr.detections import Detections
from lehr.errors import InputError
from lehr.evaluation.nms import remaining_iou, suppress
from lehr.models.network import Network
from lehr.prediction.frames import Frame
from lehr.prediction.inputs import ImageSource, open_images
from lehr.runtime.process_state import default_modes


def predict_images(
    model: Network,
    images: ImageSource | Iterable[ImageSource],
    *,
    imgsz: int,
    confidence: float = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    batch: int = 1,
    square: bool = False,
    skip_broken: bool = False,
) -> Iterator[Detections]:
    """The objects of each image, in order, as soon as its batch is done; no more images are held than a batch.

    Args:
        model: in eval mode, on its device; or an export in its runtime.
        images: files, folders, globs, or images in memory (`lehr.prediction.inputs`).
        imgsz: longest side that the model sees, pixels, a multiple of 32; a network of a fixed size has its own.
        confidence: lowest score.
        iou: overlap from which a detection is a repetition.
        max_det: most detections an image.
        batch: images at once.
        square: letterbox to squares instead of the smallest rectangle.
        skip_broken: give an image that cannot be read its place, without detections and with its `fault`.

    Raises:
        InputError: an image cannot be read, after the objects of those before it.
    """
    frames = open_images(images, skip_broken)
    found = predict_frames(
        model, frames, imgsz=imgsz, confidence=confidence, iou=iou, max_det=max_det, batch=batch, square=square
    )
    return (detections for _, detections in found)


def predict_frames(
    model: Network,
    frames: Iterable[Frame],
    *,
    imgsz: int,
    confidence: float = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    batch: int = 1,
    square: bool = False,
) -> Iterator[tuple[Frame, Detections]]:
    """Each frame with its objects, in order, as soon as its batch is done; no more frames are held than a batch.

    Args:
        model: in eval mode, on its device; or an export in its runtime.
        frames: images, or those of videos and streams; what could not be read gets no detections, but its `fault`.
        imgsz: longest side that the model sees, pixels, a multiple of 32; a network of a fixed size has its own.
        confidence: lowest score.
        iou: overlap from which a detection is a repetition.
        max_det: most detections a frame.
        batch: frames at once.
        square: letterbox to squares instead of the smallest rectangle.

    Raises:
        InputError: a frame cannot be read, after those before it.
    """
    coming, failure = iter(frames), None
    while failure is None:
        group: list[Frame] = []
        try:
            for frame in islice(coming, batch):
                group.append(frame)  # noqa: PERF402 (keeps those before the one that raises)
        except InputError as error:
            failure = error
        if not group:
            break
        found = predict_batch(model, group, imgsz=imgsz, confidence=confidence, iou=iou, max_det=max_det, square=square)
        yield from zip(group, found, strict=True)
    if failure is not None:
        raise failure


@default_modes()
@torch.inference_mode()
def predict_batch(
    model: Network,
    images: Sequence[Frame],
    *,
    imgsz: int,
    confidence: float = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    square: bool = False,
) -> list[Detections]:
    """The objects of each frame of a batch, none in those that could not be read; arguments as `predict_frames`."""
    read = [image for image in images if image.pixels is not None]
    pixels = [image.pixels for image in images if image.pixels is not None]
    found: list[Detections] = []
    if read:
        sizes = [(each.shape[1], each.shape[0]) for each in pixels]
        width, height = _canvas_size(model, sizes, imgsz, square)
        canvases, placements = zip(*(letterbox(each, width, height) for each in pixels), strict=True)
        boxes, scores = _infer(model, np.stack(canvases))
        overlap = remaining_iou(model, iou)
        kept = suppress(boxes, scores, confidence=confidence, iou=overlap, max_det=max_det, best_class_only=True).cpu()
        for place, (image, size) in enumerate(zip(read, sizes, strict=True)):
            own = kept.images == place
            in_image = _in_image(kept.boxes[own].numpy(), placements[place], pixels[place])
            scored, classes = kept.scores[own].numpy(), kept.classes[own].numpy()
            found.append(Detections(image.source, *size, in_image, scored, classes, model.names))
    in_order = iter(found)
    return [
        _placed(
            next(in_order) if image.pixels is not None else Detections.missing(image.source, model.names, image.fault),
            image,
        )
        for image in images
    ]


def _placed(detections: Detections, frame: Frame) -> Detections:
    """Detections with their place in the clip that they are of."""
    return detections if frame.clip is None else replace(detections, frame=frame.index, time=frame.time)


def _canvas_size(model: Network, sizes: Sequence[tuple[int, int]], imgsz: int, square: bool) -> tuple[int, int]:
    """Width and height of the canvases of a batch, pixels: the only ones that a network takes, or what suffices."""
    if model.fixed_size is not None:
        height, width = model.fixed_size
        return width, height
    return (imgsz, imgsz) if square else smallest_rectangle(sizes, imgsz)


def _infer(model: Network, canvases: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(canvases).permute(0, 3, 1, 2).to(model.device).to(model.dtype).div_(255)
    return model(images).decode()


def _in_image(boxes: NDArray[np.float32], placement: Placement, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    limit = [pixels.shape[1], pixels.shape[0]] * 2
    return np.clip(placement.to_image(boxes), 0, limit).astype(np.float32)
