"""From samples to batches: augmented for training, letterboxed for evaluation, by any number of workers.

What a batch holds depends on the seed and its request alone, so the number of workers changes nothing but the speed.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from lehr.augment.box_filter import box_limits
from lehr.augment.closing import closing_epochs
from lehr.augment.draw import draw
from lehr.augment.gpu_plan import PackedCanvases, PlannedCrops, pack_crops, plan_crops
from lehr.augment.letterbox import GREY, letterbox_into
from lehr.augment.own_transforms import own_transforms, transform_canvas
from lehr.augment.partners import Partners
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.data.batch import Batch, pad_objects
from lehr.data.cache import ImageStore
from lehr.data.images import ImageFault
from lehr.data.parcel import Parcel, Unpacked, describe_no_start, describe_slow_way, pack
from lehr.data.rectangles import rectangle
from lehr.data.requests import BatchRequest
from lehr.data.worker_processes import (
    LoadingStopped,
    frozen_garbage,
    kill_processes,
    start_processes,
    start_worker,
    without_torchs_advice,
)
from lehr.errors import InputError, LehrError
from lehr.options import AugmentOptions
from lehr.rng import generator
from lehr.runtime.console import LOGGER
from lehr.runtime.signals import describe_signal

STAND_INS = 10
"""Other images that are tried in place of one that can no longer be read."""
POLL_SECONDS = 5
"""Seconds between two looks whether the run was asked to stop, while it waits for a batch."""


@dataclass(frozen=True, slots=True)
class TrainBatches:
    """Augmented batches of a training split, by request.

    Attributes:
        store: the images and samples of the training split.
        options: the augmentation.
        imgsz: side of the square, pixels.
        seed: the run's seed.
        epochs: epochs of the run; mosaic closes before its end.
        closed: last epochs without mosaic, mixup, CutMix and copy-paste; None for what the options say.
        rect: make each batch the smallest rectangle of whole strides that holds its images; there is no mosaic then.
        on_device: leave the drawing to the device.
        classes: classes of the data set, which a user's own transforms keep to.
    """

    store: ImageStore
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

    def __call__(self, request: BatchRequest) -> Batch:
        """The batch of some images in an epoch."""
        indices, whole = request.images, request.whole or request.images
        width, height = rectangle(self.store.samples, whole, self.imgsz) if self.rect else (self.imgsz, self.imgsz)
        images = np.empty((0 if self.on_device else len(indices), height, width, 3), np.uint8)
        outs: list[NDArray[np.uint8] | None] = [None] * len(indices) if self.on_device else list(images)
        shape = (width, height)
        repeats = request.repeats or [0] * len(indices)
        canvases = [
            self._canvas(request, index, repeat, shape, out)
            for index, repeat, out in zip(indices, repeats, outs, strict=True)
        ]
        faults = [str(fault) for _, _, fault in canvases if fault is not None]
        packed = (
            pack_crops([crops for _, crops, _ in canvases if crops is not None], width, height)
            if self.on_device
            else None
        )
        placements = np.tile(np.array([1, 1, 0, 0], np.float32), (len(indices), 1))
        boxes, classes = [plan.boxes for plan, _, _ in canvases], [plan.classes for plan, _, _ in canvases]
        batch = _batch(images, boxes, classes, indices, placements, faults, packed)
        return replace(batch, whole=tuple(whole), idle=request.idle)

    def _canvas(
        self,
        request: BatchRequest,
        index: int,
        repeat: int,
        shape: tuple[int, int],
        out: NDArray[np.uint8] | None,
    ) -> tuple[Plan, PlannedCrops | None, ImageFault | None]:
        """Plan and draw an image's canvas; where the image can no longer be read, another's, with the fault.

        Args:
            request: the batch that it belongs to.
            index: the image's index in the split.
            repeat: how often the epoch has shown it before.
            shape: width and height, pixels.
            out: drawn into; None to plan the crops that a device draws from.

        Raises:
            InputError: nor can the others be read.
        """
        samples, epoch = self.store.samples, request.epoch
        first: ImageFault | None = None
        for chosen in itertools.chain((index,), self._stand_ins(request, index, repeat)):
            plan = plan_sample(
                samples,
                self.options,
                self.imgsz,
                seed=self.seed,
                epoch=epoch,
                index=chosen,
                multi_image=self.mosaic_on(epoch),
                shape=shape,
                repeat=repeat,
                shown=request.shown,
            )
            try:
                if out is None:
                    return plan, plan_crops(plan, self.store, *shape), first
                draw(plan, self.store, out)
            except ImageFault as fault:
                first = first or fault
                continue
            return self._transformed(plan, out, epoch, chosen, repeat), None, first
        raise InputError(f"{first}\n{STAND_INS} other images could not be read either: is the data set still there?")

    def _transformed(self, plan: Plan, out: NDArray[np.uint8], epoch: int, index: int, repeat: int) -> Plan:
        """Have the user's own transforms change a canvas that is drawn, and return its plan with their objects."""
        requests = self.options.augmentation
        return transform_canvas(
            plan,
            out,
            requests,
            draws=lambda name: generator(self.seed, f"augmentation {name}", epoch, index, repeat),
            limits=box_limits(self.options),
            classes=self.classes,
        )

    def try_own_transforms(self) -> None:
        """Call each of the user's own transforms once, so that what is wrong with it is known before the training.

        Raises:
            InputError: one fails, or gives back what cannot be trained on.
        """
        always = tuple(name for name, _, _ in own_transforms(self.options.augmentation))
        if always:
            out = np.empty((self.imgsz, self.imgsz, 3), np.uint8)
            make = replace(self, options=self.options.model_copy(update={"augmentation": always}))
            make._canvas(BatchRequest(0, [0]), 0, 0, (self.imgsz, self.imgsz), out)

    def _stand_ins(self, request: BatchRequest, index: int, repeat: int) -> Iterator[int]:
        """Images that may take the place of one, drawn only when they are asked for."""
        rng = generator(self.seed, "stand-in", request.epoch, index, repeat)
        yield from Partners(len(self.store.samples), request.shown).draw(rng, STAND_INS)


@dataclass(frozen=True, slots=True)
class EvalBatches:
    """Letterboxed batches, by request, each in the smallest rectangle of whole strides that holds its images.

    Attributes:
        store: the images and samples of a split.
        imgsz: longest side, pixels.
        square: letterbox to squares instead.
        tolerant: go on without an image that can no longer be read.
    """

    store: ImageStore
    imgsz: int
    square: bool = False
    tolerant: bool = False

    def shape(self, indices: Sequence[int]) -> tuple[int, int]:
        """Width and height of the batch of some images, pixels."""
        if self.square:
            return self.imgsz, self.imgsz
        return rectangle(self.store.samples, indices, self.imgsz)

    def __call__(self, request: BatchRequest) -> Batch:
        """The batch of some images."""
        indices = request.images
        width, height = self.shape(indices)
        images = np.full((len(indices), height, width, 3), GREY, np.uint8)
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


Made = Batch | Parcel | Unpacked | InputError
"""Result of a request; bad input travels as a value, since workers cannot raise it unharmed."""


class _Made(Dataset[Made]):
    """Batches by request, packed for the way to another process.

    Args:
        make: makes the batch of a request.
    """

    def __init__(self, make: TrainBatches | EvalBatches) -> None:
        self._make = make

    def here(self, request: BatchRequest) -> Batch | InputError:
        """Return a batch for this process."""
        try:
            return self._make(request)
        except InputError as error:
            return InputError(str(error))

    def __getitem__(self, request: BatchRequest) -> Made:
        made = self.here(request)
        return pack(made) if isinstance(made, Batch) else made


class Loader:
    """Serves requested batches in order, made by workers that stay between epochs.

    Args:
        make: makes the batch of a request.
        workers: processes that make batches; 0 makes them in this one.
        pin: hand out page-locked memory, for asynchronous copies to CUDA.

    Attributes:
        stop_signal: asked while it waits for a batch: the signal that the run was asked to stop by, None for none.
    """

    def __init__(self, make: TrainBatches | EvalBatches, workers: int = 0, pin: bool = False) -> None:
        self._requests: list[BatchRequest] = []
        self._made = _Made(make)
        self._loader: DataLoader[Made] | None = None
        self._pin = pin
        self._workers = workers
        self._iterator: Any = None
        self._slow = False
        self.stop_signal: Callable[[], int | None] = lambda: None
        if workers > 0:
            # Forked workers share the cache without copying it or needing /dev/shm for it.
            methods = multiprocessing.get_all_start_methods()
            with without_torchs_advice():
                self._loader = DataLoader(
                    self._made,
                    batch_size=None,
                    sampler=self._requests,
                    num_workers=workers,
                    pin_memory=pin,
                    persistent_workers=True,
                    prefetch_factor=4,
                    multiprocessing_context="fork" if "fork" in methods else None,
                    worker_init_fn=start_worker,
                    generator=torch.Generator(),  # else each epoch would draw a number of the user's
                )

    def start(self) -> None:
        """Begin the workers before anything is asked of them: best while the process has no other threads.

        Raises:
            LehrError: they cannot be started on this machine.
        """
        for _ in self._asked(()):
            pass

    def batches(self, requests: Sequence[BatchRequest]) -> Iterator[Batch]:
        """The batches of some requests.

        Raises:
            InputError: an image cannot be read.
            LehrError: the workers cannot be started on this machine.
            LoadingStopped: the run was asked to stop while it waited for a batch.
        """
        asked = self._asked(requests)
        for request in requests:
            made = self._here(request) if self._loader is None else self._received(next(asked), request)
            if isinstance(made, InputError):
                raise made
            yield made
        for _ in asked:  # the end, at which workers rest until they are asked again
            pass

    def _asked(self, requests: Sequence[BatchRequest]) -> Iterator[Made]:
        """Ask the workers for batches, and return what they answer.

        Raises:
            LehrError: they cannot be started on this machine.
        """
        if self._loader is None:
            return iter(())
        self._requests[:] = requests
        if self._iterator is not None:
            self._iterator._timeout = 0  # to begin again may take as long as the batches of a former request
        try:
            with frozen_garbage(), without_torchs_advice():
                self._iterator = start_processes(self._loader.__iter__)
        except OSError as error:
            raise LehrError(describe_no_start(self._workers, error)) from None
        self._iterator._timeout = POLL_SECONDS
        return self._waited_for(self._iterator)

    def _waited_for(self, iterator: Any) -> Iterator[Made]:
        """Serve what workers answer, and look meanwhile whether the run was asked to stop.

        Raises:
            LoadingStopped: it was.
        """
        while True:
            try:
                made = next(iterator)
            except StopIteration:
                return
            except RuntimeError as error:
                if "timed out after" not in str(error):
                    raise
                if (number := self.stop_signal()) is not None:
                    kill_processes()
                    raise LoadingStopped(f"Stopped by {describe_signal(number)}, waiting for images.", number) from None
                continue
            yield made

    def _received(self, made: Made, request: BatchRequest) -> Batch | InputError:
        """Unpack what a worker sent; a batch that cannot be reached is made here."""
        if isinstance(made, Parcel):
            made = made.unpack()
        if not isinstance(made, Unpacked):
            return made
        if made.trouble and not self._slow:
            self._slow = True
            LOGGER.warning("%s", describe_slow_way(made.trouble))
        return made.batch if made.batch is not None else self._here(request)

    def _here(self, request: BatchRequest) -> Batch | InputError:
        """Make a batch in this process."""
        made = self._made.here(request)
        return made.pin_memory() if self._pin and isinstance(made, Batch) else made
