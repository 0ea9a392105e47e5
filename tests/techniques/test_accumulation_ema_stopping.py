"""Accumulation, clipping, the average of the weights and early stopping against their formulas, without a trainer."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from lehr.config import build_config
from lehr.errors import InputError
from lehr.options import ScheduleOptions
from lehr.preview import preview
from lehr.search.switches import choose
from lehr.techniques.accumulation import accumulation, scaled_weight_decay
from lehr.techniques.clipping import clip_gradients
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema import ModelEma
from lehr.techniques.ema_decay import ema_decay, resolve_tau
from lehr.techniques.plan import plan_training


@pytest.mark.parametrize(("batch", "expected"), [(1, 64), (16, 4), (24, 3), (64, 1), (200, 1)])
def test_accumulation_meets_the_nominal_batch(batch: int, expected: int) -> None:
    assert accumulation(batch, 64) == expected
    assert scaled_weight_decay(5e-4, batch, 64) == pytest.approx(5e-4 * batch * expected / 64)


@pytest.mark.parametrize("batch", [1, 4, 16, 24, 64])
def test_no_accumulation_leaves_the_weight_decay_as_it_is(batch: int) -> None:
    assert accumulation(batch, 1) == 1
    assert scaled_weight_decay(5e-4, batch, 1) == pytest.approx(5e-4)


def test_batches_above_64_decay_as_published_with_accumulation_and_without() -> None:
    for nominal in (1, 16, 64):
        assert scaled_weight_decay(5e-4, 128, nominal) == pytest.approx(1e-3)
    assert scaled_weight_decay(5e-4, 256, 128) == pytest.approx(1e-3)  # asked for 128: two of those


def test_an_ablation_of_accumulation_compares_nothing_else() -> None:
    config = build_config({"data": "x", "epochs": 100})
    sides = choose(["accumulation"], config)["accumulation"]
    plans = [
        preview(build_config({**config.flat(), **side}), images=5000, classes=3).plan for side in (sides.on, sides.off)
    ]
    on, off = plans
    assert (on.accumulate, off.accumulate) == (4, 1)
    assert on.weight_decay == off.weight_decay == 5e-4
    assert dataclasses.replace(on.optimizer, nominal_batch=1) == off.optimizer
    for step in range(0, on.steps, 97):
        assert dataclasses.replace(on.at(step), accumulate=1) == off.at(step)


def test_the_average_follows_its_formula_buffers_too() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    ema = ModelEma(model, decay=0.9, tau=10)
    expected = {name: value.double().clone() for name, value in model.state_dict().items()}
    rng = np.random.default_rng(0)
    for update in range(1, 8):
        with torch.no_grad():
            for value in model.state_dict().values():
                if value.is_floating_point():
                    value.add_(float(rng.normal()))
        ema.update()
        d = 0.9 * (1 - math.exp(-update / 10))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                expected[name] = d * expected[name] + (1 - d) * value.double()
    for name, value in ema.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)
    assert not ema.model.training and not any(p.requires_grad for p in ema.model.parameters())


def test_tau_is_what_was_given_or_follows_the_length_of_the_run() -> None:
    assert resolve_tau(None, 500) == 2000 == resolve_tau(None, 50_000)
    assert resolve_tau(750.0, 500) == 750
    rng = np.random.default_rng(0)
    for updates in (1, 540, 9_999, 10_000, *rng.integers(1, 300_000, 1000)):
        tau = resolve_tau("auto", int(updates))
        assert tau == pytest.approx(min(2000, int(updates) / math.log(10)), rel=1e-12)
        assert ema_decay(int(updates), 0.9999, tau) >= 0.9999 * 0.9 - 1e-12


def test_the_plan_resolves_tau_from_the_optimizer_steps_of_the_run() -> None:
    def tau(**options: object) -> float:
        given = ScheduleOptions.model_validate(options)
        return plan_training(given, epochs=40, images=205, batch=16, classes=3).ema_tau

    assert tau() == 2000
    assert tau(ema_tau="auto") == pytest.approx(520 / math.log(10))  # 13 batches an epoch, each a step
    assert tau(ema_tau="auto", nominal_batch=64, warmup="none") == pytest.approx(520 / 4 / math.log(10))
    assert tau(ema_tau=123) == 123
    with pytest.raises(InputError, match="--ema-tau is 0; it must be more than 0 updates, or auto"):
        build_config({"ema_tau": 0})


def test_early_stopping_counts_epochs_since_the_best() -> None:
    stopping = EarlyStopping(patience=2)
    seen = [(stopping.update(e, f), stopping.should_stop(e)) for e, f in enumerate([0.1, 0.3, 0.2, 0.3])]
    assert seen == [(True, False), (True, False), (False, False), (False, True)]
    assert (stopping.best, stopping.best_epoch) == (0.3, 1)
    soon = EarlyStopping(patience=1)
    assert [(soon.update(e, f), soon.should_stop(e)) for e, f in enumerate([0.1, 0.1])] == [
        (True, False),
        (False, True),
    ]
    never = EarlyStopping(patience=0)
    assert [never.should_stop(epoch) for epoch in (0, 1000)] == [False, False]


def test_early_stopping_counts_from_the_first_epoch_with_a_result() -> None:
    """Prechelt's count, written out: no epoch before the first result is one without a better result."""
    rng = np.random.default_rng(0)
    for _ in range(1000):
        slow, patience = int(rng.integers(0, 12)), int(rng.integers(1, 6))
        course = [0.0] * slow + np.round(rng.uniform(0, 1, 15), 1).tolist()
        stopping = EarlyStopping(patience)
        stopped = None
        for epoch, fitness in enumerate(course):
            stopping.update(epoch, fitness)
            if stopped is None and stopping.should_stop(epoch):
                stopped = epoch
        expected = None
        for epoch in range(len(course)):
            so_far = course[: epoch + 1]
            if max(so_far) > 0 and epoch - so_far.index(max(so_far)) >= patience:
                expected = epoch
                break
        assert stopped == expected, (course, patience)


def test_a_run_without_any_result_is_not_stopped() -> None:
    stopping = EarlyStopping(patience=5)
    assert [stopping.update(epoch, 0.0) for epoch in range(3)] == [True, False, False]
    assert not any(stopping.should_stop(epoch) for epoch in range(100))
    stopping.update(100, 0.001)
    assert [stopping.should_stop(epoch) for epoch in (104, 105)] == [False, True]


def test_clipping_keeps_the_direction_and_bounds_the_length() -> None:
    def clipped(most: float) -> list[float]:
        parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
        parameters[0].grad, parameters[1].grad = torch.tensor([2.0, 4.0]), torch.tensor([4.0])  # norm 6
        clip_gradients(parameters, most)
        return torch.cat([parameter.grad for parameter in parameters if parameter.grad is not None]).tolist()

    assert clipped(3.0) == pytest.approx([1, 2, 2], rel=1e-5)
    assert clipped(10.0) == [2, 4, 4]
    assert clipped(0) == [2, 4, 4]
