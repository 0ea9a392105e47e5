"""Evaluating a model on a split."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Semaphore
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lehr.data.batch import Batch
from lehr.data.feed import DevicePrefetcher
from lehr.data.loader import Loader
from lehr.data.requests import BatchRequest
from lehr.data.tiled_split import TiledSplit, images_of
from lehr.detections.familiar_names import missing_attribute
from lehr.distributed.collectives import ALONE, Ranks
from lehr.errors import InputError
from lehr.evaluation.matching import MatchRecord
from lehr.evaluation.metrics import ClassMetrics, Metrics, measure
from lehr.evaluation.nms import Found, suppress
from lehr.evaluation.presentation import OF_EVALUATION, describe_metrics, metrics_table
from lehr.evaluation.test_time_augmentation import infer, iou_of_views
from lehr.evaluation.tiled_samples import on_images
from lehr.losses.loss import Loss
from lehr.models.network import Network
from lehr.runtime.counted import counted
from lehr.runtime.device import side_stream
from lehr.sample import Sample
from lehr.techniques.precision import Precision, autocast, input_dtype

Rows = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
"""Detections (n, 7): image index, x1, y1, x2, y2 in the image's own pixels, score, class."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """Seconds per image, by stage."""

    preprocess: float
    inference: float
    postprocess: float


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation:
    """Result of an evaluation.

    Attributes:
        metrics: the numbers.
        seconds: seconds per image, by stage.
        loss: each part of the loss, per image; None if it was not measured.
        faults: what is wrong with each image that could no longer be read and was skipped.
        notes: what the numbers cannot show of this split, and what of it was not evaluated, one per line.
        record: how the detections of each image match its objects; None if that was not asked for.
        detections: all detections, by rank 0, which alone has them; None on other ranks.
        samples: the images that they were found on, by rank 0.
    """

    metrics: Metrics
    seconds: Seconds
    loss: tuple[float, ...] | None = None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    record: MatchRecord | None = None
    detections: Rows | None = field(default=None, compare=False, repr=False)
    samples: tuple[Sample, ...] = field(default=(), compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """The numbers and seconds by name, as JSON can hold them."""
        notes = {"notes": list(self.notes)} if self.notes else {}
        return {**dataclasses.asdict(self.metrics), "seconds": dataclasses.asdict(self.seconds), **notes}

    def __repr__(self) -> str:
        seconds = self.seconds
        took = (seconds.preprocess + seconds.inference + seconds.postprocess) * 1e3
        return f"Evaluation({describe_metrics(self.metrics)}; {took:.1f} ms per image)"

    def _repr_html_(self) -> str:
        return metrics_table(repr(self).removeprefix("Evaluation(").removesuffix(")"), self.metrics)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            numbers = {each.name: f"use `metrics.{each.name}`" for each in dataclasses.fields(Metrics)}
            raise missing_attribute(type(self), name, {**numbers, **OF_EVALUATION})


class EvaluationStopped(Exception):
    """An evaluation that was left before its end."""


PENDING = 3
"""Batches at most whose detections are still to be found; each keeps its scores, 86 MB for 32 images of 80 classes."""


class _Beside:
    """Finds the detections of batches, one after another: at once, or in a thread while the device continues.

    Args:
        device: where predictions are.
        find: from boxes, scores and batch to detections.
        concurrent: in a thread, on a separate stream; CUDA only.
    """

    def __init__(self, device: torch.device, find: Callable[[Tensor, Tensor, Batch], Rows], concurrent: bool) -> None:
        self._device = device
        self._find = find
        self._pool: ThreadPoolExecutor | None = None
        self._room = Semaphore(PENDING)
        if concurrent:
            # A thread begins on the first device, and to touch that from another rank would take memory there.
            self._pool = ThreadPoolExecutor(1, "detections", torch.cuda.set_device, (device,))
            self._stream = side_stream(device, "detections")
        self._rows: list[Rows | Future[Rows]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def give(self, boxes: Tensor, scores: Tensor, batch: Batch) -> None:
        """Submit a batch; its detections are found in the order of submission.

        Waits while too many are pending.
        """
        if self._pool is None:
            self._rows.append(self._find(boxes, scores, batch))
            return
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record(torch.cuda.current_stream(self._device))
        self._room.acquire()
        rows = self._pool.submit(self._on_stream, ready, boxes, scores, batch)
        rows.add_done_callback(lambda _: self._room.release())
        self._rows.append(rows)

    def all(self) -> list[Rows]:
        """Wait for the detections of all batches, in their order."""
        return [rows.result() if isinstance(rows, Future) else rows for rows in self._rows]

    @torch.inference_mode()
    def _on_stream(self, ready: Any, boxes: Tensor, scores: Tensor, batch: Batch) -> Rows:
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(ready)
            # Ends with copies to the host, so that nothing reads boxes and scores after their memory is given back.
            return self._find(boxes, scores, batch)


@torch.inference_mode()
def evaluate(
    model: Network,
    samples: Sequence[Sample],
    loader: Loader,
    requests: Sequence[BatchRequest],
    *,
    loss: Loss | None = None,
    precision: Precision = Precision.FLOAT32,
    timed: bool = True,
    confidence: float = 0.001,
    iou: float = 0.7,
    max_det: int = 300,
    imgsz: int | None = None,
    names: Sequence[str] | None = None,
    columns: Sequence[int] | None = None,
    first: int = 0,
    record: bool = False,
    tta: bool = False,
    on_batch: Callable[[int], None] = lambda done: None,
    ranks: Ranks = ALONE,
    stop: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """The numbers of a model on a split, the same for any number of processes.

    The batches are dealt to them whole, so that each is computed as one process would; rank 0 puts together what they
    found, in the order of the batches.

    Args:
        model: in eval mode, on its device; or an export in its runtime.
        samples: the split; of tiles, what is found on them is merged, and the numbers are those of their images.
        loader: gives its letterboxed batches.
        requests: the batches.
        loss: measured too when given; not with `tta`.
        precision: in which the model computes.
        timed: measure the seconds of each stage, for which the host waits for the device after each. Otherwise, on
            CUDA, detections are suppressed while the next batch is computed, by a separate thread and stream.
        confidence: lowest score of a detection.
        iou: overlap from which a detection is a repetition.
        max_det: maximum number of detections per image.
        imgsz: longest side of tiles in the batches, pixels; None for that of the model.
        names: the classes of the samples; None for all of the model.
        columns: the model's class that each of them is; detections of others are not looked at. None for all.
        first: number of the split's first image among those of the loader.
        record: keep how the detections of each image match, for `lehr.evaluation.bootstrap`.
        tta: look at several views of each image (`lehr.evaluation.test_time_augmentation`).
        on_batch: called after each batch with the count of images done, by this process.
        ranks: the processes that evaluate together, with equal models.
        stop: asked after each batch whether to leave the rest.

    Raises:
        EvaluationStopped: one of the processes was asked to leave the rest.
        InputError: an image cannot be read, or with a tolerant loader none can.
    """
    device, iou = model.device, iou_of_views(model, iou, tta=tta)
    taken = None if columns is None else torch.tensor(columns, device=device)
    dtype = input_dtype(model, precision) if model.dtype is torch.float32 else model.dtype
    spent = np.zeros(3)
    losses: list[Tensor] = []
    seen: list[tuple[list[int], tuple[str, ...]]] = []
    stopped = False

    def find(boxes: Tensor, scores: Tensor, batch: Batch) -> Rows:
        scores = scores if taken is None else scores[..., taken]
        found = suppress(boxes, scores, confidence=confidence, iou=iou, max_det=max_det).cpu()
        return in_image_pixels(found, batch, samples)

    def of_split(batch: Batch) -> Batch:
        if first == 0:
            return batch
        return dataclasses.replace(batch, indices=torch.where(batch.indices < 0, batch.indices, batch.indices - first))

    def now() -> float:
        if timed and device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    with _Beside(device, find, concurrent=device.type == "cuda" and not timed) as finder:
        start, done = now(), 0
        for batch in map(of_split, DevicePrefetcher(loader, device).batches(ranks.stripe(requests))):
            images = batch.normalized(dtype)
            started = now()
            if tta:
                with autocast(device, precision):
                    boxes, scores = infer(model, images, tta=True)
            else:
                with autocast(device, precision):
                    prediction = model(images)
                boxes, scores = prediction.decode()
                if loss is not None:
                    losses.append(loss(prediction, batch.boxes, batch.classes))
            inferred = now()
            finder.give(boxes, scores, batch)
            ended = now()
            seen.append((batch.indices.tolist(), batch.faults))
            spent += (started - start, inferred - started, ended - inferred)
            done += len(batch)
            on_batch(done)
            start = ended
            if stop():
                stopped = True
                break
        rows = finder.all()
    parts = torch.stack(losses).tolist() if losses else [[]] * len(rows)
    found = [_OfBatch(*columns) for columns in zip(rows, parts, *zip(*seen, strict=True), strict=True)] if seen else []
    gather = ranks.gather((found, stopped), _OfBatch)
    whole: list[Evaluation] = []

    def evaluation() -> Evaluation | None:
        if any(stopped for _, stopped in gather):
            return None
        batches = ranks.unstripe([found for found, _ in gather])
        each = spent / max(done, 1) * len(samples) / max(len(images_of(samples)), 1)
        size = imgsz or model.imgsz
        whole.append(_evaluation(batches, samples, names or model.names, max_det, size, each, loss is not None, record))
        return dataclasses.replace(whole[0], detections=None, samples=())

    result = ranks.broadcast_from_rank0(evaluation, Evaluation, Metrics, ClassMetrics, Seconds, MatchRecord)
    if result is None:
        raise EvaluationStopped
    return whole[0] if whole else result


@dataclass(frozen=True, slots=True)
class _OfBatch:
    """Result of a batch.

    Attributes:
        rows: its detections.
        loss: each part, summed over its images; empty if it was not measured.
        seen: the index of each image in the split; -1 for one that could not be read.
        faults: what was wrong with those.
    """

    rows: Rows
    loss: list[float]
    seen: list[int]
    faults: tuple[str, ...]


def _evaluation(
    batches: Sequence[_OfBatch],
    samples: Sequence[Sample],
    names: Sequence[str],
    max_det: int,
    imgsz: int,
    seconds: NDArray[np.float64],
    with_loss: bool,
    with_record: bool,
) -> Evaluation:
    """The numbers of what was found in all batches, in their order.

    Raises:
        InputError: none of the images can be read.
    """
    detections = np.concatenate([np.zeros((0, 7)), *(batch.rows for batch in batches)])
    seen = [index for batch in batches for index in batch.seen]
    faults = tuple(fault for batch in batches for fault in batch.faults)
    count = max(len(seen), 1)
    if isinstance(samples, TiledSplit):
        detections, seen = on_images(samples, detections, seen, imgsz, max_det)
        samples, faults = samples.images, tuple(dict.fromkeys(faults))
    if faults:
        if len(faults) == len(seen):
            raise InputError(
                f"{faults[0]}\nThe other {counted(len(seen) - 1, 'image')} of the split cannot be read either."
            )
        samples, detections = _only_read(samples, detections, seen)
    metrics, record = measure(samples, names, detections, max_det, with_record)
    losses = tuple(sum(values) / count for values in zip(*(batch.loss for batch in batches), strict=True))
    return Evaluation(
        metrics,
        Seconds(*seconds.tolist()),
        losses if with_loss else None,
        faults,
        record=record,
        detections=detections,
        samples=tuple(samples),
    )


def in_image_pixels(found: Found, batch: Batch, samples: Sequence[Sample]) -> Rows:
    """Detections as rows (n, 7): image index, x1, y1, x2, y2 in the image's own pixels, score, class."""
    of_image = batch.indices[found.images]
    placement = batch.placements[found.images].double()
    scale, offset = placement[:, :2].repeat(1, 2), placement[:, 2:].repeat(1, 2)
    boxes = ((found.boxes.double() - offset) / scale).numpy()
    sizes = np.array([(samples[i].width, samples[i].height) for i in of_image.tolist()], np.float64).reshape(-1, 2)
    boxes = np.clip(boxes, 0, np.tile(sizes, 2))
    columns = (of_image.numpy()[:, None], boxes, found.scores.numpy()[:, None], found.classes.numpy()[:, None])
    return np.concatenate(columns, 1).astype(np.float64)


def _only_read(
    samples: Sequence[Sample], detections: NDArray[np.float64], seen: Sequence[int]
) -> tuple[list[Sample], NDArray[np.float64]]:
    """Samples and detections of the images that could be read, renumbered.

    Args:
        samples: the split.
        detections: (n, 7), the first column the image's index in the split; -1 for images that could not be read.
        seen: the index of each image that was evaluated, -1 for one that could not be read.
    """
    read = sorted(index for index in seen if index >= 0)
    kept = detections[detections[:, 0] >= 0]
    kept[:, 0] = np.searchsorted(read, kept[:, 0])
    return [samples[index] for index in read], kept
