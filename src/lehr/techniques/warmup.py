"""Warmups: small rates at first, while BatchNorm's statistics and the random weights settle.

Fresh statistics and random weights give misleading gradients at first (Goyal et al., "Accurate, Large Minibatch
SGD", 2017). Each warmup is a pure function of the step and goes with any schedule:

- gradual (YOLOv5, YOLOv8): each parameter group on its own. Weights and norms rise from 0; biases go from
  `warmup_bias_lr`, with SGD so high that they fall, so that the head's biases find the data's object frequency at once;
  momentum rises from `warmup_momentum`, accumulation from 1. All of them linearly, to the schedule's value.
- constant, linear, cosine: a multiplier of the schedule that rises from 0 to 1 and then holds, falls linearly to 0 at
  the end of the run, or falls as a half cosine wave. (Goyal's own "constant warmup" is a low rate and then a jump.)
- first epoch (YOLOv3): in the first epoch only, a multiplier that rises from 1/1000 to 1.
"""

from __future__ import annotations

import math

from lehr.runtime.counted import counted
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique

MIN_STEPS = 100
FIRST_EPOCH_START = 1 / 1000
FIRST_EPOCH_STEPS = 1000


def warmup_steps(warmup_epochs: float, batches: int) -> int:
    """Steps that a warmup lasts: `max(round(warmup_epochs * batches), 100)`; 0 when it is off.

    Args:
        warmup_epochs: its length, epochs; 0 turns it off.
        batches: batches per epoch.
    """
    return max(round(warmup_epochs * batches), MIN_STEPS) if warmup_epochs > 0 else 0


def ramp(step: int, steps: int, start: float, end: float) -> float:
    """Gradual: the value on the line from `start` at step 0 to `end` at step `steps`, and `end` from there on."""
    if step >= steps:
        return end
    return start + (end - start) * step / steps


def constant_warmup(step: int, steps: int) -> float:
    """Rises as `s/W` from 0 to 1, then holds at 1.

    Args:
        step: s, from 0.
        steps: W, length of the warmup.
    """
    return step / steps if step < steps else 1.0


def linear_warmup(step: int, steps: int, total: int) -> float:
    """Rises as `s/W` from 0 to 1, then falls as `(S - s)/(S - W)` to 0 at the end of the run.

    Args:
        step: s, from 0.
        steps: W, length of the warmup.
        total: S, steps of the run.
    """
    return step / steps if step < steps else (total - step) / max(1, total - steps)


def cosine_warmup(step: int, steps: int, total: int) -> float:
    """Rises as `s/W` from 0 to 1, then falls as `(1 + cos(pi (s - W)/(S - W)))/2` to 0 at the end of the run.

    Args:
        step: s, from 0.
        steps: W, length of the warmup.
        total: S, steps of the run.
    """
    if step < steps:
        return step / steps
    return (1 + math.cos(math.pi * (step - steps) / max(1, total - steps))) / 2


def first_epoch_steps(batches: int) -> int:
    """Steps of YOLOv3's warmup: `min(1000, batches - 1)`, batches being those of an epoch."""
    return min(FIRST_EPOCH_STEPS, batches - 1)


def first_epoch_warmup(step: int, steps: int) -> float:
    """Rises as `(1 - s/W)/1000 + s/W` from 1/1000 to 1 within the first epoch, then holds at 1.

    Args:
        step: s, from 0.
        steps: W, from `first_epoch_steps`.
    """
    return ramp(step, steps, FIRST_EPOCH_START, 1.0)


def _without_effect(run: Run) -> dict[str, NoEffect]:
    options, kind = run.config.schedule, run.config.schedule.warmup
    found = {}
    if kind in ("none", "first-epoch"):
        found["warmup_epochs"] = NoEffect(f"--warmup is {kind}")
    if kind in ("gradual", "constant") and run.plan.warmup == 0:
        why = "--warmup-epochs is 0" if options.warmup_epochs == 0 else "the run has too few steps"
        found = dict.fromkeys(("warmup_momentum", "warmup_bias_lr"), NoEffect(why))
        found["warmup"] = NoEffect(why, acts_as="none")
    elif kind == "first-epoch" and run.plan.batches == run.plan.accumulate == 1:
        found["warmup"] = NoEffect("an epoch has one batch", acts_as="none")
    if kind != "gradual":
        found |= dict.fromkeys(("warmup_momentum", "warmup_bias_lr"), NoEffect(f"--warmup is {kind}"))
    return found


TECHNIQUE = Technique(
    name="warmup",
    page="warmup",
    section=Section.COURSE,
    order=30,
    options=("warmup", "warmup_epochs", "warmup_momentum", "warmup_bias_lr"),
    without_effect=_without_effect,
    why="random weights and fresh statistics mislead at first",
    state=lambda run: State(run.plan.warmup > 0, f"{run.config.schedule.warmup}, {counted(run.plan.warmup, 'step')}"),
    switches=(Switch("warmup", {"warmup": "gradual"}, {"warmup": "none"}),),
)
