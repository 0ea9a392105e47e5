"""Options that are unset become what their help says."""

from __future__ import annotations

import re

from lehr.augment.closing import CLOSING_EPOCHS, CLOSING_SHARE
from lehr.config import build_config
from lehr.models.family import YOLOV5, YOLOV8
from lehr.options import GROUPS, option_names
from lehr.techniques import ema_decay, plan, schedule
from lehr.techniques.auto import (
    NEW_CLASSES_LR0_MULT,
    NOMINAL_BATCH,
    TRAINED_LR0_MULT,
    OptimizerChoice,
    choose_optimizer,
    default_rate,
)
from lehr.techniques.partner_window import WINDOW
from tests.pages import index

YOUR, SHAPES = build_config({"data": "x"}), build_config({"data": "shapes"})
SHAPES_WITH_ANCHORS = build_config({"data": "shapes", "model": "yolov5n"})


def chosen(optimizer: str) -> OptimizerChoice:
    return choose_optimizer(optimizer, classes=3, images=100, epochs=100)


def fine_tuned(optimizer: str) -> OptimizerChoice:
    return choose_optimizer(optimizer, classes=3, images=100, epochs=100, trained=True)


BECOMES = {
    "close_mosaic": f"{CLOSING_EPOCHS}, at most 1/{CLOSING_SHARE}; `shapes` {SHAPES.augment.close_mosaic}, "
    f"with anchors {SHAPES_WITH_ANCHORS.augment.close_mosaic}",
    "box": f"YOLOv8 {YOLOV8.gains['box']:g}, with anchors {YOLOV5.gains['box']:g}",
    "cls": f"{YOUR.family.gains['cls']:g}, for `shapes` with anchors {SHAPES_WITH_ANCHORS.loss.cls:g}",
    "ema_tau": f"{ema_decay.resolve_tau(None, 10**6):g}",
    "epochs": f"{YOUR.epochs}, for `shapes` {SHAPES.epochs}, with anchors {SHAPES_WITH_ANCHORS.epochs}",
    "imgsz": f"{YOUR.imgsz}, for `shapes` {SHAPES.imgsz}",
    "lr0": f"SGD {default_rate('SGD', 3):g}; the Adam family {4 * default_rate('Adam', 0):g}/(4 + classes); "
    "RMSProp a tenth of that",
    "momentum": f"{chosen('Adam').momentum:g}; with `auto` {chosen('auto').momentum:g}",
    "nominal_batch": f"{NOMINAL_BATCH}; with `auto` halved in runs of few steps",
    "restart_epochs": f"near {schedule.USUAL_PERIOD:g}, so that a course ends with the run",
    "partner_window": f"all if decoded images fit, else {WINDOW}",
    "lr0_mult": f"1; with `auto` and known classes {TRAINED_LR0_MULT:g}; "
    f"with none of them up to {NEW_CLASSES_LR0_MULT:g}",
    "warmup_bias_lr": f"SGD {chosen('SGD').warmup_bias_lr:g}, others and trained start "
    f"{fine_tuned('SGD').warmup_bias_lr:g}",
    "warmup_epochs": f"{plan.WARMUP_EPOCHS:g}, with known classes {plan.TRAINED_WARMUP_EPOCHS:g}, less in a short run",
}
ELSEWHERE = {"workers", "name"}
"""Options whose help has a number that is not a value of the code's own."""


def test_help_says_what_unset_options_become() -> None:
    unset = {name: GROUPS[group].model_fields[name] for name, group in option_names().items()}
    said = {name: index()["default_of"](field) for name, field in unset.items() if field.default is None}
    with_numbers = {name: words for name, words in said.items() if re.search(r"\d", words) and name not in ELSEWHERE}
    assert with_numbers == BECOMES


def test_rates_that_are_unset_follow_the_classes() -> None:
    for classes in (1, 3, 80):
        rate = 0.01 / (4 + classes)
        assert {default_rate(name, classes) for name in ("Adam", "AdamW", "NAdam", "RAdam")} == {round(rate, 6)}
        assert default_rate("RMSProp", classes) == round(rate / 10, 6)
