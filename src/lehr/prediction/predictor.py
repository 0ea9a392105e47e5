"""Finding objects in images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch

from lehr.augment.tile_grid import OVERLAP
from lehr.data.images import ImageFault
from lehr.detections import Detections
from lehr.errors import InputError
from lehr.models.network import Network
from lehr.prediction.frames import Frame
from lehr.prediction.inputs import ImageSource, open_images
from lehr.prediction.open_sources import with_remedy
from lehr.prediction.part_finder import FoundObjects, PartFinder, find_in_tiles
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
    tile: int | None = None,
    overlap: float = OVERLAP,
    tta: bool = False,
    agnostic: bool = False,
    classes: tuple[int, ...] | None = None,
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
        tile: as of `predict_frames`; files whose format lets regions be read are not decoded whole then.
        overlap: as of `predict_frames`.
        tta: as of `predict_frames`.
        agnostic: as of `predict_frames`.
        classes: as of `predict_frames`.

    Raises:
        InputError: an image cannot be read, after the objects of those before it.
    """
    found = predict_frames(
        model,
        open_images(images, skip_broken, by_region=tile is not None),
        imgsz=imgsz,
        confidence=confidence,
        iou=iou,
        max_det=max_det,
        batch=batch,
        square=square,
        skip_broken=skip_broken,
        tile=tile,
        overlap=overlap,
        tta=tta,
        agnostic=agnostic,
        classes=classes,
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
    skip_broken: bool = False,
    tile: int | None = None,
    overlap: float = OVERLAP,
    tta: bool = False,
    agnostic: bool = False,
    classes: tuple[int, ...] | None = None,
) -> Iterator[tuple[Frame, Detections]]:
    """Each frame with its objects, in order, as soon as its batch is done; no more frames are held than a batch.

    Args:
        model: in eval mode, on its device; or an export in its runtime.
        frames: images, or those of videos and streams; what could not be read gets no detections, but its `fault`.
        imgsz: longest side that the model sees, pixels, a multiple of 32; a network of a fixed size has its own.
        confidence: lowest score.
        iou: overlap from which a detection is a repetition.
        max_det: most detections a frame.
        batch: frames at once; with `tile`, tiles of one frame.
        square: letterbox to squares instead of the smallest rectangle.
        skip_broken: give a frame that turns out to be damaged where a region of it is read no detections, but a fault.
        tile: side of the tiles that a frame is cut into, pixels of the frame, each of which is scaled to `imgsz`; a
            smaller frame is one tile. None for whole frames.
        overlap: share of a tile that the next one shows again at least, 0 to 0.9.
        tta: look at several views of each frame, or tile (`lehr.evaluation.test_time_augmentation`).
        agnostic: whether boxes of different classes suppress each other.
        classes: the classes that are looked for, by index; None for all.

    Raises:
        InputError: a frame cannot be read, after those before it.
    """
    coming, failure = iter(frames), None
    while failure is None:
        group: list[Frame] = []
        try:
            for frame in islice(coming, batch if tile is None else 1):
                group.append(frame)  # noqa: PERF402 (keeps those before the one that raises)
        except InputError as error:
            failure = error
        if not group:
            break
        found = predict_batch(
            model,
            group,
            imgsz=imgsz,
            confidence=confidence,
            iou=iou,
            max_det=max_det,
            square=square,
            skip_broken=skip_broken,
            tile=tile,
            overlap=overlap,
            tta=tta,
            agnostic=agnostic,
            classes=classes,
            tiles_at_once=batch,
        )
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
    skip_broken: bool = False,
    tile: int | None = None,
    overlap: float = OVERLAP,
    tta: bool = False,
    agnostic: bool = False,
    classes: tuple[int, ...] | None = None,
    tiles_at_once: int = 1,
) -> list[Detections]:
    """The objects of each frame of a batch, none in those that could not be read; arguments as `predict_frames`."""
    find = PartFinder(model, imgsz, confidence, iou, max_det, square, tta, agnostic, classes)
    if tile is not None:
        return [_of_tiles(image, find, tile, overlap, tiles_at_once, skip_broken) for image in images]
    pixels = [image.pixels for image in images if image.pixels is not None]
    found = iter(find(pixels) if pixels else ())
    return [_of_frame(image, model.names, None if image.pixels is None else next(found)) for image in images]


def _of_tiles(frame: Frame, find: PartFinder, tile: int, overlap: float, at_once: int, skip_broken: bool) -> Detections:
    """The objects of a frame, found in its tiles."""
    names, size = find.network.names, frame.size
    if size is None:
        return _of_frame(frame, names, None)
    try:
        return _of_frame(frame, names, find_in_tiles(find, frame.part, size, tile, overlap, at_once))
    except ImageFault as fault:
        if not skip_broken:
            raise with_remedy(fault) from None
        return _of_frame(replace(frame, regions=None, fault=str(fault)), names, None)


def _of_frame(frame: Frame, names: tuple[str, ...], found: FoundObjects | None) -> Detections:
    """Detections of a frame, with their place in the clip that they are of; none where it could not be read."""
    if found is None or frame.size is None:
        detections = Detections.missing(frame.source, names, frame.fault)
    else:
        detections = Detections(frame.source, *frame.size, found.boxes, found.scores, found.classes, names)
    return detections if frame.clip is None else replace(detections, frame=frame.index, time=frame.time)
