"""`--compile`: the code is made before the first step, and what it costs and brings is said."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from lehr.data.batch import Batch
from lehr.engine.device import wait_for
from lehr.engine.out_of_memory import is_out_of_memory
from lehr.engine.setup import Setup
from lehr.models.unchanged import unchanged
from lehr.techniques.freezing import hold_statistics

TIMED = 3
"""Steps of each kind that are timed; the fastest counts."""


def make_code(setup: Setup, say: Callable[[str], None]) -> None:
    """Has the code of a training step made, where that was asked for; nothing of the run changes.

    Where it cannot be made, the run goes on without, aloud.

    Args:
        setup: the run.
        say: told what it cost, and what a step takes with and without.
    """
    mode, state, compute = setup.config.speed.compile, setup.state, setup.compute
    if mode == "off":
        return
    if len(gradients := [each for each in state.model.parameters() if each.grad is not None]) > 0:
        say(f"--compile {mode}: the code is made in the first step ({len(gradients)} gradients are under way).")
        return
    batch = setup.first_batch()
    say(f"--compile {mode}: making the code of a step; with a cache from earlier runs this is quicker.")
    state.model.train()
    hold_statistics(state.model)
    with unchanged(state.model):
        started = time.perf_counter()
        try:
            _seconds(setup, batch)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            compute.enabled = False
            reason = str(error).strip().splitlines()[0]
            say(f"--compile {mode}: cannot be done here, so the run goes on without it: {reason}")
            return
        made = time.perf_counter() - started
        fast = min(_seconds(setup, batch) for _ in range(TIMED))
        compute.enabled = False
        plain = min(_seconds(setup, batch) for _ in range(TIMED))
        compute.enabled = True
    say(
        f"--compile {mode}: made in {made:.0f} s; forward, loss and backward take {fast * 1e3:.1f} ms for "
        f"{plain * 1e3:.1f} ms without."
    )


def _seconds(setup: Setup, batch: Batch) -> float:
    """Seconds of forward, loss and backward."""
    wait_for(setup.device)
    started = time.perf_counter()
    torch.autograd.backward(setup.compute.parts(batch, None, setup.state.precision).sum())
    setup.state.model.zero_grad()
    wait_for(setup.device)
    return time.perf_counter() - started
