"""What `--deterministic` costs on CUDA: the same steps with the fastest operations and with those that repeat."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch

from lehr.data.batch import Batch
from lehr.engine.compute import Compute
from lehr.engine.device import set_deterministic
from lehr.engine.out_of_memory import is_out_of_memory, release
from lehr.engine.setup import Setup

WARM_UP, TIMED = 3, 10


def tell_cost(setup: Setup, say: Callable[[str], None]) -> None:
    """Measures what `--deterministic` costs, where it costs something, and says it; does nothing without the option."""
    if not setup.config.run.deterministic:
        return
    if setup.device.type != "cuda":
        always = setup.device.type == "cpu"
        say(f"--deterministic: {'a CPU repeats without it' if always else 'has no effect on this device'}.")
        return
    batch = setup.first_batch()
    try:
        fast, repeatable = step_seconds(setup, batch)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        release(setup.device)
        say("--deterministic: too little memory beside the run to measure what it costs.")
        return
    say(f"--deterministic: a step takes {repeatable / fast:.2f} times as long ({_ms(repeatable)} for {_ms(fast)}).")


def step_seconds(setup: Setup, batch: Batch) -> tuple[float, float]:
    """Seconds of forward, loss and backward with the fastest operations and with those that repeat; best of two turns.

    Nothing of the run changes: the steps are made on a copy of the model.

    Args:
        setup: a run on CUDA.
        batch: of its feed.
    """
    compute = Compute(copy.deepcopy(setup.state.model).train(), setup.loss, setup.device)

    def step() -> None:
        torch.autograd.backward(compute.parts(batch, None, setup.state.precision).sum())

    def seconds(deterministic: bool) -> float:
        set_deterministic(deterministic)
        for _ in range(WARM_UP):
            step()
        torch.cuda.synchronize(setup.device)
        started = time.perf_counter()
        for _ in range(TIMED):
            step()
        torch.cuda.synchronize(setup.device)
        return (time.perf_counter() - started) / TIMED

    try:
        times = [(seconds(False), seconds(True)) for _ in range(2)]
    finally:
        set_deterministic(setup.config.run.deterministic)
    return min(fast for fast, _ in times), min(repeatable for _, repeatable in times)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
