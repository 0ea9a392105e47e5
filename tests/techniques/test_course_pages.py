"""Pages on the course of a run say what the code does: their tables and figures are worked out anew."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from lehr.config import build_config
from lehr.options import ScheduleOptions
from lehr.techniques.auto import MIN_UPDATES, NOMINAL_BATCH, SGD_ITERATIONS, choose_optimizer
from lehr.techniques.ema_decay import FINAL_SPAN, PUBLISHED_TAU, resolve_tau
from lehr.techniques.plan import TrainingPlan, plan_training

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    return (ROOT / "docs" / "techniques" / f"{name}.md").read_text(encoding="utf-8")


def flowing(text: str) -> str:
    return " ".join(text.split())


def table(text: str, first: str) -> list[dict[str, str]]:
    """Rows of the table whose first column has this head, by column."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def plan(images: int, epochs: int, batch: int = 16, classes: int = 5, **options: Any) -> TrainingPlan:
    given = ScheduleOptions.model_validate(options)
    return plan_training(given, epochs=epochs, images=images, batch=batch, classes=classes)


def optimizer_steps(made: TrainingPlan) -> int:
    """Optimizer steps of a run, a batch at a time, as the trainer makes them."""
    done, last = 0, -1
    for step in range(made.steps):
        if step - last >= made.at(step).accumulate:
            done, last = done + 1, step
    return done


@pytest.mark.parametrize("row", table(page("optimizers"), "images"), ids=lambda row: f"{row['images']}x{row['epochs']}")
def test_the_worked_out_rule_of_auto_is_what_runs_do(row: dict[str, str]) -> None:
    images, epochs, batch, classes = (int(row[name]) for name in ("images", "epochs", "batch", "classes"))
    made = plan(images, epochs, batch, classes)
    choice = made.optimizer
    iterations = int(row["iterations"])
    assert iterations == (images + max(batch, 64) - 1) // max(batch, 64) * epochs
    assert row["optimizer"] == choice.name == ("SGD" if iterations > 10_000 else "AdamW")
    assert float(row["`lr0`"]) == pytest.approx(choice.lr0, abs=5e-7)
    assert float(row["`warmup_bias_lr`"]) == choice.warmup_bias_lr
    assert int(row["nominal batch"]) == choice.nominal_batch
    assert int(row["optimizer steps"]) == made.updates


@pytest.mark.parametrize(
    ("images", "epochs", "batch", "options"),
    [
        (205, 40, 16, {}),
        (500, 7, 16, {}),
        (801, 12, 8, {}),
        (1000, 9, 24, {"warmup": "first-epoch"}),
        (333, 5, 16, {"warmup": "none", "optimizer": "SGD"}),
        (1600, 6, 4, {"warmup_epochs": 6.0}),
        (40, 1, 16, {}),
        (100, 3, 128, {}),
    ],
)
def test_optimizer_steps_of_a_run_are_counted(images: int, epochs: int, batch: int, options: dict[str, Any]) -> None:
    made = plan(images, epochs, batch, **options)
    assert made.updates == optimizer_steps(made)


def test_the_rule_of_auto_stands_on_its_page() -> None:
    text, short, long = page("optimizers"), plan(500, 100), plan(5000, 300)
    rows = {row["`--optimizer auto`"]: row for row in table(text, "`--optimizer auto`")}
    for column, choice in ((f"up to {SGD_ITERATIONS:,} iterations", short.optimizer), ("above", long.optimizer)):
        assert rows["optimizer"][column] == choice.name
        assert float(rows["momentum, or beta1"][column]) == choice.momentum
        assert float(rows["`warmup_bias_lr`"][column]) == choice.warmup_bias_lr
        assert rows["nominal batch"][column].startswith(f"{NOMINAL_BATCH}")
    assert float(rows["`lr0`"]["above"]) == long.optimizer.lr0
    assert rows["`lr0`"][f"up to {SGD_ITERATIONS:,} iterations"] == "`rate`"
    assert f"fewer than {MIN_UPDATES:,} optimizer steps" in flowing(text)
    named = choose_optimizer("Adam", classes=5, images=1, epochs=1)
    assert f"(beta1) is {named.momentum}." in flowing(text)
    shapes = build_config({"data": "shapes"}).schedule.lr0
    assert f"`auto` starts with a rate of {shapes}" in flowing(text)


@pytest.mark.parametrize(
    ("decay", "sentence"),
    [
        (5e-4, r"([\d,]+) steps under the linear schedule take away ([\d.]+)%"),
        (0.05, r"(0.05)` would take away ([\d.]+)%"),
    ],
)
def test_the_effect_of_weight_decay_with_adamw_is_what_its_page_says(decay: float, sentence: str) -> None:
    made = plan(1600, 64, 64, warmup="none", weight_decay=decay)  # 25 batches an epoch
    left = 1.0
    for step in range(made.steps):
        left *= 1 - made.at(step).lr_weights * made.weight_decay
    said = re.search(sentence, flowing(page("optimizers")))
    assert said is not None and made.optimizer.name == "AdamW"
    assert f"{made.steps:,}" == said[1] or float(said[1]) == decay
    assert 100 * (1 - left) == pytest.approx(float(said[2]), rel=0.1)


def test_the_weight_decay_of_batches_is_what_its_page_says() -> None:
    text = flowing(page("accumulation"))
    said = re.search(r"e\.g\. ([\d.]+) times as much with batches of (\d+), of which three make (\d+) images", text)
    assert said is not None
    batch, images = int(said[2]), int(said[3])
    made = plan(10_000, 100, batch)
    assert made.weight_decay == pytest.approx(float(said[1]) * 5e-4) and batch * made.accumulate == images
    assert "batches of 128 have twice the decay" in text
    assert {plan(10_000, 100, 128, nominal_batch=n).weight_decay for n in (1, 64, None)} == {1e-3}


@pytest.mark.parametrize("row", table(page("ema"), "updates"), ids=lambda row: row["updates"])
def test_what_the_average_spans_is_what_its_page_says(row: dict[str, str]) -> None:
    options = ScheduleOptions()
    decay = options.ema_decay * (1 - math.exp(-int(row["updates"]) / resolve_tau(2000.0, 1)))
    assert float(row["decay `d`"]) == pytest.approx(decay, abs=5e-5)
    assert float(row["updates that the average spans"]) == pytest.approx(1 / (1 - decay), rel=0.03)


def test_the_rule_of_the_average_s_length_stands_on_its_page() -> None:
    text = flowing(page("ema"))
    assert f"from {PUBLISHED_TAU * math.log(FINAL_SPAN):,.0f} updates on" in text
    for updates in (1, 600, 3_000):
        decay = ScheduleOptions().ema_decay * (1 - math.exp(-updates / resolve_tau("auto", updates)))
        assert f"spans about {1 / (1 - decay):.0f} updates at the end" in text
