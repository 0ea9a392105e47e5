"""Gradient clipping: the direction of a gradient is kept, its length bounded.

`g <- g min(1, c / |g|)`, with `|g|` the norm over all parameters (Pascanu, Mikolov & Bengio, 2013).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from lehr.technique import Section, State, Switch, Technique


def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale down the gradients, in place and without waiting for the device, if their norm is above a bound.

    Args:
        parameters: their gradients are taken together.
        max_norm: c, the largest norm; 0 changes nothing.

    Returns:
        (), the norm before.
    """
    parameters = list(parameters)
    if max_norm > 0:
        return torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    return torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])


TECHNIQUE = Technique(
    name="gradient clipping",
    page="clipping",
    section=Section.COURSE,
    order=50,
    options=("clip_norm",),
    why="one outlier batch cannot ruin the weights",
    state=lambda run: State(run.config.schedule.clip_norm > 0, f"norm at most {run.config.schedule.clip_norm:g}"),
    switches=(Switch("clipping", {"clip_norm": 10.0}, {"clip_norm": 0.0}, aliases=("clip_norm",)),),
)
