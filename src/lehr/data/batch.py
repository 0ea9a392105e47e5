"""Batches: images and their objects, padded to one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lehr.augment.draw_on_device import draw_canvases
from lehr.augment.gpu_plan import PackedCanvases
from lehr.data.block import Block
from lehr.kernels.support import usable


@dataclass(frozen=True, slots=True)
class Batch:
    """Images with their objects; objects are padded to the largest count in the batch.

    Attributes:
        images: uint8 (batch, 3, height, width), RGB, channels-last in memory; empty until they are rendered.
        boxes: float32 (batch, objects, 4), xyxy in pixels of `images`; zeros if padded.
        classes: int64 (batch, objects); -1 if padded.
        indices: int64 (batch,), index of each image in its split.
        placements: float32 (batch, 4), letterbox of each image: scale x, scale y, offset x, offset y, so that
            `x_batch = x_original * scale + offset`; ones and zeros for augmented images.
        faults: faults of images that could not be read. In training another image replaced them; in an evaluation it is
            grey, without objects, and its index is -1.
        instances: objects in it.
        packed: the canvases still to be rendered, on the device; None once `images` exist.
        whole: the indices of all images of the batch, where this is one process's share of it; empty otherwise.
        idle: whether its image is only a placeholder, since none was left for this process; it then counts nothing.
        block: the memory that all of its tensors are in, where that is one.
    """

    images: Tensor
    boxes: Tensor
    classes: Tensor
    indices: Tensor
    placements: Tensor
    faults: tuple[str, ...] = ()
    instances: int = 0
    packed: PackedCanvases | None = None
    whole: tuple[int, ...] = ()
    idle: bool = False
    block: Block | None = None

    @property
    def total(self) -> int:
        """Images of the batch, including those of other processes."""
        return len(self.whole) or len(self)

    @property
    def share(self) -> float:
        """This process's share of the batch, 0 to 1."""
        return 0.0 if self.idle else len(self) / self.total

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device) -> Batch:
        """Move images, boxes and classes to a device, rendering them there if needed; the rest stays on the host.

        Copies are asynchronous from pinned memory; what is in one block is copied at once.
        """
        if self.block is not None and device.type == "cuda":
            rest = iter(self.block.to(device))
            there = self.map(lambda _: next(rest))
            images = there.images if there.packed is None else draw_canvases(there.packed)
            return replace(self, images=images, boxes=there.boxes, classes=there.classes, packed=None, block=None)

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        images = moved(self.images) if self.packed is None else draw_canvases(self.packed.map(moved))
        return replace(
            self, images=images, boxes=moved(self.boxes), classes=moved(self.classes), packed=None, block=None
        )

    def in_block(self, block: Block) -> Batch:
        """The same batch with its tensors in a block; what stays on the host gets separate memory.

        Args:
            block: its memory, reused once unreferenced.
        """
        return replace(self, indices=self.indices.clone(), placements=self.placements.clone(), block=block)

    def normalized(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The images as model input: (batch, 3, height, width), 0 to 1.

        Args:
            dtype: type that the quotients in float32 are rounded to.
        """
        if usable(self.images.device):
            from lehr.kernels.normalize import normalize

            return normalize(self.images, dtype)
        if self.images.device.type == "cuda":  # float32 between would be four times the memory, written and read
            return torch.div(self.images, 255, out=torch.empty_like(self.images, dtype=dtype))
        return self.images.to(torch.float32).div_(255).to(dtype)

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, from which copies to the device can be asynchronous."""
        return self.map(Tensor.pin_memory)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function to each tensor of the batch."""
        return Batch(
            change(self.images),
            change(self.boxes),
            change(self.classes),
            change(self.indices),
            change(self.placements),
            self.faults,
            self.instances,
            None if self.packed is None else self.packed.map(change),
            self.whole,
            self.idle,
        )


def pad_objects(boxes: Sequence[NDArray[np.float32]], classes: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    """Pad the objects of several images to one shape.

    Args:
        boxes: an array (n_i, 4) per image.
        classes: an array (n_i,) per image.

    Returns:
        Boxes (batch, objects, 4) float32 with zeros, and classes (batch, objects) int64 with -1, where padded.
    """
    objects = max((len(image_classes) for image_classes in classes), default=0)
    padded_boxes = np.zeros((len(boxes), objects, 4), np.float32)
    padded_classes = np.full((len(boxes), objects), -1, np.int64)
    for row, (some_boxes, some_classes) in enumerate(zip(boxes, classes, strict=True)):
        padded_boxes[row, : len(some_boxes)] = some_boxes
        padded_classes[row, : len(some_classes)] = some_classes
    return torch.from_numpy(padded_boxes), torch.from_numpy(padded_classes)
