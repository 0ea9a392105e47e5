"""Pages of the section "The device"."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from tests.augment.test_on_device import PLANS
from tests.techniques.formulas.check import INPUTS, Checks, Formula, Values, each, real, whole
from torch import Tensor, nn

from lehr.augment.colour import HUES
from lehr.augment.draw_on_device import draw_canvases
from lehr.engine.autobatch import MAX_SECONDS, MIN_BATCH_ON_CPU, SIZES_OF_LINE
from lehr.engine.step_graphs import MAX_GRAPHS, WARM_STEPS
from lehr.models.build import build_model
from lehr.techniques import autobatch, precision_check, sync_batch_norm
from lehr.techniques.accumulation import accumulation
from lehr.techniques.auto import NOMINAL_BATCH
from lehr.techniques.precision import Precision

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
    for counts, means, variances in zip(*(torch.as_tensor(part) for part in (n_p, m_p, v_p)), strict=True):
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


def _memory(rng: np.random.Generator) -> dict[str, Values]:
    return {"base": whole(rng, 0, 1e9), "slope": whole(rng, 1, 1e9), "batch": whole(rng, 1, 512)}


def _line(base: int, slope: int) -> list[autobatch.Measured]:
    return [autobatch.Measured(size, base + slope * size, 1.0) for size in SIZES_OF_LINE]


def _from_line(base: int, slope: int, batch: int) -> float:
    found_base, found_slope = autobatch.memory_line(_line(base, slope))
    return found_base + found_slope * batch


def _largest(base: int, slope: int, budget: float) -> int:
    return autobatch.largest_fitting(_line(base, slope), budget)


def _rounded_down(limit: int) -> tuple[int, int, int]:
    """The batch of a limit, the nominal batch, and the images of an optimizer step."""
    batch = autobatch.fitting_nominal(limit, NOMINAL_BATCH)
    return batch, NOMINAL_BATCH, accumulation(batch, NOMINAL_BATCH) * batch


def _budgets(rng: np.random.Generator) -> dict[str, Values]:
    """Budgets that are never just a whole number of images."""
    base, slope = whole(rng, 0, 1e9), whole(rng, 2, 1e8)
    return {"base": base, "slope": slope, "budget": base + slope * (whole(rng, 1, 300) + real(rng, 0.1, 0.9))}


def _batches(rng: np.random.Generator) -> dict[str, Values]:
    nominal = whole(rng, 1, 256)
    return {"nominal": nominal, "batch": whole(rng, 1, nominal)}


def _gradients(*names: str) -> Any:
    return lambda rng: {name: real(rng, -1, 1, VALUES) for name in names}


def _compared(low: list[float], full: list[float]) -> precision_check.PrecisionCheck:
    """The verdict on a gradient, all else being equal."""
    same = torch.ones(1, 1, 4, dtype=torch.float64)
    truth, tried = (
        precision_check._Pass(same, same, 1.0, torch.tensor(gradient, dtype=torch.float64)) for gradient in (full, low)
    )
    return precision_check._compared(Precision.BFLOAT16, truth, tried, None, 1.0)


def _noise(a: list[float], b: list[float]) -> float:
    """The sampling noise of two halves of a batch whose gradients these are."""
    halves = iter([SimpleNamespace(gradient=torch.tensor(each, dtype=torch.float64)) for each in (a, b)])
    images: Any = [0, 1]
    with patch.object(precision_check, "_compute", lambda *_: next(halves)):
        noise = precision_check._sampling_noise(None, None, images, images, images)  # type: ignore[arg-type]
    assert noise is not None
    return noise


def _bits(dtype: torch.dtype) -> int:
    return 1 - round(math.log2(torch.finfo(dtype).eps))


def _documented(pattern: str) -> str:
    """A bound that `draw_canvases` promises, and its tests hold it to."""
    found = re.search(pattern, " ".join((draw_canvases.__doc__ or "").split()))
    assert found
    return found[1]


CHECKS: dict[str, Checks] = {
    "autobatch": Checks(
        formulas={
            "memory": Formula(each(_from_line), _memory),
            "fits": Formula(
                each(lambda base, slope, budget: autobatch.largest_fitting(_line(base, slope), budget)), _budgets
            ),
            "together": Formula(each(lambda nominal, batch: accumulation(batch, nominal) * batch), _batches),
            "near": Formula(each(lambda nominal, batch: autobatch.fitting_nominal(batch, nominal) == batch), _batches),
        },
        figures={
            "through batches of {}, {}, {}, {} and {}": SIZES_OF_LINE,
            "{}% unless you say another": round(100 * autobatch.MEMORY_FRACTION),
            "from {} on": MIN_BATCH_ON_CPU,
            "within {}% of the fastest": round(100 * (1 - autobatch.AS_FAST)),
            "({} for {}: two make {})": _rounded_down(31),
            "after {} seconds": round(MAX_SECONDS),
        },
    ),
    "compiled-steps": Checks(),
    "cuda-graphs": Checks(figures={"after {} steps of it": WARM_STEPS, "at most {}": MAX_GRAPHS}),
    "drawing-on-the-device": Checks(
        figures={
            "at most {} level in tiles": _documented(r"Upright tiles: at most (\d+) level off"),
            "at most {} on average": _documented(r"at most ([\d.]+) on average"),
            "which has {} steps": HUES,
            "over {} random plans": PLANS,
        },
    ),
    "mixed-precision": Checks(
        formulas={
            "cosine": Formula(each(lambda **both: _compared(**both).cosine), _gradients("low", "full")),
            "error": Formula(each(lambda **both: _compared(**both).gradient_error), _gradients("low", "full")),
            "noise": Formula(each(_noise), _gradients("a", "b")),
        },
        figures={
            "numbers of {} bits": torch.finfo(torch.float16).bits,
            "and {} bits of precision": _bits(torch.bfloat16),
            "has {} bits, and reaches {};": (_bits(torch.float16), round(torch.finfo(torch.float16).max)),
            "after {} steps without one": torch.amp.GradScaler("cpu").get_growth_interval(),
            "by more than {}%;": round(100 * precision_check.MAX_LOSS_ERROR),
            "of the {} best-scored": precision_check.BEST_ROWS,
            "of float32 is below {},": precision_check.MIN_OVERLAP,
            "move by more than {}%;": round(100 * precision_check.MAX_SHIFT),
            "is below {}; or": precision_check.MIN_COSINE,
            "above both {} and": precision_check.SMALL_ERROR,
        },
    ),
    "non-finite-steps": Checks(),
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
            "which makes {} per step": 2 * _norms("yolov8n"),
        },
    ),
}
