"""`--explain` lists every technique, and each has its page of documentation with a picture made by a command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lehr.cli.explanation import explanation
from lehr.config import build_config
from lehr.hyperparameters import PRESETS
from lehr.preview import preview
from lehr.techniques.catalog import techniques

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (ROOT / "docs" / "techniques").glob("*.md") if path.stem != "README")


def explained(**options: object) -> dict[str, bool]:
    run = preview(build_config({"data": "x", **options}), images=205, classes=3)
    return {technique.name: technique.in_run(run).on for technique in techniques()}


def test_defaults_and_switches() -> None:
    default = explained(model="yolov5n", epochs=300)
    on = {name for name, value in default.items() if value}
    assert {"optimizer", "schedule", "warmup", "gradient clipping", "average of the weights", "mosaic", "flips"} <= on
    assert {"AutoAnchor", "anchor matching", "early stopping"} <= on
    assert not {"mixup", "copy-paste", "multi-scale", "focal loss", "freezing", "pretrained start"} & on


@pytest.mark.parametrize("model", ["yolov8n", "yolov5n", "yolov3-spp"])
def test_every_technique_that_can_be_turned_off_is_off_with_its_option(model: str) -> None:
    given = {"mixup": 0.1, "copy_paste": 0.1, "multi_scale": 0.5, "label_smoothing": 0.1, "fl_gamma": 1.5}
    given |= {"repeat_threshold": 0.1, "background_share": 0.1}
    given |= {"class_weights": 0.5, "image_weights": True, "frequency_bias": True, "single_cls": True, "epochs": 300}
    run = preview(build_config({"data": "x", "model": model, "optimizer": "SGD", **given}), images=205, classes=3)
    for technique in techniques():
        state = technique.in_run(run)
        if not state.on or not state.change.startswith("--") or technique.name == "optimizer":
            continue
        switched = dict(given)
        words = state.change.split()
        while words:
            name = words.pop(0)
            if name.startswith("--no-"):
                switched[name[5:].replace("-", "_")] = False
            else:
                switched[name[2:].replace("-", "_")] = words.pop(0)
        after = preview(
            build_config({"data": "x", "model": model, "optimizer": "SGD", **switched}), images=205, classes=3
        )
        assert not technique.in_run(after).on, technique


def test_the_text_names_values_reasons_and_pages() -> None:
    text = explanation(build_config({"model": "yolov5n"}))  # on `shapes`, whose counts are known
    assert "480 images" in text and "AdamW, lr0 0.002" in text
    assert "docs/techniques/warmup.md" in text and "off: --warmup none" in text
    assert "docs/techniques/mixup.md; on: --mixup 0.1" in text


def test_a_short_run_has_mosaic_and_says_for_how_long() -> None:
    on = explanation(build_config({"epochs": 12})).partition("\nOff:")[0]  # on `shapes`, which closes 12 of its 18
    assert "  mosaic: probability 1, off in the last 4 epochs" in on
    text = explanation(build_config({"epochs": 12, "close_mosaic": 12}))
    assert "--close-mosaic 12 has no effect: the run has 12 epochs, so mosaic is off in the last 4" in text
    assert "  mosaic: probability 1, off in the last 4 epochs" in text
    for given, closing in (
        ({"epochs": 2}, "on until the end"),
        ({"epochs": 18}, "off in the last 12"),
        ({"epochs": 13, "close_mosaic": 12}, "off in the last 12"),
        ({"epochs": 12, "close_mosaic": 0}, "on until the end"),
    ):
        said = explanation(build_config(given))
        assert f"  mosaic: probability 1, {closing}" in said and "has no effect" not in said.partition("\nOn:")[0]


def test_what_asks_for_something_and_has_no_effect_is_off_with_the_reason() -> None:
    on, _, off = explanation(build_config({"rect": True, "mixup": 0.1, "patience": 40})).partition("\nOff:")
    assert "  mosaic: " not in on and "  mixup: " not in on and "  early stopping: " not in on
    assert "--mixup 0.1 has no effect: --rect makes rectangles" in on and "--patience 40 has no effect: the run" in on
    assert "  mosaic: has no effect: --rect makes rectangles, and images are combined in squares\n      docs/" in off


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_has_idea_formula_picture_advice_and_source(page: Path) -> None:
    text = page.read_text()
    for heading in ("## Idea", "## Formula", "## When it helps", "## When it hurts", "## Switch", "## Source"):
        assert heading in text, heading
    pictures = re.findall(r"!\[[^]]+\]\((figures/[\w.-]+)\)", text)
    assert pictures and all((page.parent / picture).is_file() for picture in pictures)
    made = re.search(
        r"Made by `(python (docs/techniques/figures/\w+\.py) ([\w-]+)|lehr (schedule|anchors) .*)`\.", text
    )
    assert made
    if made[2]:
        assert f'"{made[3]}"' in (ROOT / made[2]).read_text()


def test_presets_are_told_in_their_page() -> None:
    text = (ROOT / "docs" / "techniques" / "hyperparameter-files.md").read_text()
    assert all(f"`{preset}`" in text for preset in PRESETS)
