"""Time of the digests of a step (`--digests`), next to that of a training step on the same device.

    python -m benchmarks.digests [--model yolov8n] [--batch 16] [--imgsz 320] [--device cpu] [--turns 5]

The step is forward, loss and backward, without the optimizer, on noise with 20 objects per image. On a GPU, the digests
are timed alone, waiting for the device; in a run nothing waits for them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from lehr.data.batch import Batch
from lehr.engine.step import ForwardLoss
from lehr.losses.build import build_loss
from lehr.models.build import build_model
from lehr.options import LossOptions
from lehr.runtime.device import configure_backend, describe_device, pick_device, wait_for
from lehr.runtime.tensor_digest import WeightDigests, image_digests, object_digests
from lehr.techniques.precision import Precision

OBJECTS, CLASSES = 20, 80


def a_batch(images: int, imgsz: int, device: torch.device) -> Batch:
    """Make a batch of noise with random objects."""
    draws = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, imgsz, imgsz, 3), dtype=torch.uint8, generator=draws).permute(0, 3, 1, 2)
    corners = torch.rand(images, OBJECTS, 2, generator=draws) * imgsz * 0.7
    boxes = torch.cat((corners, corners + imgsz * (0.05 + 0.2 * torch.rand(images, OBJECTS, 2, generator=draws))), -1)
    classes = torch.randint(0, CLASSES, (images, OBJECTS), generator=draws)
    return Batch(pixels, boxes, classes, torch.arange(images), torch.ones(images, 4)).to(device)


def milliseconds(work: Callable[[], object], device: torch.device, turns: int) -> float:
    """Median time of some work, milliseconds."""
    work()
    times = []
    for _ in range(turns):
        wait_for(device)
        started = time.perf_counter()
        work()
        wait_for(device)
        times.append(time.perf_counter() - started)
    return 1e3 * sorted(times)[turns // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    device = pick_device(given.device)
    configure_backend(device)
    model = build_model(given.model, tuple(map(str, range(CLASSES))), given.imgsz)
    model = model.to(device, memory_format=torch.channels_last).train()
    batch = a_batch(given.batch, given.imgsz, device)
    forward_loss = ForwardLoss(model, build_loss(model, LossOptions(), given.imgsz), device)
    weights = WeightDigests(model.state_dict())

    def step() -> None:
        torch.autograd.backward(forward_loss.parts(batch, None, Precision.FLOAT32).sum())
        model.zero_grad()

    parts: dict[str, Callable[[], object]] = {
        "pixels": lambda: image_digests(batch.images),
        "objects": lambda: object_digests(batch.boxes, batch.classes),
        "weights": weights,
    }
    print(f"{given.model}, {given.batch} images of {given.imgsz} pixels, {describe_device(device)}")
    whole = milliseconds(step, device, given.turns)
    together = 0.0
    for name, work in parts.items():
        taken = milliseconds(work, device, given.turns)
        together += taken
        print(f"{name:>10} {taken:9.2f} ms")
    print(f"{'digests':>10} {together:9.2f} ms, {together / whole:.2%} of a step of {whole:.0f} ms")


if __name__ == "__main__":
    main()
