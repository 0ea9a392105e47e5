"""Exponential moving average (EMA) of the weights, which is validated and saved.

`average = d * average + (1 - d) * weights` after each optimizer step, with `d = decay * (1 - exp(-updates / tau))`:
the ramp lets the average forget the random start (Polyak & Juditsky, 1992; Tarvainen & Valpola, 2017). Buffers
(BatchNorm statistics) are averaged too. One fused operation over all tensors.

The number of updates that the average spans, `1 / (1 - d)`, depends on tau: with the published 2,000 it is 1.6 after
1,000 updates, and 2,297 after 16,000. A tau that follows the length of the run makes the average useful in short runs,
too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lehr.models.module_copy import copy_module
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique
from lehr.techniques.ema_decay import PUBLISHED_TAU, ema_decay


class ModelEma:
    """The average of a model's weights and buffers.

    Args:
        model: the trained model.
        decay: largest decay, 0 to 1.
        tau: updates over which the decay rises.

    Attributes:
        model: the averaged model, in eval mode, without gradients.
        updates: number of updates so far.
    """

    def __init__(self, model: nn.Module, decay: float = 0.9999, tau: float = PUBLISHED_TAU) -> None:
        self.model = copy_module(model).eval().requires_grad_(False)
        self.decay = decay
        self.tau = tau
        self.updates = 0
        ours, theirs = self.model.state_dict(keep_vars=True), model.state_dict(keep_vars=True)
        floating = [name for name, value in theirs.items() if value.dtype.is_floating_point]
        self._average: list[Tensor] = [ours[name].detach() for name in floating]
        self._source: list[Tensor] = [theirs[name].detach() for name in floating]

    def decay_at(self, updates: int) -> float:
        """The decay of the given update, counted from 1."""
        return ema_decay(updates, self.decay, self.tau)

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model's current weights."""
        self.updates += 1
        torch._foreach_lerp_(self._average, self._source, 1 - self.decay_at(self.updates))


def _without_effect(run: Run) -> dict[str, NoEffect]:
    return {} if run.config.schedule.ema_decay else {"ema_tau": NoEffect("--ema-decay is 0")}


def _state(run: Run) -> State:
    decay, tau, updates = run.config.schedule.ema_decay, run.plan.ema_tau, run.plan.updates
    window = 1 / (1 - ema_decay(updates, decay, tau))
    return State(
        decay > 0,
        f"decay {decay:g}, rising over {tau:g} updates: at the end, after {updates}, an average over {window:.3g}",
    )


TECHNIQUE = Technique(
    name="average of the weights",
    page="ema",
    section=Section.COURSE,
    order=70,
    options=("ema_decay", "ema_tau"),
    without_effect=_without_effect,
    why="the average is steadier and better than any single step's weights",
    state=_state,
    switches=(Switch("ema", {"ema_decay": 0.9999}, {"ema_decay": 0.0}),),
    code=("techniques/ema_decay.py",),
)
