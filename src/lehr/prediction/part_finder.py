"""Finding the objects of images, or of parts of one, that are computed at once; and of one image in tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lehr.augment.letterbox import letterbox, smallest_rectangle
from lehr.augment.tile_grid import OVERLAP, Window, tile_grid
from lehr.evaluation.nms import suppress
from lehr.evaluation.test_time_augmentation import infer, iou_of_views
from lehr.evaluation.tile_merging import TileDetections, merge_tiles
from lehr.models.network import Network


class FoundObjects(NamedTuple):
    """The objects of an image or of a part of one, best first.

    Attributes:
        boxes: float32 (n, 4), xyxy in its pixels.
        scores: float32 (n,).
        classes: int64 (n,).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PartFinder:
    """Finds the objects of several images, or parts of images, at once.

    Attributes:
        network: computes them.
        imgsz: longest side that the network sees, pixels, a multiple of 32; a network of a fixed size has its own.
        confidence: lowest score.
        iou: overlap from which a detection is a repetition.
        max_det: most detections of each.
        square: letterbox to squares instead of the smallest rectangle.
        tta: look at several views of each.
        agnostic: whether boxes of different classes suppress each other.
        classes: the classes that are looked for, by index; None for all.
    """

    network: Network
    imgsz: int
    confidence: float = 0.25
    iou: float = 0.7
    max_det: int = 300
    square: bool = False
    tta: bool = False
    agnostic: bool = False
    classes: tuple[int, ...] | None = None

    def __call__(self, parts: Sequence[NDArray[np.uint8]]) -> list[FoundObjects]:
        """The objects of each part, uint8 (height, width, 3), RGB, in its pixels."""
        sizes = [(part.shape[1], part.shape[0]) for part in parts]
        width, height = self._canvas_size(sizes)
        canvases, placements = zip(
            *(letterbox(part, width, height, self.network.padding) for part in parts), strict=True
        )
        images = torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2).to(self.network.device)
        boxes, scores = infer(self.network, images.to(self.network.dtype).div_(255), self.tta)
        kept = suppress(
            boxes,
            scores,
            confidence=self.confidence,
            iou=iou_of_views(self.network, self.iou, self.agnostic, tta=self.tta),
            max_det=self.max_det,
            best_class_only=True,
            agnostic=self.agnostic,
            wanted=self.classes,
        ).cpu()
        found = []
        for place, (placement, size) in enumerate(zip(placements, sizes, strict=True)):
            own = kept.images == place
            inside = np.clip(placement.to_image(kept.boxes[own].numpy()), 0, [*size, *size]).astype(np.float32)
            found.append(FoundObjects(inside, kept.scores[own].numpy(), kept.classes[own].numpy()))
        return found

    def _canvas_size(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Width and height of the canvases, pixels: the only ones that the network takes, or what suffices."""
        if self.network.fixed_size is not None:
            height, width = self.network.fixed_size
            return width, height
        return (self.imgsz, self.imgsz) if self.square else smallest_rectangle(sizes, self.imgsz)


def find_in_tiles(
    find: PartFinder,
    part: Callable[[Window], NDArray[np.uint8]],
    size: tuple[int, int],
    tile: int,
    overlap: float = OVERLAP,
    at_once: int = 1,
) -> FoundObjects:
    """Find the objects of an image in its tiles, each object once; no more of it is asked for than tiles at once.

    Args:
        find: finds the objects of some tiles.
        part: gives the pixels of a part of the image.
        size: width and height of the image, pixels.
        tile: side of a tile, pixels.
        overlap: share of a tile that the next one shows again at least, 0 to 0.9.
        at_once: tiles that the network computes at once.
    """
    windows = list(tile_grid(*size, tile, overlap).windows())
    parts = [np.zeros((0, 7))]
    for start in range(0, len(windows), at_once):
        some = windows[start : start + at_once]
        for number, (window, found) in enumerate(zip(some, find([part(each) for each in some]), strict=True), start):
            boxes = found.boxes + np.array([*window[:2], *window[:2]], np.float64)
            tiles = np.full((len(boxes), 1), number)
            parts.append(np.concatenate((boxes, found.scores[:, None], found.classes[:, None], tiles), 1))
    rows = np.concatenate(parts)
    merged = merge_tiles(
        TileDetections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64), rows[:, 6].astype(np.int64)),
        np.array(windows, np.int64),
        size,
        pixel=max(windows[0][2:]) / max(find.network.fixed_size or (find.imgsz,)),
        max_det=find.max_det,
        agnostic=find.agnostic,
    )
    return FoundObjects(merged.boxes.astype(np.float32), merged.scores.astype(np.float32), merged.classes)
