"""Finding objects in images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch

from lehr.data.images import ImageFault
from lehr.detections import Detections
from lehr.detections.wanted_classes import find_classes
from lehr.errors import InputError
from lehr.models.network import Network
from lehr.models.scale import rounded_size
from lehr.prediction.frames import Frame
from lehr.prediction.inputs import ImageSource, open_images
from lehr.prediction.open_sources import with_remedy
from lehr.prediction.options import DEFAULTS, PredictOptions
from lehr.prediction.part_finder import FoundObjects, PartFinder, find_in_tiles
from lehr.runtime.process_state import default_modes


def predict_images(
    model: Network,
    images: ImageSource | Iterable[ImageSource],
    options: PredictOptions = DEFAULTS,
    *,
    keep: Callable[[Frame], bool] = lambda frame: False,
) -> Iterator[Detections]:
    """Predict images in order, each yielded as soon as its batch is done; at most a batch of images is held.

    Args:
        model: in eval mode, on its device; or an export in its runtime.
        images: files, folders, globs, or images in memory (`lehr.prediction.inputs`).
        options: of prediction; with `tile`, files whose format lets regions be read are not decoded whole.
        keep: whether the detections of a frame hold its pixels.

    Raises:
        InputError: an image cannot be read, after the objects of those before it.
    """
    frames = open_images(images, options.skip_broken, by_region=options.tile is not None)
    for frame, detections in predict_frames(model, frames, options):
        yield replace(detections, image=frame.pixels) if keep(frame) else detections


def predict_frames(
    model: Network, frames: Iterable[Frame], options: PredictOptions = DEFAULTS
) -> Iterator[tuple[Frame, Detections]]:
    """Predict frames in order, each yielded as soon as its batch is done; at most a batch of frames is held.

    Args:
        model: in eval mode, on its device; or an export in its runtime.
        frames: images, or those of videos and streams; what could not be read gets no detections, but its `fault`.
        options: of prediction; with `skip_broken`, a frame that turns out to be damaged where a region of it is read
            gets a fault too.

    Raises:
        InputError: a frame cannot be read, after those before it.
    """
    coming, failure = iter(frames), None
    while failure is None:
        group: list[Frame] = []
        try:
            for frame in islice(coming, options.batch if options.tile is None else 1):
                group.append(frame)  # noqa: PERF402 (keeps those before the one that raises)
        except InputError as error:
            failure = error
        if not group:
            break
        yield from zip(group, predict_batch(model, group, options), strict=True)
    if failure is not None:
        raise failure


@default_modes()
@torch.inference_mode()
def predict_batch(model: Network, images: Sequence[Frame], options: PredictOptions = DEFAULTS) -> list[Detections]:
    """Predict the frames of a batch; those that could not be read get no detections.

    Args:
        model: in eval mode, on its device; or an export in its runtime.
        images: the frames.
        options: of prediction; `batch` is the number of tiles per step here.
    """
    find = PartFinder(
        model,
        rounded_size(options.imgsz or model.imgsz),
        options.conf,
        options.iou,
        options.max_det,
        options.square,
        options.tta,
        options.agnostic,
        find_classes(options.classes, model.names),
    )
    if options.tile is not None:
        return [_of_tiles(image, find, options.tile, options) for image in images]
    pixels = [image.pixels for image in images if image.pixels is not None]
    found = iter(find(pixels) if pixels else ())
    return [_of_frame(image, model.names, None if image.pixels is None else next(found)) for image in images]


def _of_tiles(frame: Frame, find: PartFinder, tile: int, options: PredictOptions) -> Detections:
    """The objects of a frame, found in its tiles."""
    names, size = find.network.names, frame.size
    if size is None:
        return _of_frame(frame, names, None)
    try:
        return _of_frame(frame, names, find_in_tiles(find, frame.part, size, tile, options.overlap, options.batch))
    except ImageFault as fault:
        if not options.skip_broken:
            raise with_remedy(fault) from None
        return _of_frame(replace(frame, regions=None, fault=str(fault)), names, None)


def _of_frame(frame: Frame, names: tuple[str, ...], found: FoundObjects | None) -> Detections:
    """Detections of a frame, with their place in the clip that they are of; none if it could not be read."""
    if found is None or frame.size is None:
        detections = Detections.missing(frame.source, names, frame.fault)
    else:
        detections = Detections(frame.source, *frame.size, found.boxes, found.scores, found.classes, names)
    return detections if frame.clip is None else replace(detections, frame=frame.index, time=frame.time)
