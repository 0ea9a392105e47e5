"""Images per second of the input path, on one core and with workers, and where the time goes.

    python benchmarks/input_pipeline.py [--data DATA] [--imgsz 320] [--batch 16] [--workers 2] [--cache ram]

Images are cached first. One core: processor time of a single thread, so that other work on the machine does not count.
With workers: wall-clock time of the whole path, including the handover of batches. Path of a GPU: crops are packed and
handed over, through the ring of shared memory, or through one shared file per tensor, whose content then has to be
copied to page-locked memory (without a GPU, to other memory). `copied` is what the training process copies, `main` its
processor time per batch, `first` the time to the first batch of an epoch that follows another after a pause.

With `--cache none` or `encoded`, as for data larger than memory: images that are decoded each time, with mosaic
partners from all images and from windows. `decoded` counts how often an image is decoded per epoch.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lehr.augment.colour import jitter_hsv
from lehr.augment.draw import draw
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.data.batch import Batch
from lehr.data.batch_makers import TrainBatches
from lehr.data.cache import ImageStore, open_store
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.data.requests import train_requests
from lehr.options import AugmentOptions
from lehr.sample import Sample
from lehr.techniques.partner_window import WINDOW, ring_images, within_windows

KINDS = {
    "mosaic (defaults)": AugmentOptions(),
    "no mosaic": AugmentOptions(mosaic=0),
    "mosaic, turned and sheared": AugmentOptions(degrees=10, shear=5),
    "mosaic, mixup, copy-paste": AugmentOptions(mixup=0.1, copy_paste=0.1),
}
TURNS = 5
WARMING = 32
"""Batches before the measurement starts."""
PAUSE = 0.3
"""Seconds between two epochs, instead of a validation."""


def one_core(store: ImageStore, options: AugmentOptions, imgsz: int, batch: int) -> float:
    """Images per second of processor time, the best of a few turns through the split."""
    make = TrainBatches(store, options, imgsz, 0, 10**6)
    rates = []
    for turn in range(TURNS):
        start, done = time.thread_time(), 0
        for key in train_requests(store.samples, batch, 0, turn):
            done += len(make(key).indices)
        rates.append(done / (time.thread_time() - start))
    return max(rates)


def stages(store: ImageStore, imgsz: int) -> dict[str, float]:
    """Milliseconds per image of planning, drawing and colours, with the defaults; the best of a few turns."""
    options = AugmentOptions()
    best = dict.fromkeys(("plan", "draw tiles", "colours"), float("inf"))
    out = np.empty((imgsz, imgsz, 3), np.uint8)
    count = len(store.samples)
    for turn in range(TURNS):
        marks = [time.thread_time()]
        plans = [
            plan_sample(store.samples, options, imgsz, seed=0, epoch=turn, index=i, multi_image=True)
            for i in range(count)
        ]
        marks.append(time.thread_time())
        for plan in plans:
            draw(Plan(plan.tiles, plan.boxes, plan.classes), store, out)
        marks.append(time.thread_time())
        for plan in plans:
            jitter_hsv(out, plan.hsv or (1, 1, 1))
        marks.append(time.thread_time())
        for name, seconds in zip(best, np.diff(marks), strict=True):
            best[name] = min(best[name], seconds / count * 1e3)
    return best


def with_workers(store: ImageStore, imgsz: int, batch: int, workers: int) -> float:
    """Images per second of wall-clock time, after the workers have started."""
    loader = Loader(TrainBatches(store, AugmentOptions(), imgsz, 0, 10**6), workers)
    for _ in loader.batches(train_requests(store.samples, batch, 0, 0)):
        pass
    start, done = time.perf_counter(), 0
    for epoch in range(1, 4):
        for made in loader.batches(train_requests(store.samples, batch, 0, epoch)):
            done += len(made.indices)
    return done / (time.perf_counter() - start)


@dataclass(frozen=True, slots=True)
class Handover:
    """Speed and cost of handing batches over to the training process."""

    images_per_second: float
    copied: float  # bytes per image
    main: float  # seconds of processor time per batch
    first: float  # seconds


def handover(
    store: ImageStore, imgsz: int, batch: int, workers: int, ring: bool, turns: int = TURNS, window: int = 0
) -> Handover:
    """Take batches to be drawn on a device from workers, over a few epochs, and discard them."""
    make = TrainBatches(store, AugmentOptions(), imgsz, 0, 10**6, on_device=True)
    pin, memory = torch.cuda.is_available(), torch.full((make.nbytes(batch),), 1, dtype=torch.uint8)
    loader = Loader(make, workers, pin, batch if ring else None)
    images = copied = batches = 0

    def copy(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal copied
        copied += tensor.nbytes
        flat = tensor.permute(sorted(range(tensor.ndim), key=tensor.stride, reverse=True)).reshape(-1)
        return tensor if pin else memory[: tensor.nbytes].copy_(flat.view(torch.uint8))

    def take(epoch: int) -> Iterator[Batch]:
        requests, following = (
            within_windows(train_requests(store.samples, batch, 0, number), window) for number in (epoch, epoch + 1)
        )
        return loader.batches(requests, then=following)

    for _ in itertools.islice(take(0), WARMING):
        pass
    began, spent = time.perf_counter(), time.thread_time()
    for epoch in range(1, turns + 1):
        for each in take(epoch):
            if each.block is None:
                each.map(copy)
            images, batches = images + len(each), batches + 1
    seconds, spent = time.perf_counter() - began, time.thread_time() - spent
    time.sleep(PAUSE)
    began = time.perf_counter()
    next(take(turns + 1))
    return Handover(images / seconds, copied / images, spent / batches, time.perf_counter() - began)


def decoding(samples: Sequence[Sample], cache: str, imgsz: int, batch: int, workers: int) -> None:
    """Print images per second when images are decoded each time, and how often each one is decoded."""
    titles = ("one core", "decoded", f"{workers} workers", "copied, MB/image", "main, ms")
    print(
        "\n" + f"{'images/s, path of a GPU':<28} " + " ".join(f"{title:>{max(9, len(title) + 1)}}" for title in titles)
    )
    for name, window in (("partners of all images", 0), (f"windows of {WINDOW}", WINDOW)):
        count = ring_images(len(samples), window) if window else 0
        store = open_store(samples, imgsz, cache, lambda _: None, ring=count, scaled=window > 0)
        make = TrainBatches(store, AugmentOptions(), imgsz, 0, 10**6, on_device=True)
        decode, decoded, start = store._decoded, 0, time.thread_time()

        def counted(index: int, decode: Callable[[int], NDArray[np.uint8]] = decode) -> NDArray[np.uint8]:
            nonlocal decoded
            decoded += 1
            return decode(index)

        store._decoded = counted  # type: ignore[method-assign]
        for request in within_windows(train_requests(samples, batch, 0, 0), window):
            make(request)
        alone = len(samples) / (time.thread_time() - start)
        found = handover(store, imgsz, batch, workers, True, 1, window)
        print(
            f"{name:<28} {alone:>9.0f} {decoded / len(samples):>9.2f} {found.images_per_second:>10.0f} "
            f"{found.copied / 1e6:>17.2f} {found.main * 1e3:>9.2f}"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", default="ram", choices=("ram", "encoded", "none"))
    given = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    samples = load_dataset(given.data).splits["train"]
    if given.cache != "ram":
        decoding(samples, given.cache, given.imgsz, given.batch, given.workers)
        return
    start = time.perf_counter()
    store = open_store(samples, given.imgsz, "ram", print)
    filled = time.perf_counter() - start
    print(
        f"{given.data} at {given.imgsz}: {len(samples)} images cached in {filled:.2f} s, {store.nbytes / 2**20:.0f} MiB"
    )
    print(f"\n{'one core':<28} {'images/s':>9}")
    for name, options in KINDS.items():
        print(f"{name:<28} {one_core(store, options, given.imgsz, given.batch):>9.0f}")
    print(f"\n{'defaults, stage':<28} {'ms/image':>9}")
    for name, milliseconds in stages(store, given.imgsz).items():
        print(f"{name:<28} {milliseconds:>9.2f}")
    print(f"\n{'defaults, whole path':<28} {'images/s':>9}")
    for workers in (0, given.workers):
        print(f"{f'{workers} workers':<28} {with_workers(store, given.imgsz, given.batch, workers):>9.0f}")
    titles = ("images/s", "per worker", "copied, MB/image", "main, ms", "first, ms")
    print("\n" + f"{'path of a GPU':<28} " + " ".join(f"{title:>{max(9, len(title) + 1)}}" for title in titles))
    for workers, ring in ((1, False), (given.workers, False), (1, True), (given.workers, True)):
        found = handover(store, given.imgsz, given.batch, workers, ring)
        name = f"{workers} workers, {'ring' if ring else 'files'}"
        print(
            f"{name:<28} {found.images_per_second:>9.0f} "
            f"{found.images_per_second / workers:>11.0f} {found.copied / 1e6:>17.2f} {found.main * 1e3:>9.2f} "
            f"{found.first * 1e3:>10.1f}"
        )


if __name__ == "__main__":
    main()
