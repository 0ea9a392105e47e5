"""docs/evaluation.md says what the code does: its table of dense images, its settings, its formula of fitness."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.test_dense_images import found_all, grid

from lehr.config import TrainConfig
from lehr.detector import Detector
from lehr.evaluation.evaluator import evaluate
from lehr.evaluation.metrics import Metrics, evaluate_detections
from lehr.search.fitness import DEFAULT, METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def table(head: str) -> list[list[str]]:
    """The rows of the table with a head."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {head} |"))
    rows = [line.strip("| ").split(" | ") for line in lines[start + 2 :]]
    return rows[: next(number for number, line in enumerate(lines[start + 2 :]) if not line.startswith("|"))]


@pytest.mark.parametrize("row", table("objects of the class"), ids=lambda row: row[0])
def test_the_averages_of_perfect_detections_are_those_of_the_page(row: list[str]) -> None:
    count, coco, kept = row
    sample = grid(int(count))
    m = evaluate_detections([sample], ("a",), found_all(sample))
    assert (f"{m.map50:.3f}", f"{m.map50_max_det:.3f}") == (coco, kept)


def test_every_number_is_on_the_page() -> None:
    of_classes = {"confidence", "images", "instances", "classes", "max_det"}
    assert set(Metrics.__slots__) - of_classes <= set(re.findall(r"`(\w+)`", PAGE)) | {
        *("recall_small", "recall_medium", "recall_large")
    }


def test_the_settings_of_the_suppression_are_those_of_training_and_of_val() -> None:
    conf, iou, max_det = (float(row[1]) for row in table("| Lehr"))
    training = {name: each.default for name, each in inspect.signature(evaluate).parameters.items()}
    assert (training["confidence"], training["iou"], training["max_det"]) == (conf, iou, max_det)
    val = {name: each.default for name, each in inspect.signature(Detector.val).parameters.items()}
    assert (val["conf"], val["iou"], val["max_det"]) == (conf, iou, max_det)
    assert TrainConfig().run.max_det == max_det


def test_fitness_is_the_formula_of_the_page() -> None:
    formula = re.search(r"\| fitness \| `([^`]+)`", PAGE)
    assert formula is not None and formula[1].replace(" ", "") == DEFAULT
    rng = np.random.default_rng(0)
    m = evaluate_detections([grid(3)], ("a",), found_all(grid(3)))
    for _ in range(1000):
        values = dict(zip(METRICS, rng.random(len(METRICS)).tolist(), strict=True))
        numbers = {name: getattr(m, name) for name in Metrics.__slots__} | values
        assert Metrics(**numbers).fitness == pytest.approx(eval(formula[1], {}, values))
