"""Multi-scale training: each step sees its images at another size, so that the detector does not specialize in one.

YOLOv5 draws from `(1 - r)` to `(1 + r)` times the image size; YOLOv3 between two counts of cells of 32 pixels (Redmon &
Farhadi, "YOLO9000", 2017). Sizes are multiples of the largest stride, and a function of (seed, epoch, step).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lehr.config import TrainConfig
from lehr.data.batch import Batch
from lehr.kernels.support import usable
from lehr.rng import generator
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique

STRIDE = 32
MIN_CELLS = 2
"""With a single cell, BatchNorm could not average over anything in a batch of one image."""


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Range of sizes: all multiples of the stride from the smallest to the largest.

    Attributes:
        min_size: smallest longest side, pixels, a multiple of the stride.
        max_size: largest longest side, pixels, a multiple of the stride.
    """

    min_size: int
    max_size: int

    def draw(self, seed: int, epoch: int, step: int) -> int:
        """Draw the size of a step, pixels; all multiples are equally likely.

        Args:
            seed: the run's seed.
            epoch: the epoch, from 0.
            step: the step in the epoch, from 0.
        """
        return (
            int(
                generator(seed, "multi-scale", epoch, step).integers(
                    self.min_size // STRIDE, self.max_size // STRIDE + 1
                )
            )
            * STRIDE
        )


def range_around(imgsz: int, share: float) -> SizeRange:
    """YOLOv5's range: multiples of 32 within `[1 - share, 1 + share] * imgsz`; at least 64.

    Args:
        imgsz: side of the training square, pixels, a multiple of 32.
        share: how far sizes go to either side, 0 to 1.
    """
    cells = max(MIN_CELLS, -int(-imgsz * (1 - share) // STRIDE))
    return SizeRange(cells * STRIDE, max(cells, int(imgsz * (1 + share) // STRIDE)) * STRIDE)


def range_of_cells(grid_min: int, grid_max: int) -> SizeRange:
    """YOLOv3's range: from `grid_min` to `grid_max` cells of 32 pixels."""
    return SizeRange(grid_min * STRIDE, grid_max * STRIDE)


def resized(images: Tensor, boxes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Resize a batch on its device.

    Args:
        images: float (batch, 3, height, width).
        boxes: (batch, objects, 4) xyxy, pixels.
        size: longest side afterwards, pixels, a multiple of 32; the other side is rounded up to one.

    Returns:
        Images and boxes at the new size.
    """
    height, width = images.shape[-2:]
    if max(height, width) == size:
        return images, boxes
    shape = _resized_shape(height, width, size)
    scaled = F.interpolate(images, shape, mode="bilinear", align_corners=False)
    return scaled, _resized_boxes(boxes, (height, width), shape)


def _resized_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width afterwards, pixels."""
    factor = size / max(height, width)
    return -int(-height * factor // STRIDE) * STRIDE, -int(-width * factor // STRIDE) * STRIDE


def _resized_boxes(boxes: Tensor, shape: tuple[int, int], new_shape: tuple[int, int]) -> Tensor:
    """Scale boxes of images that were resized from one height and width to another."""
    (height, width), (new_height, new_width) = shape, new_shape
    moved = boxes.clone()
    moved[..., 0::2] *= new_width / width
    moved[..., 1::2] *= new_height / height
    return moved


def model_input(batch: Batch, size: int | None = None, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return a batch as the model sees it: images (batch, 3, height, width), 0 to 1, and its boxes, pixels.

    Args:
        batch: on the device, rendered.
        size: longest side that the images are resized to, pixels; None for no resizing.
        dtype: type of images, unless torch's own operations resize them, in float32.
    """
    height, width = batch.images.shape[-2:]
    if size is None or size == max(height, width):
        return batch.normalized(dtype), batch.boxes
    if usable(batch.images.device):
        from lehr.kernels.resize import resize

        shape = _resized_shape(height, width, size)
        return resize(batch.images, *shape, dtype), _resized_boxes(batch.boxes, (height, width), shape)
    return resized(batch.normalized(torch.float32), batch.boxes, size)


def sizes_of(config: TrainConfig) -> SizeRange | None:
    """Return the sizes that a run draws from; None if it has one size.

    Args:
        config: its options.
    """
    data = config.data
    if data.grid_min is not None and data.grid_max is not None:
        return range_of_cells(data.grid_min, data.grid_max)
    return range_around(config.imgsz, data.multi_scale) if data.multi_scale > 0 else None


def _without_effect(run: Run) -> dict[str, NoEffect]:
    sizes, imgsz = sizes_of(run.config), run.config.imgsz
    if sizes is None or sizes != SizeRange(imgsz, imgsz):
        return {}
    names = ("multi_scale",) if run.config.data.multi_scale > 0 else ("grid_min", "grid_max")
    why = f"it leaves {imgsz} pixels as the only multiple of {STRIDE}"
    return dict.fromkeys(names, NoEffect(why, acts_as=0.0 if names == ("multi_scale",) else None))


def _state(run: Run) -> State:
    data = run.config.data
    if data.grid_min is not None and data.grid_max is not None:
        on = "grid_min" not in _without_effect(run)
        return State(on, f"{data.grid_min} to {data.grid_max} cells", "leave out --grid-min and --grid-max")
    return State(data.multi_scale > 0, f"within {data.multi_scale:g} of {run.config.imgsz}")


TECHNIQUE = Technique(
    name="multi-scale",
    page="multi-scale",
    section=Section.DATA,
    order=10,
    options=("multi_scale", "grid_min", "grid_max"),
    without_effect=_without_effect,
    why="robustness to objects and images of every size",
    state=_state,
    switches=(Switch("multi_scale", {"multi_scale": 0.5}, {"multi_scale": 0.0}),),
)
