"""Images a second of the input path, on one core and with workers, and where the time goes.

    python benchmarks/input_pipeline.py [--data DATA] [--imgsz 320] [--batch 16] [--workers 2]

Images are cached first. One core: seconds of processor time of a single thread, so other work on the machine does not
count. With workers: wall-clock time of the whole path, batches handed over included.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np
import torch

from lehr.augment.colour import jitter_hsv
from lehr.augment.draw import draw
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.data.batch_makers import TrainBatches
from lehr.data.cache import ImageStore, open_store
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.data.requests import train_requests
from lehr.options import AugmentOptions

KINDS = {
    "mosaic (defaults)": AugmentOptions(),
    "no mosaic": AugmentOptions(mosaic=0),
    "mosaic, turned and sheared": AugmentOptions(degrees=10, shear=5),
    "mosaic, mixup, copy-paste": AugmentOptions(mixup=0.1, copy_paste=0.1),
}
TURNS = 5


def one_core(store: ImageStore, options: AugmentOptions, imgsz: int, batch: int) -> float:
    """Images a second of processor time, the best of a few turns through the split."""
    make = TrainBatches(store, options, imgsz, 0, 10**6)
    rates = []
    for turn in range(TURNS):
        start, done = time.thread_time(), 0
        for key in train_requests(store.samples, batch, 0, turn):
            done += len(make(key).indices)
        rates.append(done / (time.thread_time() - start))
    return max(rates)


def stages(store: ImageStore, imgsz: int) -> dict[str, float]:
    """Milliseconds an image of planning, drawing and colours, with the defaults; the best of a few turns."""
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
    """Images a second of wall-clock time, after the workers have started."""
    loader = Loader(TrainBatches(store, AugmentOptions(), imgsz, 0, 10**6), workers)
    for _ in loader.batches(train_requests(store.samples, batch, 0, 0)):
        pass
    start, done = time.perf_counter(), 0
    for epoch in range(1, 4):
        for made in loader.batches(train_requests(store.samples, batch, 0, epoch)):
            done += len(made.indices)
    return done / (time.perf_counter() - start)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    samples = load_dataset(given.data).splits["train"]
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


if __name__ == "__main__":
    main()
