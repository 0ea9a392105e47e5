"""Studies leave out what changes nothing in their runs, and say why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.techniques.decides import ALIKE, UNLIKE, data_set

from lehr.config import build_config
from lehr.errors import InputError
from lehr.preview import Preview, preview
from lehr.search.ablation import Ablation
from lehr.search.ineffective import without_ineffective
from lehr.search.space import build_space
from lehr.search.switches import choose

GIVEN = {"data": "x", "epochs": 6, "batch": 2, "device": "cpu"}


def a_run(objects: Any = UNLIKE, **options: Any) -> Preview:
    data = data_set(objects)
    return preview(build_config({**GIVEN, **options}), len(objects), len(data.names), lambda: data)


def ablation(run: Preview, names: str, mode: str = "leave-one-out", file: Path | None = None) -> Ablation:
    return Ablation(run.config.flat(), choose(names.split(","), run.config, file), mode, "map")


def left_out(run: Preview, names: str, mode: str = "leave-one-out") -> tuple[set[str], list[str]]:
    kept, notes = without_ineffective(ablation(run, names, mode), run)
    return set(names.split(",")) - kept.switches.keys(), notes


def test_a_short_run_is_trained_with_mosaic_and_without() -> None:
    kept, notes = without_ineffective(ablation(a_run(), "mosaic,close_mosaic"), a_run())
    assert kept.switches.keys() == {"mosaic", "close_mosaic"} and not notes
    assert kept.switches["close_mosaic"].on == {"close_mosaic": 2}


@pytest.mark.parametrize(
    ("names", "options", "missing", "why"),
    [
        ("mosaic,ema", {"rect": True}, "mosaic", "--rect makes rectangles, and images are combined in squares"),
        ("mixup,ema", {"rect": True}, "mixup", "--rect makes rectangles"),
        ("warmup,ema", {"warmup_epochs": 0}, "warmup", "--warmup-epochs is 0"),
        ("cos_lr,ema", {"epochs": 1}, "cos_lr", "the run has one epoch, and rates change between epochs"),
        ("cos_lr,ema", {"lrf": 1}, "cos_lr", "--lrf is 1"),
        ("accumulation,ema", {}, "accumulation", "a batch has 2 images, and is an optimizer step already"),
        ("label_smoothing,ema", {"cls": 0}, "label_smoothing", "--cls is 0"),
        ("backbone_lr,ema", {"freeze": "10"}, "backbone_lr", "--freeze freezes the whole backbone"),
        ("repeat_factors,ema", {"objects": ALIKE}, "repeat_factors", "the rarest class, a, in 1 of the images"),
        ("class_weights,ema", {"objects": ALIKE}, "class_weights", "all classes have equally many objects"),
        (
            "image_weights,ema",
            {"objects": ALIKE},
            "image_weights",
            "all images have equally many objects of each class",
        ),
        ("multi_scale,ema", {"imgsz": 640, "multi_scale": 0.01}, "multi_scale", "it leaves 640 pixels as the only"),
    ],
)
def test_a_technique_that_changes_nothing_is_not_trained(
    names: str, options: dict[str, Any], missing: str, why: str
) -> None:
    for mode in ("leave-one-out", "add-one-in", "factorial"):
        gone, notes = left_out(a_run(**options), names, mode)
        (note,) = notes
        assert gone == {missing} and note.startswith(f"{missing} is skipped: {why}") and note.endswith(".")


def test_what_acts_only_beside_another_technique_is_trained_beside_it() -> None:
    gone, notes = left_out(a_run(mosaic=0), "close_mosaic,mixup")
    assert not gone and not notes
    gone, (note,) = left_out(a_run(mosaic=0), "close_mosaic,mixup", "add-one-in")
    assert gone == {"close_mosaic"} and "mosaic, mixup, CutMix and copy-paste are off" in note


def test_where_nothing_is_left_the_reasons_are_told() -> None:
    with pytest.raises(InputError, match=r"no technique that is named has an effect here\.\nmosaic is skipped"):
        left_out(a_run(rect=True), "mosaic")


def test_a_technique_that_is_a_name_alone_stays_and_so_does_what_a_study_has_begun_with(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("no_op: {on: {}}\nsame: {on: {fl_alpha: 0.5}}\n")
    run = a_run(rect=True)
    asked = ablation(run, "no_op,same,mosaic,ema", file=tmp_path / "own.yaml")
    kept, notes = without_ineffective(asked, run)
    assert kept.switches.keys() == {"no_op", "ema"} and len(notes) == 2 and "--fl-gamma is 0" in notes[0]
    kept, notes = without_ineffective(asked, run, ("same", "mosaic"))
    assert kept.switches == asked.switches and not notes


def test_a_search_leaves_out_what_changes_nothing_and_says_why() -> None:
    everything = build_space(a_run(UNLIKE * 20, epochs=100, model="yolov5n"))
    assert everything.notes == ()
    space = build_space(a_run(UNLIKE * 20, rect=True, lr_schedule="constant", epochs=100))
    assert not {"mosaic", "mixup", "copy_paste", "lrf", "obj", "obj_pw", "anchor_t"} & space.parameters.keys()
    assert set(space.notes) == {
        "mosaic, mixup, copy_paste are skipped: --rect makes rectangles, and images are combined in squares.",
        "lrf is skipped: --lr-schedule constant stays at lr0.",
        "obj, obj_pw, anchor_t are skipped: yolov8n has no anchors.",
    }
    assert {"mosaic", "mixup", "copy_paste"} <= build_space(a_run(epochs=3)).parameters.keys()
    begun = build_space(a_run(rect=True), kept=("mosaic",))
    assert "mosaic" in begun.parameters and "mixup" not in begun.parameters


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("mixup_beta: [1, 32]\n", {}, "space.yaml:1: 'mixup_beta' has no effect: --mixup is 0. Omit it."),
        ("mixup: [0, 1]\nfl_alpha: [0.1, 0.5]\n", {}, "space.yaml:2: 'fl_alpha' has no effect: --fl-gamma is 0."),
        ("patience: [50, 200]\n", {}, "'patience' has no effect: the run has 6 epochs"),
        ("close_mosaic: [6, 40]\n", {"close_mosaic": 7}, "'close_mosaic' has no effect: the run has 6 epochs, so"),
        ("class_weights: [0, 1]\n", {"objects": ALIKE}, "'class_weights' has no effect: all classes have equally many"),
        ("lrf: [0.01, 1]\n", {"epochs": 1}, "'lrf' has no effect: --lr-schedule linear stays at lr0 in one epoch"),
    ],
)
def test_a_space_of_ones_own_that_varies_it_is_refused(
    text: str, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        build_space(a_run(**options), tmp_path / "space.yaml")
    assert said in str(error.value), error.value


@pytest.mark.parametrize(
    "text",
    [
        "mixup: [0, 1]\nmixup_beta: [1, 32]\n",
        "box_loss: {choices: [ciou, nwd]}\nnwd_constant: [5, 20]\n",
        "fl_gamma: [0, 2]\nfl_alpha: [0.1, 0.5]\n",
        "lr_schedule: {choices: [linear, restarts]}\nrestart_factor: [1, 3]\n",
    ],
)
def test_what_has_an_effect_somewhere_in_the_space_is_varied(text: str, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(text)
    assert len(build_space(a_run(), tmp_path / "space.yaml").parameters) == 2
