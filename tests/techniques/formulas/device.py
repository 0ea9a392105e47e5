"""Pages of the section "The device"."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from tests.techniques.formulas.check import INPUTS, Checks, Formula, Values, real, whole
from torch import Tensor, nn

from lehr.models.build import build_model
from lehr.techniques import sync_batch_norm

PROCESSES = 4
VALUES = 12
"""Values of a channel, of all processes."""


def _shares(rng: np.random.Generator) -> dict[str, Values]:
    """Statistics of the values of each process; some processes have none."""
    counts = whole(rng, 0, 9, PROCESSES)
    counts[:, 0] += 1
    return {"n_p": counts, "m_p": real(rng, -5, 5, PROCESSES), "v_p": real(rng, 0, 9, PROCESSES)}


def _statistics(n_p: Values, m_p: Values, v_p: Values) -> list[tuple[Tensor, ...]]:
    """Mean, variance and count of all processes, as one of them computes them from what it is told, an input each."""
    found = []
    for counts, means, variances in zip(*(torch.as_tensor(each) for each in (n_p, m_p, v_p)), strict=True):
        told = torch.stack((means, variances, counts), 1)

        def gather(every: Tensor, _: Tensor, told: Tensor = told) -> None:
            every.copy_(told.flatten())

        group = SimpleNamespace(get_world_size=lambda: PROCESSES, all_gather_into_tensor=gather)
        with patch.object(sync_batch_norm, "dist", group):
            found.append(sync_batch_norm.statistics_of_all(torch.zeros(1, 1, 1, 1, dtype=torch.float64), idle=True))
    return found


def _channels(rng: np.random.Generator) -> dict[str, Values]:
    """Values of a channel each, whose mean and variance are theirs."""
    x = real(rng, -3, 3, VALUES) * real(rng, 0.1, 9)
    return {
        **{"x": x, "m": x.mean(1, keepdims=True), "v": x.var(1, keepdims=True), "eps": np.full((INPUTS, 1), 1e-3)},
        **{"weight": real(rng, -2, 2), "bias": real(rng, -2, 2), "dy": real(rng, -1, 1, VALUES)},
    }


def _only(*names: str) -> Any:
    return lambda rng: {name: value for name, value in _channels(rng).items() if name in names}


def _normalized(
    x: Values, m: Values, v: Values, eps: Values, weight: Values | None, bias: Values | None, dy: Values
) -> tuple[Values, Values]:
    """Output and gradient of a layer whose channels are the inputs, in float64, the process being alone."""

    def channel(value: Values | None) -> Tensor | None:
        return None if value is None else torch.as_tensor(value[:, 0])

    images = torch.as_tensor(x).T.reshape(VALUES, INPUTS, 1, 1).clone().requires_grad_()
    count = torch.tensor(float(VALUES), dtype=torch.float64)
    with patch.object(sync_batch_norm, "dist", SimpleNamespace(all_reduce=lambda _: None)):
        out = sync_batch_norm._Normalize.apply(
            images, channel(weight), channel(bias), channel(m), channel(v), count, float(eps[0, 0]), False
        )
        (gradient,) = torch.autograd.grad(out, images, torch.as_tensor(dy).T.reshape(VALUES, INPUTS, 1, 1).clone())
    return out.detach().view(VALUES, INPUTS).T.numpy(), gradient.view(VALUES, INPUTS).T.numpy()


def _norms(model: str) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in build_model(model, ["a"], 640).modules())


def _statistic(which: int) -> Any:
    """One of mean, variance and count of all processes; what is not given is 0."""

    def code(n_p: Values, m_p: Values | None = None, v_p: Values | None = None) -> Values:
        found = _statistics(n_p, 0 * n_p if m_p is None else m_p, 0 * n_p if v_p is None else v_p)
        return np.array([float(each[which]) for each in found])[:, None]

    return code


def _layer(part: int, **fixed: Any) -> Any:
    """The output (0) or the gradient of the input (1) of a layer; what is not given is without effect."""
    rest = {"weight": None, "bias": None, "dy": np.ones((INPUTS, VALUES)), **fixed}
    return lambda **values: _normalized(**rest | values)[part]


CHECKS: dict[str, Checks] = {
    "sync-batch-norm": Checks(
        formulas={
            "n": Formula(_statistic(2), lambda rng: {"n_p": _shares(rng)["n_p"]}),
            "m": Formula(_statistic(0), lambda rng: {n: _shares(rng)[n] for n in ("n_p", "m_p")}),
            "v": Formula(_statistic(1), _shares),
            "y": Formula(_layer(0), _only("x", "m", "v", "eps", "weight", "bias")),
            "x_n": Formula(_layer(0), _only("x", "m", "v", "eps")),
            "dx": Formula(_layer(1), _only("x", "m", "v", "eps", "weight", "dy")),
        },
        figures={
            "YOLOv8n has {} such layers": _norms("yolov8n"),
            "which makes {} a step": 2 * _norms("yolov8n"),
        },
    ),
}
