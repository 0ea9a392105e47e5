"""Quality focal and varifocal loss in the losses of both kinds of families, and what they go with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.losses import anchor_oracle, oracle
from tests.losses import test_anchor_based as anchored
from tests.losses import test_task_aligned as aligned
from tests.without_effect import said_of

from lehr.config import build_config
from lehr.errors import InputError
from lehr.losses.anchor_based import AnchorBasedLoss
from lehr.losses.bce import binary_loss, modulating_factor
from lehr.losses.focal import FocalFactor
from lehr.losses.quality_focal import QualityFocalFactor, VarifocalFactor
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.options import LossOptions
from lehr.preview import preview
from lehr.search.switches import choose
from lehr.techniques.catalog import techniques

Factor = Callable[[float, float], float]
SLOW: dict[str, Factor] = {
    "qfl": lambda p, t: abs(t - p) ** 2,
    "vfl": lambda p, t: t if t > 0 else 0.75 * p**2,
}
FAST = {"qfl": QualityFocalFactor(), "vfl": VarifocalFactor()}
WEIGHTS = np.array([0.5, 2.0, 1.0])
both = pytest.mark.parametrize("kind", ["qfl", "vfl"])


@both
def test_the_task_aligned_loss_takes_the_target_score_for_the_quality(kind: str) -> None:
    prediction, boxes, classes = aligned.random_case(9, [4, 0, 3])
    distances, logits, points, strides = (
        getattr(prediction, name).double().numpy() for name in ("distances", "logits", "points", "strides")
    )
    given: dict[str, Any] = {"cls_pw": 0.6} | ({"smoothing": 0.1} if kind == "qfl" else {})
    slow = {**given, "factor": SLOW[kind], "class_weights": WEIGHTS}
    expected = oracle.loss(distances, logits, points, strides, boxes, classes, (7.5, 0.5, 1.5), **slow)
    loss = TaskAlignedLoss(**given, factor=FAST[kind], class_weights=torch.from_numpy(WEIGHTS).float())  # type: ignore[arg-type]
    found = loss(prediction, *aligned.pad(boxes, classes, dtype=torch.float32))
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-5)


@both
def test_with_anchors_the_objectness_has_the_quality_and_classes_are_certain(kind: str) -> None:
    prediction, levels, boxes, classes = anchored.random_case(9, [7, 0, 4])
    given: dict[str, Any] = {"cls_pw": 0.6, "obj_pw": 1.7} | ({"smoothing": 0.1} if kind == "qfl" else {})
    slow = {**given, "factor": SLOW[kind], "class_weights": WEIGHTS}
    anchors = prediction.anchors.double().numpy()
    expected = anchor_oracle.loss(levels, anchors, boxes, classes, (0.05, 1.0, 0.5), **slow)
    loss = AnchorBasedLoss(**given, factor=FAST[kind], class_weights=torch.from_numpy(WEIGHTS).float())  # type: ignore[arg-type]
    np.testing.assert_allclose(loss(prediction, *anchored.pad(boxes, classes)).numpy(), expected, rtol=2e-5)


@both
def test_it_is_smaller_than_cross_entropy(kind: str) -> None:
    logits = torch.linspace(-12, 12, 500)
    for target in (0.0, 0.2, 0.7, 1.0):
        targets = torch.full_like(logits, target)
        factor = FAST[kind]
        assert (binary_loss(logits, targets, factor=factor) <= binary_loss(logits, targets)).all()
    background = torch.zeros_like(logits)
    lessened = binary_loss(logits, background, factor=FAST[kind]) / binary_loss(logits, background)
    assert (lessened[logits < 0] <= 0.25).all()  # of scores below 0.5


def test_options_choose_the_factor_with_its_parameters() -> None:
    assert modulating_factor(LossOptions()) is None
    assert modulating_factor(LossOptions(fl_gamma=1.5, fl_alpha=0.5)) == FocalFactor(1.5, 0.5)
    assert modulating_factor(LossOptions(cls_loss="qfl", qfl_beta=3)) == QualityFocalFactor(3)
    assert modulating_factor(LossOptions(cls_loss="vfl", vfl_alpha=1, vfl_gamma=1.5)) == VarifocalFactor(1, 1.5)
    for kind in (TaskAlignedLoss, AnchorBasedLoss):
        made = kind.from_options(LossOptions(cls_loss="vfl"), {"box": 1.0, "cls": 1.0}, classes=3, imgsz=64)
        assert made.factor == VarifocalFactor(0.75, 2.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"cls_loss": "qfl", "fl_gamma": 1.5},
            "--cls-loss qfl and --fl-gamma 1.5 are two forms of focal loss",
        ),
        ({"cls_loss": "vfl", "label_smoothing": 0.1}, "--cls-loss vfl and --label-smoothing do not go together"),
        ({"cls_loss": "focal"}, "--cls-loss is 'focal'; it must be 'bce', 'qfl' or 'vfl'"),
        ({"qfl_beta": 0.5}, "--qfl-beta is 0.5"),
        ({"vfl_alpha": -1}, "--vfl-alpha is -1"),
        ({"fl_alpha": 1.5}, "--fl-alpha is 1.5"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_config(given)


@pytest.mark.parametrize(
    ("given", "note"),
    [
        ({"qfl_beta": 3}, "--qfl-beta 3 has no effect: --cls-loss is bce."),
        ({"vfl_gamma": 3, "cls_loss": "qfl"}, "--vfl-gamma 3 has no effect: --cls-loss is qfl."),
        ({"fl_alpha": 0.5}, "--fl-alpha 0.5 has no effect: --fl-gamma is 0."),
    ],
)
def test_a_parameter_of_another_loss_is_noted(given: dict[str, Any], note: str) -> None:
    assert said_of(**given) == [note]
    assert not said_of(cls_loss="QFL", qfl_beta=3)


def test_it_is_on_with_its_option_and_an_ablation_switches_each_alone() -> None:
    technique = next(each for each in techniques() if each.page == "quality-focal-loss")
    states = {
        kind: technique.in_run(preview(build_config({"data": "x", "cls_loss": kind}), images=10, classes=2))
        for kind in ("bce", "qfl", "vfl")
    }
    assert not states["bce"].on and states["bce"].change == "--cls-loss qfl"
    assert states["qfl"].on and "beta 2" in states["qfl"].value and states["qfl"].change == "--cls-loss bce"
    assert states["vfl"].on and "alpha 0.75, gamma 2" in states["vfl"].value
    config = build_config({"data": "x"})
    assert choose(["vfl", "giou"], config)["vfl"].on == {"cls_loss": "vfl"}
    with pytest.raises(InputError, match="'qfl' and 'vfl' both set --cls-loss"):
        choose(["qfl", "vfl"], config)
    assert set(choose(["all"], build_config({"data": "x", "box_loss": "nwd", "cls_loss": "qfl"}))) >= {"nwd", "qfl"}
