"""Warmups, alone and with every schedule, against float64 formulas at every step of a 300-epoch run."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from lehr.errors import InputError
from lehr.options import ScheduleOptions
from lehr.techniques.plan import COLUMNS, TrainingPlan, plan_training, write_csv
from lehr.techniques.warmup import (
    constant_warmup,
    cosine_warmup,
    first_epoch_steps,
    first_epoch_warmup,
    linear_warmup,
    ramp,
    warmup_steps,
)

EPOCHS, IMAGES, BATCH = 300, 205, 16
BATCHES = 13
STEPS = EPOCHS * BATCHES
STEP = np.arange(STEPS, dtype=np.float64)
EPOCH = STEP // BATCHES


def plan(**options: object) -> TrainingPlan:
    given = ScheduleOptions.model_validate({"optimizer": "SGD", "restart_epochs": 10.0, **options})
    return plan_training(given, epochs=EPOCHS, images=IMAGES, batch=BATCH, classes=3)


def course(name: str) -> np.ndarray:
    """The schedule's multiple at every step, written out anew."""
    if name == "linear":
        return (1 - EPOCH / EPOCHS) * 0.99 + 0.01
    if name == "cosine":
        return 0.01 + 0.99 * (1 + np.cos(np.pi * EPOCH / EPOCHS)) / 2
    if name == "exponential":
        return 0.01 ** (EPOCH / EPOCHS)
    if name == "constant":
        return np.ones(STEPS)
    edges = [0]
    while edges[-1] < EPOCHS:
        edges.append(edges[-1] + 10 * 2 ** (len(edges) - 1))
    which = np.searchsorted(edges, EPOCH, side="right") - 1
    since, length = EPOCH - np.array(edges)[which], 10 * 2.0**which
    return 0.01 + 0.99 * (1 + np.cos(np.pi * since / length)) / 2


SCHEDULES = ("linear", "cosine", "restarts", "exponential", "constant")


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_gradual_warmup_at_every_step(schedule: str) -> None:
    made = plan(lr_schedule=schedule, warmup_epochs=20)
    warm = np.minimum(STEP / 260, 1)
    scheduled = 0.01 * course(schedule)
    rates = [made.at(step) for step in range(STEPS)]
    np.testing.assert_allclose([r.lr_weights for r in rates], warm * scheduled, rtol=1e-12)
    np.testing.assert_allclose([r.lr_norms for r in rates], warm * scheduled, rtol=1e-12)
    np.testing.assert_allclose([r.lr_biases for r in rates], 0.1 + warm * (scheduled - 0.1), rtol=1e-12)
    np.testing.assert_allclose([r.momentum for r in rates], 0.8 + warm * (0.937 - 0.8), rtol=1e-12)
    np.testing.assert_array_equal([r.accumulate for r in rates], np.maximum(1, np.round(1 + warm * 3)))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", ["constant", "linear", "cosine", "first-epoch", "none"])
def test_any_warmup_goes_with_any_schedule_at_every_step(warmup: str, schedule: str) -> None:
    made = plan(lr_schedule=schedule, warmup=warmup, warmup_epochs=20)
    rising = STEP / 260
    left = (STEPS - STEP) / (STEPS - 260)
    multiplier = {
        "constant": np.minimum(rising, 1),
        "linear": np.where(STEP < 260, rising, left),
        "cosine": np.where(STEP < 260, rising, 0.5 + 0.5 * np.cos(np.pi * (1 - left))),
        "first-epoch": np.where(STEP < 12, 0.001 + 0.999 * STEP / 12, 1),
        "none": np.ones(STEPS),
    }[warmup]
    rates = [made.at(step) for step in range(STEPS)]
    expected = 0.01 * course(schedule) * multiplier
    for name in ("lr_weights", "lr_norms", "lr_biases"):
        np.testing.assert_allclose([getattr(r, name) for r in rates], expected, rtol=1e-11, atol=1e-15)
    assert {r.momentum for r in rates} == {0.937}
    first = 1 if warmup == "first-epoch" else 4
    assert [r.accumulate for r in rates] == [first] * BATCHES + [4] * (STEPS - BATCHES)


def test_a_ramp_is_straight_and_then_stays() -> None:
    assert [ramp(step, 4, 0.2, 1.0) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert ramp(0, 0, 0.2, 1.0) == 1.0


def test_multipliers_rise_to_one_and_then_hold_or_fall_to_zero() -> None:
    assert [constant_warmup(s, 2) for s in range(5)] == [0, 0.5, 1, 1, 1]
    assert [linear_warmup(s, 2, 6) for s in range(7)] == [0, 0.5, 1, 0.75, 0.5, 0.25, 0]
    assert [cosine_warmup(s, 2, 6) for s in (0, 1, 2, 4, 6)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert [first_epoch_warmup(s, 2) for s in range(4)] == pytest.approx([0.001, 0.5005, 1, 1])
    assert [linear_warmup(s, 2, 3) for s in (1, 2, 3)] == [0.5, 1, 0]  # a single step after the warmup
    assert [cosine_warmup(s, 2, 3) for s in (1, 2, 3)] == pytest.approx([0.5, 1, 0])
    assert first_epoch_steps(13) == 12 and first_epoch_steps(5000) == 1000


def test_a_warmup_lasts_its_epochs_but_at_least_a_hundred_steps() -> None:
    assert warmup_steps(3, 1000) == 3000
    assert warmup_steps(3, 13) == 100
    assert warmup_steps(0.5, 301) == 150
    assert warmup_steps(0, 1000) == 0


def test_a_warmup_longer_than_the_run_is_an_error_that_says_so() -> None:
    options = ScheduleOptions(warmup_epochs=3)
    with pytest.raises(InputError, match=r"warmup is longer than the run.*200 steps.*100.*--epochs.*--warmup-epochs"):
        plan_training(ScheduleOptions(warmup_epochs=4), epochs=2, images=800, batch=16, classes=3)
    with pytest.raises(InputError, match="longer than the run"):
        plan_training(options, epochs=3, images=160, batch=16, classes=3)  # 100 steps at least, 30 in all
    assert plan_training(options, epochs=3, images=1600, batch=16, classes=3).warmup == 300
    assert plan_training(ScheduleOptions(), epochs=3, images=160, batch=16, classes=3).warmup == 10


def test_weight_decay_is_scaled_by_the_images_of_an_optimizer_step() -> None:
    assert plan().weight_decay == pytest.approx(5e-4)
    assert plan(nominal_batch=24).weight_decay == pytest.approx(5e-4 * 16 * 2 / 24)


def test_the_csv_has_a_row_a_batch(tmp_path: Path) -> None:
    made = plan()
    write_csv(made, tmp_path / "rates.csv")
    rows = list(csv.DictReader((tmp_path / "rates.csv").open()))
    assert len(rows) == STEPS and tuple(rows[0]) == COLUMNS
    for step in (0, 50, 999, STEPS - 1):
        rates = made.at(step)
        assert [float(rows[step][name]) for name in COLUMNS] == [
            step,
            step // BATCHES + 1,
            *rates.lr,
            rates.momentum,
            rates.accumulate,
        ]


def test_a_run_too_short_for_an_optimizer_step_says_that_nothing_is_learned() -> None:
    options = ScheduleOptions(optimizer="SGD", warmup="none")
    (note,) = plan_training(options, epochs=2, images=8, batch=2, classes=1).notes
    assert note.startswith("Nothing is learned: an optimizer step takes 32 batches (--nominal-batch 64)")
    assert plan_training(options, epochs=8, images=8, batch=2, classes=1).notes == ()
