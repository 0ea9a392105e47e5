"""Each technique against its formula, without a trainer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from lehr.config import ScheduleOptions
from lehr.models.build import build_model
from lehr.techniques.accumulation import accumulation, scaled_weight_decay
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema import ModelEma
from lehr.techniques.optimizer import build_optimizer, choose_optimizer, parameter_groups, set_rates
from lehr.techniques.plan import TrainingPlan
from lehr.techniques.schedule import cosine, linear
from lehr.techniques.warmup import ramp, warmup_steps


def test_schedules_go_from_one_to_lrf() -> None:
    for course in (linear, cosine):
        values = [course(x, 50, 0.1) for x in range(51)]
        assert values[0] == pytest.approx(1) and values[-1] == pytest.approx(0.1)
        assert values == sorted(values, reverse=True)
    assert linear(25, 50, 0.1) == pytest.approx(0.55) == cosine(25, 50, 0.1)
    assert cosine(10, 50, 0) == pytest.approx((1 + math.cos(math.pi / 5)) / 2)


def test_warmup_lasts_its_epochs_but_at_least_a_hundred_steps() -> None:
    assert warmup_steps(3, 1000) == 3000
    assert warmup_steps(3, 13) == 100
    assert warmup_steps(0.5, 301) == 150
    assert warmup_steps(0, 1000) == 0


def test_a_ramp_is_straight_and_then_stays() -> None:
    assert [ramp(step, 4, 0.2, 1.0) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert ramp(0, 0, 0.2, 1.0) == 1.0


@pytest.mark.parametrize(("batch", "expected"), [(1, 64), (16, 4), (24, 3), (64, 1), (200, 1)])
def test_accumulation_meets_the_nominal_batch(batch: int, expected: int) -> None:
    assert accumulation(batch, 64) == expected
    assert scaled_weight_decay(5e-4, batch, 64) == pytest.approx(5e-4 * batch * expected / 64)


def test_the_plan_of_a_run_follows_the_published_warmup() -> None:
    choice = choose_optimizer("SGD", classes=3, iterations=10**5, lr0=0.01)
    plan = TrainingPlan(ScheduleOptions(), choice, epochs=100, batches=50, batch=16)
    start, middle, end = plan.at(0), plan.at(75), plan.at(150)
    assert plan.warmup == 150
    assert start.lr == (0, 0, 0.1) and start.momentum == pytest.approx(0.8) and start.accumulate == 1
    epoch_one = 0.01 * linear(1, 100, 0.01)
    assert middle.lr_weights == pytest.approx(epoch_one / 2) and middle.lr_norms == middle.lr_weights
    assert middle.lr_biases == pytest.approx((0.1 + epoch_one) / 2)
    assert middle.momentum == pytest.approx((0.8 + 0.937) / 2)
    assert middle.accumulate == round((1 + 4) / 2)
    assert end.lr == (pytest.approx(0.01 * linear(3, 100, 0.01)),) * 3
    assert end.accumulate == 4 and end.momentum == 0.937
    assert plan.at(99 * 50).lr_weights == pytest.approx(0.01 * linear(99, 100, 0.01))


def test_auto_takes_adamw_for_short_runs_and_sgd_for_long_ones_and_what_is_given_wins() -> None:
    short = choose_optimizer("auto", classes=3, iterations=520)
    assert (short.name, short.lr0, short.momentum, short.warmup_bias_lr) == ("AdamW", 0.001429, 0.9, 0.0)
    long = choose_optimizer("auto", classes=3, iterations=10_001)
    assert (long.name, long.lr0, long.momentum, long.warmup_bias_lr) == ("SGD", 0.01, 0.9, 0.1)
    given = choose_optimizer("auto", classes=3, iterations=1, lr0=0.5, momentum=0.3, warmup_bias_lr=0.2)
    assert (given.lr0, given.momentum, given.warmup_bias_lr) == (0.5, 0.3, 0.2)
    assert choose_optimizer("SGD", classes=3, iterations=1).momentum == 0.937


def test_parameters_are_weights_norms_and_biases_each_once_and_only_weights_decay() -> None:
    model = build_model("yolov8n", ("a", "b"))
    groups = parameter_groups(model)
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert sum(map(len, groups.values())) == len(trainable)
    assert all(p.ndim == 4 for p in groups["weights"]) and all(p.ndim == 1 for p in groups["norms"] + groups["biases"])
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert len(groups["norms"]) == norms and len(groups["biases"]) == norms + 6
    optimizer = build_optimizer(model, choose_optimizer("SGD", classes=2, iterations=1), 0.1)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0, 0]


@pytest.mark.parametrize(("name", "kind"), [("SGD", torch.optim.SGD), ("AdamW", torch.optim.AdamW)])
def test_optimizers_are_torch_and_take_rates_and_momentum(name: str, kind: type) -> None:
    model = build_model("yolov8n", ("a",))
    optimizer = build_optimizer(model, choose_optimizer(name, classes=1, iterations=1), 0)
    assert isinstance(optimizer, kind)
    set_rates(optimizer, (0.1, 0.2, 0.3), 0.77)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2, 0.3]
    for group in optimizer.param_groups:
        assert (group["betas"][0] if "betas" in group else group["momentum"]) == 0.77


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


def test_early_stopping_counts_epochs_since_the_best() -> None:
    stopping = EarlyStopping(patience=2)
    seen = [(stopping.update(e, f), stopping.should_stop(e)) for e, f in enumerate([0.1, 0.3, 0.2, 0.3])]
    assert seen == [(True, False), (True, False), (False, False), (False, True)]
    assert (stopping.best, stopping.best_epoch) == (0.3, 1)
    never = EarlyStopping(patience=0)
    assert [never.should_stop(epoch) for epoch in (0, 1000)] == [False, False]
