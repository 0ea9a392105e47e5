"""What a search varies: the table of bounds, the values of now, a user's own space, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lehr.config import build_config
from lehr.errors import InputError
from lehr.preview import Preview, preview
from lehr.search.space import TABLE, Space, build_space

PUBLISHED = """
lr0 1e-5 0.1, lrf .01 1, momentum .6 0.98, weight_decay 0 0.001, warmup_epochs 0 5, warmup_momentum 0 0.95,
warmup_bias_lr 0 0.2, box .02 0.2, cls .2 4, cls_pw .5 2, obj .2 4, obj_pw .5 2, anchor_t 2 8, anchors 2 10,
fl_gamma 0 2, hsv_h 0 0.1, hsv_s 0 0.9, hsv_v 0 0.9, degrees 0 45, translate 0 0.9, scale 0 0.9, shear 0 10,
perspective 0 0.001, flipud 0 1, fliplr 0 1, mosaic 0 1, mixup 0 1, copy_paste 0 1
"""
"""The published bounds; iou_t is not among them, since it has no effect here."""


def a_run(**options: Any) -> Preview:
    """A run on 640 images of three classes."""
    return preview(
        build_config({"data": "x.yaml", "model": "yolov5n", "epochs": 100, **options}), images=640, classes=3
    )


def space_of(text: str, folder: Path, **options: Any) -> Space:
    """The space of a file."""
    (folder / "space.yaml").write_text(text)
    return build_space(a_run(**options), folder / "space.yaml")


def test_the_table_has_the_published_bounds() -> None:
    published = {}
    for line in PUBLISHED.replace("\n", " ").split(","):
        name, low, high = line.split()
        published[name] = (float(low), float(high))
    assert {name: (each.low, each.high) for name, each in TABLE.items()} == published


def test_a_search_starts_from_the_values_of_now_those_too_that_are_chosen_by_themselves() -> None:
    space = build_space(a_run())
    assert set(space.parameters) == set(TABLE) - {"anchors", "fl_gamma"}
    start = space.start
    # AdamW at 0.002 * 5 / (4 + classes), its warmup three epochs of 40 batches.
    assert (
        start["lr0"] == pytest.approx(0.01 / 7, abs=1e-6) and start["momentum"] == 0.9 and start["warmup_bias_lr"] == 0
    )
    assert (start["warmup_epochs"], start["box"], start["cls"], start["mosaic"]) == (3.0, 0.05, 0.5, 1.0)
    given = build_space(a_run(optimizer="SGD", lr0=0.02, mosaic=0.5, box=0.1)).start
    assert (given["lr0"], given["momentum"], given["mosaic"], given["box"]) == (0.02, 0.937, 0.5, 0.1)


def test_what_means_nothing_to_a_run_is_not_varied() -> None:
    eight = build_space(a_run(model="yolov8n")).parameters
    assert "dfl" in eight and not {"obj", "obj_pw", "anchor_t"} & set(eight)
    assert [(eight[name].low, eight[name].high) for name in ("box", "cls", "dfl")] == [(3, 30), (0.2, 4), (0.6, 6)]
    assert not {"mosaic", "mixup", "copy_paste"} & set(build_space(a_run(rect=True)).parameters)
    assert not {"warmup_epochs", "warmup_momentum"} & set(build_space(a_run(warmup="none")).parameters)


def test_a_warmup_is_never_varied_beyond_the_run() -> None:
    short = a_run(epochs=9)
    longest = build_space(short).parameters["warmup_epochs"].high
    assert longest == 3
    preview(build_config({**short.config.flat(), "warmup_epochs": longest}), 640, 3)
    tiny = build_space(a_run(epochs=2))
    assert "warmup_epochs" not in tiny.parameters and "warmup_epochs is skipped" in tiny.notes[0]


def test_bounds_of_the_table_are_widened_to_the_value_of_now_and_that_is_told() -> None:
    space = build_space(a_run(optimizer="SGD", lr0=0.2, degrees=90))
    assert space.parameters["lr0"].high == 0.2 and space.parameters["degrees"].high == 90 and len(space.notes) == 2


def test_a_space_of_ones_own_is_read_in_all_its_forms(tmp_path: Path) -> None:
    text = "lr0: [1e-4, 1e-2]\nhsv_v:\nanchors: [2, 5]\nscale: {low: 0.1, high: 0.9, gain: 3}\n"
    text += (
        "optimizer: {choices: [SGD, AdamW]}\nclose_mosaic: [0, 20]\nweight_decay: {low: 1e-5, high: 1e-2, log: true}\n"
    )
    space = space_of(text, tmp_path)
    lr0, anchors, optimizer = (space.parameters[name] for name in ("lr0", "anchors", "optimizer"))
    assert (lr0.low, lr0.high, lr0.log) == (1e-4, 1e-2, True) and space.parameters["hsv_v"].high == 0.9
    assert anchors.whole and space.parameters["close_mosaic"].whole and space.parameters["scale"].gain == 3
    assert optimizer.choices == ("SGD", "AdamW") and space.start["optimizer"] == "AdamW"
    assert space.parameters["weight_decay"].log and Space.from_plain(space.as_plain()) == Space(
        space.parameters, space.start
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mosaic:\nlr0: [0.1, 0.01]\n", "space.yaml:2: the bounds of 'lr0' are in the wrong order: 0.1 is above 0.01"),
        ("lrO: [0.1, 0.2]\n", "space.yaml:1: unknown parameter 'lrO'. Did you mean lrf or lr0"),
        ("iou_t: [0.1, 0.7]\n", "space.yaml:1: 'iou_t' has no effect here"),
        ("dfl: [1, 2]\n", "space.yaml:1: 'dfl' has no effect: yolov5n"),
        ("scale: 0.5\n", "space.yaml:1: 'scale' is 0.5; it must be"),
        ("scale: [0.5, 0.5]\n", "leave only 0.5. Give it as --scale"),
        ("scale: [a, b]\n", "needs two numbers"),
        ("scale: [0, 2]\n", "space.yaml:1: --scale is 2"),
        ("lr0: [0, 0.1]\n", "space.yaml:1: --lr0 is 0"),
        ("scale: {low: 0, high: 0.9, log: true}\n", "true only with bounds above 0"),
        ("scale: {low: 0, high: 0.9, gain: -1}\n", "the gain of 'scale' is -1"),
        ("scale: [0.7, 0.9]\n", "scale is 0.5 now"),
        ("optimizer: {choices: [SGD]}\n", "a list of two or more"),
        ("optimizer: {choices: [SGD, Lion]}\n", "--optimizer is 'Lion'"),
        ("optimizer: [1, 2]\n", "--optimizer is 1"),
        ("seed: [0, 9]\n", "'seed' is not part of the training"),
        ("workers: [0, 9]\n", "'workers' is not part of the training"),
        ("epochs: [1, 9]\n", "'epochs' cannot be varied"),
        ("clip_norms: [1, 9]\n", "unknown parameter 'clip_norms'"),
        ("", "holds no parameter"),
        ("- lr0\n", "must hold 'name: value' lines"),
    ],
)
def test_what_is_wrong_with_a_space_is_told_with_file_and_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        space_of(text, tmp_path)
    assert said in str(error.value), error.value


def test_a_parameter_without_bounds_of_its_own_needs_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'clip_norm' has no own bounds"):
        space_of("clip_norm:\n", tmp_path)
    assert space_of("clip_norm: [1, 20]\n", tmp_path).start == {"clip_norm": 10.0}
