"""Time of a training step, stage by stage.

    python benchmarks/train_step.py [--model yolov8n] [--imgsz 320] [--batch 16] [--device auto] [--profile]

Trains on images of the generated data set, enlarged to the requested size. On CUDA, it waits for the device after each
stage, so the sum is larger than an undisturbed step, which is also shown.
"""

from __future__ import annotations

import argparse
import time

from lehr.runtime.tuning import tune_process

tune_process()

import torch  # noqa: E402

from lehr.data.batch_makers import TrainBatches  # noqa: E402
from lehr.data.cache import open_store  # noqa: E402
from lehr.data.load import load_dataset  # noqa: E402
from lehr.data.requests import train_requests  # noqa: E402
from lehr.losses.build import build_loss  # noqa: E402
from lehr.models.build import build_model  # noqa: E402
from lehr.options import AugmentOptions, LossOptions  # noqa: E402
from lehr.runtime.device import configure_backend, describe_device, pick_device  # noqa: E402
from lehr.techniques.auto import choose_optimizer  # noqa: E402
from lehr.techniques.clipping import clip_gradients  # noqa: E402
from lehr.techniques.ema import ModelEma  # noqa: E402
from lehr.techniques.optimizer import build_optimizer  # noqa: E402

STAGES = ("input", "to device", "forward", "loss", "backward", "clip", "optimizer", "average")


def main() -> None:
    """Print the milliseconds and the share of each stage, and images per second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--profile", action="store_true", help="also list the most expensive operations")
    given = parser.parse_args()
    device = pick_device(given.device)
    configure_backend(device)
    dataset = load_dataset(given.data)
    samples = dataset.splits["train"]
    make = TrainBatches(open_store(samples, given.imgsz, "ram", print), AugmentOptions(), given.imgsz, 0, 10**6)
    model = build_model(given.model, dataset.names, given.imgsz)
    model = model.to(device, memory_format=torch.channels_last).train()
    choice = choose_optimizer("auto", classes=len(dataset.names), images=1, epochs=1)
    optimizer = build_optimizer(model, choice, 5e-4)
    ema = ModelEma(model)
    measured = build_loss(model, LossOptions(), given.imgsz)
    requests = [key for epoch in range(99) for key in train_requests(samples, given.batch, 0, epoch)]

    def step(index: int, times: list[float] | None) -> None:
        def mark(stage: int) -> None:
            nonlocal last
            if times is not None:
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                times[stage] += time.perf_counter() - last
                last = time.perf_counter()

        last = time.perf_counter()
        batch = make(requests[index])
        mark(0)
        moved = batch.to(device)
        images = moved.normalized()
        mark(1)
        prediction = model(images)
        mark(2)
        loss = measured(prediction, moved.boxes, moved.classes)
        mark(3)
        torch.autograd.backward(loss.sum())
        mark(4)
        clip_gradients(model.parameters(), 10.0)
        mark(5)
        optimizer.step()
        optimizer.zero_grad()
        mark(6)
        ema.update()
        mark(7)

    for index in range(3):
        step(index, None)
    times = [0.0] * len(STAGES)
    for index in range(given.steps):
        step(3 + index, times)
    whole = time.perf_counter()
    for index in range(given.steps):
        step(3 + given.steps + index, None)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    whole = time.perf_counter() - whole

    print(f"{given.model} at {given.imgsz}, batch {given.batch}, {describe_device(device)}, torch {torch.__version__}")
    print(f"{'stage':<12} {'ms':>9} {'share':>7}")
    for name, seconds in zip(STAGES, times, strict=True):
        print(f"{name:<12} {seconds / given.steps * 1e3:>9.1f} {seconds / sum(times):>7.1%}")
    print(f"{'sum':<12} {sum(times) / given.steps * 1e3:>9.1f}")
    print(
        f"undisturbed  {whole / given.steps * 1e3:>9.1f} ms per step, {given.batch * given.steps / whole:.1f} images/s"
    )
    if given.profile:
        with torch.profiler.profile() as profile:
            for index in range(3):
                step(index, None)
        order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
        print(profile.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=45))


if __name__ == "__main__":
    main()
