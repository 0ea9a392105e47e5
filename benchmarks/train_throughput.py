"""Images per second of training: the whole loop, the step alone on batches already on the device, and their ratio.

    python benchmarks/train_throughput.py [--data shapes] [--model yolov8n] [--imgsz 320] [--batch 16] [--steps 12]
                                          [--amp auto] [--compile off] [--augment-on auto] [--epochs 1] [--stages]

The whole loop is the trainer's own, with its loader, its bookkeeping, and everything that a run does between two steps;
the step alone is the trainer's own step, on a few batches made beforehand. They alternate, since a machine's speed
changes by the minute; the ratio is that of their sums. A ratio of 1 means that the device never waits. Validation is
then compared with the forward pass of training on as many images; `--stages` prints the loop's profile, like
`--profile`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lehr.runtime.tuning import tune_process

tune_process()

import torch  # noqa: E402

from lehr.callbacks.console import ConsoleCallback  # noqa: E402
from lehr.callbacks.dispatcher import Dispatcher  # noqa: E402
from lehr.config import build_config  # noqa: E402
from lehr.data.batch import Batch  # noqa: E402
from lehr.data.requests import BatchRequest  # noqa: E402
from lehr.engine.data import epoch_requests  # noqa: E402
from lehr.engine.preflight import warm_up_compile  # noqa: E402
from lehr.engine.setup import Setup, prepare  # noqa: E402
from lehr.engine.trainer import Trainer  # noqa: E402
from lehr.evaluation.evaluator import evaluate  # noqa: E402
from lehr.runtime.console import Console  # noqa: E402
from lehr.runtime.device import configure_backend, describe_device, pick_device  # noqa: E402
from lehr.runtime.stop_request import StopRequest  # noqa: E402


def no_words(text: str) -> None:
    """Discard a message."""


def wait(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def loop_seconds(trainer: Trainer, requests: Sequence[BatchRequest], epochs: int = 1) -> tuple[float, int]:
    """Run some steps as epochs of the trainer's own loop, one after another; return seconds and images."""
    state, device = trainer.state, trainer.setup.device
    wait(device)
    started = time.perf_counter()
    for left in reversed(range(epochs)):
        state.step, state.last_update = 0, -1
        trainer.train_epoch(0, requests, requests if left else ())
    wait(device)
    return time.perf_counter() - started, epochs * sum(len(request.images) for request in requests)


def step_seconds(trainer: Trainer, batches: Sequence[Batch]) -> tuple[float, int]:
    """Run the trainer's own step on existing batches; return seconds and images."""
    trainer.state.step, trainer.state.last_update = 0, -1
    wait(trainer.setup.device)
    started = time.perf_counter()
    for batch in batches:
        trainer.monitor.post(batch, trainer.step(batch))
        trainer.state.step += 1
    wait(trainer.setup.device)
    trainer.monitor.look(wait=True)
    return time.perf_counter() - started, sum(map(len, batches))


def validation_ratio(setup: Setup, batches: list[Any]) -> tuple[float, float]:
    """Seconds per image of a whole validation, and of the forward pass of training."""
    model = setup.state.evaluated_model.eval()
    options = {"loss": setup.loss, "precision": setup.state.precision, "timed": False}
    seconds = []
    for _ in range(3):
        wait(setup.device)
        started = time.perf_counter()
        evaluate(model, setup.val_samples, setup.val_loader, setup.val_requests, **options)  # type: ignore[arg-type]
        wait(setup.device)
        seconds.append(time.perf_counter() - started)
    validation = statistics.median(seconds[1:]) / len(setup.val_samples)
    setup.state.model.train()
    forward = []
    for batch in batches[:4]:
        wait(setup.device)
        started = time.perf_counter()
        setup.forward_loss.parts(batch, None, setup.state.precision)
        wait(setup.device)
        forward.append((time.perf_counter() - started) / len(batch))
    return validation, statistics.median(forward)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--amp", default="auto")
    parser.add_argument("--compile", default="off")
    parser.add_argument("--augment-on", default="auto")
    parser.add_argument("--cuda-graphs", default="auto")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--steps", type=int, default=12, help="steps per turn, at most those of an epoch")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1, help="epochs of these steps per turn of the whole loop")
    parser.add_argument("--stages", action="store_true", help="also print the loop's own profile")
    parser.add_argument("--row", metavar="NAME", help="print a row of a Markdown table with this name instead")
    given = vars(parser.parse_args())
    steps, turns, stages, epochs = (given.pop(name) for name in ("steps", "turns", "stages", "epochs"))
    row = given.pop("row")
    say = print if row is None else no_words
    configure_backend(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        options = {**given, "epochs": 100, "close_mosaic": 0, "project": name, "profile": stages}
        folder = Path(name) / "run"
        folder.mkdir()
        setup = prepare(build_config(options), folder)
        for note in setup.notes:
            say(note)
        warm_up_compile(setup.config.speed.compile, setup.forward_loss, setup.state.precision, setup.first_batch, say)
        output = stack.enter_context(Console(folder / "log", verbose=False))
        stop = stack.enter_context(StopRequest())
        trainer = Trainer(setup, Dispatcher([ConsoleCallback(output)]), stop, output.say)
        stack.callback(trainer.checkpointer.close)
        device, batch = pick_device(given["device"]), setup.config.batch
        class_maps = (0.0,) * len(setup.dataset.names)
        requests = epoch_requests(setup.config, setup.train_samples, class_maps, 0)[:steps]
        loop_seconds(trainer, requests[:3])
        ready = list(setup.feed.batches(requests))
        step_seconds(trainer, ready[:3])
        setup.profile.begin()
        loops, alone = [], []
        for _ in range(turns):
            loops.append(loop_seconds(trainer, requests, epochs))
            setup.profile.pause()
            alone.append(step_seconds(trainer, ready))
            setup.profile.begin()
            a, b = (n / s for s, n in (loops[-1], alone[-1]))
            say(f"turn: whole loop {a:.2f}, step alone {b:.2f} images/s, ratio {a / b:.3f}")
        setup.profile.pause()
        whole, step = (sum(n for _, n in each) / sum(s for s, _ in each) for each in (loops, alone))
        if row is not None:
            memory = torch.cuda.max_memory_reserved(device) / 2**30 if device.type == "cuda" else 0
            named = f"{given['model']}, batch {batch}{row}, {setup.state.precision}"
            print(f"| {named} | {whole:.0f} | {step:.0f} | {whole / step:.2f} | {memory:.1f} |", flush=True)
            return
        print(f"\n{given['model']} at {setup.config.imgsz}, batch {batch}, {describe_device(device)}")
        print(
            f"torch {torch.__version__}, {setup.state.precision}, compile {given['compile']}, {turns} turns of {steps}"
        )
        print(f"{'whole loop':<22}{whole:>9.2f} images/s")
        print(f"{'step alone':<22}{step:>9.2f} images/s")
        print(f"{'ratio':<22}{whole / step:>9.3f}")
        validation, forward = validation_ratio(setup, ready)
        print(
            f"{'validation':<22}{validation * 1e3:>9.2f} ms per image, {validation / forward:.2f} of training forward"
        )
        if stages:
            print(f"\n{setup.profile.table()}")


if __name__ == "__main__":
    main()
