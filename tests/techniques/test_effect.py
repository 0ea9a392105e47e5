"""Each option either changes what decides a run, or the rule says why it does not; and the rule never says so wrongly.

`decides.py` computes what decides a run from its parts. Each option is changed in many runs: of every family, and with
options, data and lengths under which others have no effect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Once
from tests.techniques.decides import ALIKE, DIFFICULT, SINGLE, UNLIKE, Objects, deciding, trained_on

from lehr.augment.augmentation import Augmentation, register_augmentation
from lehr.augment.tiles import Plan
from lehr.config import build_config
from lehr.errors import InputError
from lehr.models.build import build_model
from lehr.options import GROUPS, option_names
from lehr.preview import Preview, preview
from lehr.technique import NoEffect
from lehr.techniques.effect import effective_options, without_effect
from lehr.weights.write import save_weights

TINY = {"imgsz": 64, "batch": 2, "epochs": 4, "width": 0.125, "depth": 0.33, "device": "cpu", "data": "x", "amp": "off"}
OF_THE_MACHINE = {
    "data",
    "keep_val",
    "workers",
    "cache",
    "scaled_decoding",
    "skip",
    "skip_broken",
    *(set(GROUPS["run"].model_fields) - {"seed", "max_det"}),
}
OF_THE_MACHINE |= {*GROUPS["speed"].model_fields, *GROUPS["devices"].model_fields}
"""Options of places and of time, which change no number of a training; searches refuse to vary them."""
OTHERS: dict[str, tuple[Any, ...]] = {
    "imgsz": (96,),
    "batch": (3,),
    "single_cls": (True,),
    "rect": (True,),
    "image_weights": (True,),
    "repeat_threshold": (0.9, 0.1),
    "background_share": (0.5,),
    "difficult": ("ignore",),
    "partner_window": (4, 2, 100),
    "replay": (0.5, 0.0),
    "tile": (32, 64),
    "overlap": (0.6,),
    "multi_scale": (0.5, 0.1),
    "grid_min": (),
    "grid_max": (),
    "model": ("yolov8m",),
    "depth": (0.67,),
    "width": (0.25,),
    "weights": (),
    "reset_head": (True,),
    "freeze": ("3", "10", "0"),
    "autoanchor": ("off",),
    "anchors": (4,),
    "frequency_bias": (True,),
    "epochs": (5,),
    "optimizer": ("SGD", "RMSProp"),
    "lr0": (0.003,),
    "lr0_mult": (0.5,),
    "lrf": (0.3, 1.0),
    "momentum": (0.7,),
    "weight_decay": (0.01,),
    "lr_schedule": ("cosine", "restarts", "exponential", "constant"),
    "cos_lr": (True,),
    "restart_epochs": (1.5, 9.0),
    "restart_factor": (3.0,),
    "warmup": ("constant", "linear", "cosine", "first-epoch", "none"),
    "warmup_epochs": (0.0, 35.0),
    "warmup_momentum": (0.5,),
    "warmup_bias_lr": (0.05,),
    "backbone_lr_mult": (0.1,),
    "nominal_batch": (1, 6),
    "clip_norm": (1.0, 0.0),
    "ema_decay": (0.9, 0.0),
    "ema_tau": (5.0, "auto"),
    "patience": (1, 2, 3, 4, 0),
    "skip_limit": (5, 0),
    "rollbacks": (1, 0),
    "rollback_lr": (0.1,),
    "box": (3.0, 0.0),
    "cls": (2.0, 0.0),
    "box_loss": ("giou", "nwd"),
    "nwd_constant": (20.0,),
    "dfl": (3.0,),
    "obj": (2.0, 0.0),
    "cls_pw": (2.0,),
    "obj_pw": (2.0,),
    "fl_gamma": (1.5,),
    "fl_alpha": (0.5,),
    "cls_loss": ("qfl", "vfl"),
    "qfl_beta": (3.0,),
    "vfl_alpha": (0.5,),
    "vfl_gamma": (3.0,),
    "label_smoothing": (0.1,),
    "class_weights": (0.5, 1.0),
    "anchor_t": (2.0,),
    "least_side": (20.0,),
    "tal_topk": (1,),
    "tal_alpha": (1.0,),
    "tal_beta": (2.0,),
    "mosaic": (0.5, 0.0),
    "close_mosaic": (0, 2, 3, 4, 9),
    "mixup": (0.5,),
    "mixup_beta": (1.0,),
    "cutmix": (0.5,),
    "copy_paste": (0.5,),
    "degrees": (20.0,),
    "translate": (0.3,),
    "scale": (0.1,),
    "shear": (10.0,),
    "perspective": (0.001,),
    "hsv_h": (0.5, 0.0),
    "hsv_s": (0.1,),
    "hsv_v": (0.1,),
    "hue": ("add",),
    "erasing": (0.5,),
    "flipud": (0.5,),
    "fliplr": (0.1,),
    "min_box_side": (9.0,),
    "min_visible": (0.9,),
    "max_box_ratio": (1.2,),
    "augmentation": (("backwards",), ("backwards=0",)),
    "seed": (1,),
    "max_det": (5,),
}
"""Values that each option is changed to."""
SUMMED = ("lr_schedule", "cos_lr", "close_mosaic", "nominal_batch")
"""Options of which two values may come to the same, each with an effect."""
NOTHING_TO_CLOSE = NoEffect("mosaic, mixup, CutMix and copy-paste are off")
ANCHORS = {"model": "yolov5n"}
MULTI = {"mixup": 0.3, "cutmix": 0.3, "copy_paste": 0.3}
REPLAY = {"keep_val": "y", "replay": 0.5}
RUNS: dict[str, dict[str, Any]] = {
    "yolov8": {},
    "yolov5": ANCHORS,
    "rectangles": {"rect": True, **MULTI},
    "several images": MULTI,
    "one image": {"mosaic": 0},
    "closing as long as the run": {"close_mosaic": 4},
    "without augmentation": {"mosaic": 0, "hsv_h": 0, "hue": "add", "translate": 0, "scale": 0, "fliplr": 0},
    "one epoch": {"epochs": 1, "batch": 1},
    "two epochs": {"epochs": 2, "patience": 1},
    "without warmup": {"warmup": "none", "warmup_epochs": 30.0, "warmup_momentum": 0.3},
    "a warmup of no epochs": {"warmup_epochs": 0},
    "a warmup of the first epoch": {"warmup": "first-epoch"},
    "one batch an epoch": {"warmup": "first-epoch", "batch": 16, "nominal_batch": 1, "epochs": 9},
    "a linear warmup": {"warmup": "linear"},
    "a constant rate": {"lr_schedule": "constant"},
    "restarts": {"lr_schedule": "restarts", "restart_epochs": 9.0},
    "a restart in each epoch": {"lr_schedule": "restarts", "restart_epochs": 1.0, "restart_factor": 1.0},
    "a final rate that is the first": {"lrf": 1.0},
    "a schedule by its old name": {"cos_lr": True},
    "a rate that is given": {"lr0": 0.01, "lr0_mult": 0.5},
    "SGD": {"optimizer": "SGD", "nominal_batch": 2},
    "accumulation": {"optimizer": "SGD", "nominal_batch": 8},
    "without an average": {"ema_decay": 0.0},
    "never led back": {"skip_limit": 0},
    "no second try": {"rollbacks": 0},
    "one size of cells": {"grid_min": 2, "grid_max": 2},
    "sizes of cells": {"grid_min": 2, "grid_max": 4},
    "one size": {"multi_scale": 0.1},
    "no class loss": {"cls": 0},
    "no class loss with anchors": {"cls": 0, **ANCHORS},
    "no objectness loss": {"obj": 0, **ANCHORS},
    "only boxes with anchors": {"obj": 0, "cls": 0, **ANCHORS},
    "no box loss": {"box": 0, "box_loss": "nwd"},
    "focal loss": {"fl_gamma": 1.5},
    "quality focal loss": {"cls_loss": "qfl", **ANCHORS},
    "varifocal loss": {"cls_loss": "vfl"},
    "distances of tiny objects": {"box_loss": "nwd"},
    "weights of classes": {"class_weights": 0.5, "image_weights": True},
    "rare classes": {"repeat_threshold": 0.9, "background_share": 0.4},
    "older images": {**REPLAY, "class_weights": 0.5, "repeat_threshold": 0.9},
    "older images and anchors": {**REPLAY, "frequency_bias": True, "rect": True, **ANCHORS},
    "tiles": {"tile": 40, "partner_window": 8},
    "tiles, each by itself": {"tile": 40, "mosaic": 0, "translate": 0, "scale": 0, "partner_window": 8},
    "tiles of rare classes, and older ones": {"tile": 32, "overlap": 0.0, **REPLAY, "repeat_threshold": 0.9},
    "tiles as large as the images": {"tile": 64, "partner_window": 2, "mosaic": 0, "translate": 0, "scale": 0},
    "no class is rare": {"repeat_threshold": 0.01},
    "a frozen backbone": {"freeze": "10", "backbone_lr_mult": 0.1},
    "a frozen part": {"freeze": "model.3", "backbone_lr_mult": 0.1},
    "nothing frozen": {"freeze": "0"},
    "an augmentation": {"augmentation": ["backwards=0.5"]},
    "an augmentation that is never drawn": {"augmentation": ["backwards=0"]},
}
"""Runs whose options are changed, by what is special about them."""
QUICK = ("yolov8", "yolov5", "rectangles", "several images", "two epochs", "restarts", "accumulation", "sizes of cells")
QUICK += (
    "only boxes with anchors",
    "varifocal loss",
    "weights of classes",
    "older images and anchors",
    "a frozen part",
)
QUICK += ("tiles", "an augmentation")
"""Those of the first suite; with the others it is slow."""


@pytest.fixture(autouse=True, scope="module")
def _backwards() -> None:
    def backwards(plan: Plan, context: Any, rng: Any) -> Plan:
        import dataclasses

        return dataclasses.replace(plan, boxes=plan.boxes[::-1].copy(), classes=plan.classes[::-1].copy())

    register_augmentation(Augmentation("backwards", backwards))


def a_run(options: dict[str, Any], objects: Objects) -> Preview:
    config = build_config({**TINY, **options})
    data = trained_on(config, objects)
    return preview(config, len(data.splits["train"]), len(data.names), lambda: data)


def compare_all(options: dict[str, Any], objects: Objects = UNLIKE) -> None:
    """Change each option of a run, and compare what the rule says with what decides the run."""
    run = a_run(options, objects)
    now, before = effective_options(run), deciding(run.config, objects)
    idle, flat, wrong = without_effect(run), run.config.flat(), []
    for name, values in OTHERS.items():
        for value in values:
            plain = list(value) if isinstance(value, tuple) else value
            if plain == flat[name]:
                continue
            try:
                changed = a_run({**options, name: plain}, objects)
                after = deciding(changed.config, objects)
            except InputError:
                continue  # they do not go together, which is said
            if name == "close_mosaic" and idle.get(name) == NOTHING_TO_CLOSE:
                continue  # it shifts the draws of the canvases, and nothing else
            differs = {part for part in before if before[part] != after[part]}
            explained = differs or name in SUMMED or idle.get(name) or without_effect(changed).get(name)
            if (effective_options(changed) != now) != bool(differs) or not explained:
                reason = idle.get(name) or without_effect(changed).get(name)
                wrong.append(f"--{name} {value} for {flat[name]} changes {differs or 'nothing'}; {reason}")
    assert not wrong, "\n".join(wrong)


def test_every_option_is_changed_here_or_changes_no_number() -> None:
    assert OTHERS.keys() | OF_THE_MACHINE == option_names().keys() and not OTHERS.keys() & OF_THE_MACHINE


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RUNS]
)
def test_the_rule_says_of_every_option_whether_it_changes_the_run(name: str) -> None:
    compare_all(RUNS[name])


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, ANCHORS, {"single_cls": True}], ids=["yolov8", "yolov5", "single class"])
@pytest.mark.parametrize("objects", [ALIKE, SINGLE], ids=["alike", "one class"])
def test_so_it_does_on_data_that_make_options_ineffective(options: dict[str, Any], objects: Objects) -> None:
    compare_all({**options, "class_weights": 0.5, "image_weights": True}, objects)
    compare_all({**options, "label_smoothing": 0.1, "repeat_threshold": 0.3}, objects)
    compare_all({**options, **REPLAY, "class_weights": 0.5, "frequency_bias": True}, objects)


@pytest.mark.parametrize("objects", [pytest.param(ALIKE, marks=pytest.mark.slow), SINGLE], ids=["alike", "one class"])
def test_so_it_does_with_weights_of_few_classes(objects: Objects) -> None:
    """The short form of the test above."""
    compare_all({"class_weights": 0.5, "image_weights": True}, objects)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"autoanchor": "off"},
        *(pytest.param(each, marks=pytest.mark.slow) for each in ({"anchor_t": 2.0}, {"anchors": 4})),
    ],
    ids=str,
)
def test_so_it_does_where_anchors_fit_and_where_they_do_not(options: dict[str, Any]) -> None:
    compare_all({**ANCHORS, "imgsz": 192, **options})


@pytest.mark.parametrize("difficult", [pytest.param("use", marks=pytest.mark.slow), "ignore"])
def test_so_it_does_where_objects_are_marked_as_difficult(difficult: str) -> None:
    compare_all({"difficult": difficult, "image_weights": True}, DIFFICULT)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("yolov8n", ("A", "b", "x")),
        *(
            pytest.param(model, names, marks=pytest.mark.slow)
            for model, names in (
                ("yolov8n", ("a", "b", "c")),
                ("yolov8n", ("x", "y", "z")),
                ("yolov5n", ("a", "b", "c")),
                ("yolov5n", ("A", "b", "x")),
                ("yolov5n", ("x", "y", "z")),
            )
        ),
    ],
)
def test_so_it_does_with_weights_of_all_classes_of_some_and_of_none(
    names: tuple[str, ...], model: str, once: Once, tmp_path: Path
) -> None:
    save_weights(build_model(model, names, 64, 7, width=0.125, depth=0.33), tmp_path / "w.safetensors")
    compare_all({"model": model, "weights": str(tmp_path / "w.safetensors"), "frequency_bias": True})
