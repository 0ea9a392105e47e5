"""Batch makers: augmented batches for training, letterboxed ones for evaluation.

What a batch holds depends on the seed and its request alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lehr.augment.box_filter import box_limits
from lehr.augment.closing import closing_epochs
from lehr.augment.draw import draw
from lehr.augment.gpu_plan import PackedCanvases, PlannedCrops, crop_bytes, pack_crops, plan_crops
from lehr.augment.letterbox import GREY, letterbox_into
from lehr.augment.own_transforms import own_transforms, transform_canvas
from lehr.augment.partners import Partners
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.data.batch import Batch, pad_objects
from lehr.data.images import ImageFault
from lehr.data.rectangles import rectangle
from lehr.data.requests import BatchRequest
from lehr.data.ring import Empty, empty_array
from lehr.data.tiled_store import Store
from lehr.errors import InputError
from lehr.options import AugmentOptions
from lehr.rng import generator
from lehr.sample import Sample

STAND_INS = 10
"""Number of other images tried in place of an unreadable one."""
PLANNED = 256
"""Canvases planned to estimate the size of crops."""
DEVIATIONS = 4
"""Standard deviations above the mean size up to which a batch fits in its slot."""
SMALL = 2**13
"""Bytes of an image's matrices and tables, at most."""
OBJECT_BYTES = 24
"""Bytes of an object's box and class."""


@dataclass(frozen=True, slots=True)
class TrainBatches:
    """Augmented batches of a training split, by request.

    Attributes:
        store: the images and samples of the training split.
        options: the augmentation.
        imgsz: side of the square, pixels.
        seed: the run's seed.
        epochs: epochs of the run; mosaic closes before its end.
        closed: last epochs without mosaic, mixup, CutMix and copy-paste; None to follow the options.
        rect: make each batch the smallest rectangle of whole strides that holds its images; there is no mosaic then.
        on_device: leave rendering to the device.
        classes: classes of the data set, which user transforms must respect.
    """

    store: Store
    options: AugmentOptions
    imgsz: int
    seed: int
    epochs: int
    rect: bool = False
    on_device: bool = False
    classes: int = 0
    closed: int | None = None

    def mosaic_on(self, epoch: int) -> bool:
        """Return whether mosaic, mixup, CutMix and copy-paste are still on in an epoch."""
        closed = closing_epochs(self.options.close_mosaic, self.epochs) if self.closed is None else self.closed
        return not self.rect and epoch < self.epochs - closed

    def __call__(self, request: BatchRequest, empty: Empty = empty_array) -> Batch:
        """The batch of some images in an epoch.

        Args:
            request: which.
            empty: allocates the memory for pixels.
        """
        try:
            return self._made(request, empty)
        finally:
            self.store.release()

    def _made(self, request: BatchRequest, empty: Empty) -> Batch:
        """Build a batch; the images that it uses stay in memory until then."""
        indices, whole = request.images, request.whole or request.images
        width, height = self.shape(request)
        images = empty((0 if self.on_device else len(indices), height, width, 3), np.uint8)
        outs: list[NDArray[np.uint8] | None] = [None] * len(indices) if self.on_device else list(images)
        shape = (width, height)
        repeats = request.repeats or [0] * len(indices)
        canvases = [
            self._canvas(request, index, repeat, shape, out)
            for index, repeat, out in zip(indices, repeats, outs, strict=True)
        ]
        faults = [str(fault) for _, _, fault in canvases if fault is not None]
        packed = (
            pack_crops([crops for _, crops, _ in canvases if crops is not None], width, height, empty)
            if self.on_device
            else None
        )
        placements = np.tile(np.array([1, 1, 0, 0], np.float32), (len(indices), 1))
        boxes, classes = [plan.boxes for plan, _, _ in canvases], [plan.classes for plan, _, _ in canvases]
        batch = _batch(images, boxes, classes, indices, placements, faults, packed)
        return replace(batch, whole=tuple(whole), idle=request.idle)

    def shape(self, request: BatchRequest) -> tuple[int, int]:
        """Width and height of a batch's canvases, pixels."""
        if not self.rect:
            return self.imgsz, self.imgsz
        return rectangle(self.store.samples, request.whole or request.images, self.imgsz)

    def plan(self, request: BatchRequest, index: int, repeat: int, shape: tuple[int, int]) -> Plan:
        """Plan an image's canvas.

        Args:
            request: the batch that it belongs to.
            index: the image's index in the split.
            repeat: how often the epoch has shown it before.
            shape: width and height, pixels.
        """
        return plan_sample(
            self.store.in_epoch(self.seed, request.epoch).samples,
            self.options,
            self.imgsz,
            seed=self.seed,
            epoch=request.epoch,
            index=index,
            multi_image=self.mosaic_on(request.epoch),
            shape=shape,
            repeat=repeat,
            shown=request.shown,
        )

    def _canvas(
        self,
        request: BatchRequest,
        index: int,
        repeat: int,
        shape: tuple[int, int],
        out: NDArray[np.uint8] | None,
    ) -> tuple[Plan, PlannedCrops | None, ImageFault | None]:
        """Plan and draw an image's canvas; for an unreadable image, another one's, with the fault.

        Args:
            request: the batch that it belongs to.
            index: the image's index in the split.
            repeat: how often the epoch has shown it before.
            shape: width and height, pixels.
            out: drawn into; None to plan the crops that a device draws from.

        Raises:
            InputError: the others cannot be read either.
        """
        first: ImageFault | None = None
        source = self.store.in_epoch(self.seed, request.epoch)
        for chosen in itertools.chain((index,), self._stand_ins(request, index, repeat)):
            plan = self.plan(request, chosen, repeat, shape)
            try:
                if out is None:
                    return plan, plan_crops(plan, source, *shape), first
                draw(plan, source, out)
            except ImageFault as fault:
                first = first or fault
                continue
            return self._transformed(plan, out, request.epoch, chosen, repeat), None, first
        raise InputError(f"{first}\n{STAND_INS} other images could not be read either. Does the data set still exist?")

    def _transformed(self, plan: Plan, out: NDArray[np.uint8], epoch: int, index: int, repeat: int) -> Plan:
        """Apply user transforms to a drawn canvas, and return its plan with their objects."""
        requests = self.options.augmentation
        return transform_canvas(
            plan,
            out,
            requests,
            draws=lambda name: generator(self.seed, f"augmentation {name}", epoch, index, repeat),
            limits=box_limits(self.options),
            classes=self.classes,
        )

    def nbytes(self, batch: int) -> int:
        """Estimate an upper bound on the bytes of a batch: its canvases, or the crops they are drawn from.

        Crops differ in size from canvas to canvas; those of a few are planned, without decoding an image.
        """
        samples = self.store.samples
        canvas = self.imgsz**2 * 3
        if not self.on_device:
            return batch * canvas + _small_bytes(samples, batch)
        planned = []
        for index in np.linspace(0, len(samples) - 1, min(PLANNED, len(samples))).astype(int).tolist():
            plan = plan_sample(
                samples,
                self.options,
                self.imgsz,
                seed=self.seed,
                epoch=0,
                index=index,
                multi_image=self.mosaic_on(0),
            )
            planned.append(crop_bytes(plan_crops(plan, self.store.unread, self.imgsz, self.imgsz)))
        mean, deviation = float(np.mean(planned)), float(np.std(planned))
        return int(batch * mean + DEVIATIONS * deviation * batch**0.5) + _small_bytes(samples, batch)

    def try_own_transforms(self) -> None:
        """Call each user transform once, so that errors show before the training.

        Raises:
            InputError: one fails or returns invalid data.
        """
        always = tuple(name for name, _, _ in own_transforms(self.options.augmentation))
        if always:
            out = np.empty((self.imgsz, self.imgsz, 3), np.uint8)
            make = replace(self, options=self.options.model_copy(update={"augmentation": always}))
            make._canvas(BatchRequest(0, [0]), 0, 0, (self.imgsz, self.imgsz), out)

    def _stand_ins(self, request: BatchRequest, index: int, repeat: int) -> Iterator[int]:
        """Yield candidates to replace an image, drawn on demand."""
        rng = generator(self.seed, "stand-in", request.epoch, index, repeat)
        yield from Partners(len(self.store.samples), request.shown).draw(rng, STAND_INS)


@dataclass(frozen=True, slots=True)
class EvalBatches:
    """Letterboxed batches, by request, each in the smallest rectangle of whole strides that holds its images.

    Attributes:
        store: the images and samples of a split.
        imgsz: longest side, pixels.
        square: letterbox to squares instead.
        tolerant: continue without an image that can no longer be read.
        fixed_size: height and width of all batches instead, pixels, neither above `imgsz`; None for none.
        grey: grey level of uncovered pixels, 0 to 255.
    """

    store: Store
    imgsz: int
    square: bool = False
    tolerant: bool = False
    fixed_size: tuple[int, int] | None = None
    grey: int = GREY

    def shape(self, indices: Sequence[int]) -> tuple[int, int]:
        """Width and height of the batch of some images, pixels."""
        if self.fixed_size is not None:
            height, width = self.fixed_size
            return width, height
        if self.square:
            return self.imgsz, self.imgsz
        return rectangle(self.store.samples, indices, self.imgsz)

    def nbytes(self, batch: int) -> int:
        """Bytes of a batch of some images, at most."""
        return batch * self.imgsz**2 * 3 + _small_bytes(self.store.samples, batch)

    def __call__(self, request: BatchRequest, empty: Empty = empty_array) -> Batch:
        """The batch of some images.

        Args:
            request: which.
            empty: allocates the memory for pixels.
        """
        indices = request.images
        width, height = self.shape(indices)
        images = empty((len(indices), height, width, 3), np.uint8)
        images[:] = self.grey
        boxes, classes, placements, faults, read = [], [], [], [], list(indices)
        for row, (canvas, index) in enumerate(zip(images, indices, strict=True)):
            try:
                image, size = self.store(index)
            except ImageFault as fault:
                if not self.tolerant:
                    raise
                faults.append(str(fault))
                read[row] = -1
                boxes.append(np.zeros((0, 4), np.float32))
                classes.append(np.zeros(0, np.int64))
                placements.append((1.0, 1.0, 0.0, 0.0))
                continue
            placement = letterbox_into(image, canvas, size)
            sample = self.store.samples[index]
            boxes.append(placement.to_letterbox(sample.boxes))
            classes.append(sample.classes)
            placements.append(placement.as_row())
        return _batch(images, boxes, classes, read, np.array(placements, np.float32), faults)


def _small_bytes(samples: Sequence[Sample], batch: int) -> int:
    """Generous estimate of a batch's bytes besides pixels: objects of mosaics, tables, matrices."""
    objects = 4 * max((len(sample.classes) for sample in samples), default=0)
    return batch * (SMALL + objects * OBJECT_BYTES) + 2**16


def _batch(
    images: np.ndarray[Any, np.dtype[np.uint8]],
    boxes: list[np.ndarray[Any, np.dtype[np.float32]]],
    classes: list[np.ndarray[Any, np.dtype[np.int64]]],
    indices: list[int],
    placements: np.ndarray[Any, np.dtype[np.float32]],
    faults: list[str],
    packed: PackedCanvases | None = None,
) -> Batch:
    padded_boxes, padded_classes = pad_objects(boxes, classes)
    return Batch(
        torch.from_numpy(images).permute(0, 3, 1, 2),
        padded_boxes,
        padded_classes,
        torch.tensor(indices),
        torch.from_numpy(placements),
        tuple(faults),
        sum(map(len, classes)),
        packed,
    )
