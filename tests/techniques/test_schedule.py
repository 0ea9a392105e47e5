"""Schedules equal their formulas at every step of a long run, and torch's `LambdaLR` carries them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from lehr.options import ScheduleOptions
from lehr.techniques import schedule
from lehr.techniques.plan import plan_training
from lehr.techniques.schedule import (
    build_schedule,
    constant,
    cosine,
    describe_misfit,
    exponential,
    fitted_period,
    linear,
    restarts,
    schedule_name,
)

EPOCHS, LRF = 300, 0.01
X = np.arange(EPOCHS, dtype=np.float64)


def slow_restarts(epochs: int, lrf: float, period: int, factor: int) -> list[float]:
    """Each course written out one after the other."""
    values: list[float] = []
    while len(values) < epochs:
        values += [lrf + (1 - lrf) * (1 + np.cos(np.pi * t / period)) / 2 for t in range(period)]
        period *= factor
    return values[:epochs]


FORMULAS = {
    "linear": (partial(linear, epochs=EPOCHS, lrf=LRF), (1 - X / EPOCHS) * (1 - LRF) + LRF),
    "cosine": (partial(cosine, epochs=EPOCHS, lrf=LRF), LRF + (1 - LRF) * np.cos(np.pi * X / EPOCHS / 2) ** 2),
    "exponential": (partial(exponential, epochs=EPOCHS, lrf=LRF), np.exp(np.log(LRF) * X / EPOCHS)),
    "constant": (constant, np.ones(EPOCHS)),
    "restarts": (partial(restarts, lrf=LRF, period=10, factor=2), np.array(slow_restarts(EPOCHS, LRF, 10, 2))),
    "restarts of one length": (
        partial(restarts, lrf=LRF, period=7, factor=1),
        np.array(slow_restarts(EPOCHS, LRF, 7, 1)),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_schedule_equals_its_formula_in_every_epoch(name: str) -> None:
    course, expected = FORMULAS[name]
    np.testing.assert_allclose([course(x) for x in range(EPOCHS)], expected, rtol=1e-12, atol=1e-14)


def test_schedules_go_from_one_to_lrf() -> None:
    for course in (linear, cosine, exponential):
        values = [course(x, 50, 0.1) for x in range(51)]
        assert values[0] == pytest.approx(1) and values[-1] == pytest.approx(0.1)
        assert values == sorted(values, reverse=True)


def test_a_restart_jumps_back_to_one_and_the_next_course_is_longer() -> None:
    values = [restarts(x, lrf=0.1, period=4, factor=2) for x in range(13)]
    assert [x for x, value in enumerate(values) if value == 1] == [0, 4, 12]


@pytest.mark.parametrize("name", FORMULAS)
def test_torch_carries_a_schedule(name: str) -> None:
    course, expected = FORMULAS[name]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.02)
    carried = torch.optim.lr_scheduler.LambdaLR(optimizer, course)
    rates = []
    for _ in range(EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        carried.step()
    np.testing.assert_allclose(rates, 0.02 * expected, rtol=1e-12)


def test_options_name_a_schedule_and_cos_lr_is_its_familiar_name() -> None:
    assert schedule_name(ScheduleOptions()) == "linear"
    assert schedule_name(ScheduleOptions(cos_lr=True)) == "cosine"
    assert schedule_name(ScheduleOptions(cos_lr=True, lr_schedule="constant")) == "constant"
    for name in ("linear", "cosine", "exponential", "constant", "restarts"):
        options = ScheduleOptions(lr_schedule=name, lrf=LRF, restart_epochs=10, restart_factor=2)
        built = build_schedule(options, EPOCHS)
        np.testing.assert_allclose([built(x) for x in range(EPOCHS)], FORMULAS[name][1], rtol=1e-12, atol=1e-14)


def test_the_course_of_restarts_follows_its_options() -> None:
    for period, factor in ((10, 3), (4, 1)):
        options = ScheduleOptions(lr_schedule="restarts", lrf=LRF, restart_epochs=period, restart_factor=factor)
        built = build_schedule(options, 100)
        np.testing.assert_allclose([built(x) for x in range(100)], slow_restarts(100, LRF, period, factor), rtol=1e-12)
    assert [restarts(x, LRF, 5) for x in range(20)] == [restarts(x, LRF, 5, 2) for x in range(20)]  # the default


def test_restarts_end_with_the_run_unless_their_length_is_given() -> None:
    rng = np.random.default_rng(0)
    cases = [(100, 2.0), (18, 2.0), (40, 1.0), (300, 3.0), (4, 2.0)]
    cases += [(int(rng.integers(4, 600)), float(rng.uniform(1, 2.5))) for _ in range(1000)]
    for epochs, factor in cases:
        options = ScheduleOptions(lr_schedule="restarts", lrf=LRF, restart_factor=factor)
        built, period = build_schedule(options, epochs), fitted_period(epochs, factor)
        edges, length = [0.0], period
        while edges[-1] < epochs - 1e-6:
            edges.append(edges[-1] + length)
            length *= factor
        assert edges[-1] == pytest.approx(epochs, abs=1e-6) and len(edges) > 2
        last = edges[-1] - edges[-2]
        assert built(epochs - 1) == pytest.approx(LRF + (1 - LRF) * (1 + np.cos(np.pi * (1 - 1 / last))) / 2, abs=1e-6)
        assert describe_misfit(options, epochs) is None


def test_the_first_course_is_as_near_to_ten_epochs_as_fits() -> None:
    for epochs in range(4, 400):
        for factor in (1.0, 1.5, 2.0, 3.0):
            counts = range(2, 2 + epochs)
            fits = [epochs / sum(factor**course for course in range(count)) for count in counts]
            best = min((abs(np.log(fit / 10)) for fit in fits if fit >= 1), default=None)
            if best is not None:
                assert abs(np.log(fitted_period(epochs, factor) / 10)) == pytest.approx(best)
    assert (fitted_period(70), fitted_period(150), fitted_period(1)) == (10, 10, 1)


@pytest.mark.parametrize(
    ("epochs", "period", "factor", "fitting"),
    [(100, 10, 2, "70 or 150"), (30, 50, 2, "50"), (25, 7.5, 2, "23 or 53"), (24, 10, 1, "20 or 30")],
)
def test_lengths_that_do_not_fit_are_told_with_the_nearest_that_do(
    epochs: int, period: float, factor: float, fitting: str
) -> None:
    options = ScheduleOptions(lr_schedule="restarts", lrf=LRF, restart_epochs=period, restart_factor=factor)
    said = describe_misfit(options, epochs)
    assert said is not None and f"end with --epochs {fitting};" in said
    for length in map(int, fitting.split(" or ")):
        assert describe_misfit(options, length) is None
        assert build_schedule(options, length)(length - 1) < 0.05
    assert describe_misfit(ScheduleOptions(restart_epochs=period), epochs) is None  # another schedule
    assert said in plan_training(options, epochs=epochs, images=100, batch=16, classes=3).notes


def test_every_schedule_documents_its_formula() -> None:
    for function in (linear, cosine, restarts, exponential):
        assert "`" in (function.__doc__ or "") and function.__module__ == schedule.__name__
