"""YOLOv5 hyperparameter files are read as they are; presets are the same by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lehr.config import SHAPES_LR0, build_config
from lehr.errors import InputError
from lehr.hyperparameters import PRESETS, read_hyperparameters
from lehr.options import option_names
from lehr.preview import preview

AS_PUBLISHED = """\
# comments and all
lr0: 0.0032  # initial learning rate
lrf: 0.12
momentum: 0.843
weight_decay: 0.00036
warmup_epochs: 2.0
warmup_momentum: 0.5
warmup_bias_lr: 0.05
box: 0.0296
cls: 0.243
cls_pw: 0.631
obj: 0.301
obj_pw: 0.911
iou_t: 0.2
anchor_t: 2.91
# anchors: 3.63
fl_gamma: 0.0
hsv_h: 0.0138
hsv_s: 0.664
hsv_v: 0.464
degrees: 0.373
translate: 0.245
scale: 0.898
shear: 0.602
perspective: 0.0
flipud: 0.00856
fliplr: 0.5
mosaic: 1.0
mixup: 0.243
copy_paste: 0.0
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "hyp.mine.yaml"
    path.write_text(text)
    return path


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    config = build_config({"hyp": written(tmp_path, AS_PUBLISHED), "model": "yolov5s", "data": "x"})
    assert (config.schedule.lr0, config.schedule.momentum, config.schedule.warmup_epochs) == (0.0032, 0.843, 2.0)
    assert (config.loss.box, config.loss.obj_pw, config.loss.anchor_t) == (0.0296, 0.911, 2.91)
    assert (config.augment.scale, config.augment.flipud, config.augment.mixup) == (0.898, 0.00856, 0.243)
    assert config.schedule.optimizer == "SGD"  # what the values were tuned for
    assert any("iou_t has no effect" in note for note in config.notes)


def test_what_is_given_beside_a_file_wins(tmp_path: Path) -> None:
    given = {"hyp": written(tmp_path, AS_PUBLISHED), "lr0": 0.5, "optimizer": "AdamW", "model": "yolov5n"}
    config = build_config(given)
    assert (config.schedule.lr0, config.schedule.optimizer, config.schedule.lrf) == (0.5, "AdamW", 0.12)
    # `auto` leaves the choice open, and these values were tuned for SGD.
    automatic = build_config({"hyp": "low", "optimizer": "auto", "lrf": None, "model": "yolov5n"})
    assert (automatic.schedule.optimizer, automatic.schedule.lrf) == ("SGD", 0.01)


def test_an_unknown_name_is_an_error_with_the_line_and_the_closest_known_one(tmp_path: Path) -> None:
    path = written(tmp_path, "lr0: 0.01\n\nwarmup_epoch: 3.0\n")
    with pytest.raises(InputError, match=r"hyp\.mine\.yaml:3: unknown hyperparameter 'warmup_epoch'.*warmup_epochs"):
        read_hyperparameters(path, "yolov5n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr0: [1, 2]\n", ["hyp.mine.yaml:1", "lr0", "number"]),
        ("mosaic: 3\n", ["hyp.mine.yaml", "mosaic", "3"]),
        ("lr0: fast\n", ["hyp.mine.yaml", "lr0", "fast"]),
        ("- lr0\n", ["hyp.mine.yaml"]),
        ("lr0: [\n", ["hyp.mine.yaml", "YAML"]),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build_config({"hyp": written(tmp_path, text), "model": "yolov5n"})
    assert all(word in str(caught.value) for word in words)


def test_a_missing_file_and_a_misspelt_preset_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        read_hyperparameters(tmp_path / "none.yaml", "yolov5n")
    with pytest.raises(InputError, match="Did you mean high"):
        read_hyperparameters("hihg", "yolov5n")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid_and_complete(preset: str) -> None:
    config = build_config({"hyp": preset, "model": "yolov5n", "data": "x"})
    flat = config.flat()
    assert set(PRESETS[preset]) <= set(option_names())
    assert {name: flat[name] for name in PRESETS[preset]} == PRESETS[preset]
    assert config.schedule.optimizer == ("auto" if preset == "fine-tuning" else "SGD")


@pytest.mark.parametrize("images", [200, 1000, 200_000])
def test_fine_tuning_keeps_the_optimizer_of_the_run_at_a_third_of_its_rate(images: int) -> None:
    usual, gentle = (
        preview(build_config({"data": "x", "hyp": hyp}), images=images, classes=4).plan for hyp in (None, "fine-tuning")
    )
    assert gentle.optimizer.name == usual.optimizer.name == ("SGD" if images == 200_000 else "AdamW")
    assert gentle.optimizer.lr0 == pytest.approx(0.3 * usual.optimizer.lr0)
    assert gentle.optimizer.momentum == usual.optimizer.momentum
    assert gentle.optimizer.nominal_batch == usual.optimizer.nominal_batch
    rates = [gentle.at(step) for step in range(gentle.warmup)]
    assert all(rate.lr_biases == rate.lr_weights for rate in rates)


def test_a_rate_that_is_given_is_not_multiplied() -> None:
    given = preview(build_config({"data": "x", "hyp": "fine-tuning", "lr0": 0.01}), images=500, classes=4).plan
    assert given.optimizer.lr0 == 0.01
    shapes = build_config({"data": "shapes", "lr0_mult": 0.5})
    assert shapes.schedule.lr0 == pytest.approx(0.5 * SHAPES_LR0)
    with pytest.raises(InputError, match="--lr0-mult is -1"):
        build_config({"data": "shapes", "lr0_mult": -1})


def test_presets_go_from_little_to_much() -> None:
    low, medium, high, fine = (PRESETS[name] for name in ("low", "medium", "high", "fine-tuning"))
    assert (low["scale"], high["scale"], high["mixup"], high["copy_paste"]) == (0.5, 0.9, 0.1, 0.1)
    assert (low["lrf"], high["lrf"], high["cls"], high["obj"]) == (0.01, 0.1, 0.3, 0.7)
    assert medium["mixup"] == high["mixup"] and medium["copy_paste"] == 0
    assert fine["lr0_mult"] == 0.3 and "lr0" not in fine


def test_a_model_without_anchors_keeps_its_own_gains_aloud(tmp_path: Path) -> None:
    config = build_config({"hyp": written(tmp_path, AS_PUBLISHED), "model": "yolov8n"})
    assert config.loss.box is None and config.loss.cls is None
    assert config.schedule.lr0 == 0.0032
    assert any("keeps its own gains" in note for note in config.notes)


def test_anchors_of_zero_means_the_default(tmp_path: Path) -> None:
    assert build_config({"hyp": written(tmp_path, "anchors: 0\n"), "model": "yolov5n"}).model.anchors == 3
    assert build_config({"hyp": written(tmp_path, "anchors: 3.63\n"), "model": "yolov5n"}).model.anchors == 4


def test_gains_of_a_named_family_are_that_familys(tmp_path: Path) -> None:
    path = written(tmp_path, "family: yolov8\noptimizer: AdamW\nbox: 9.5\ndfl: 2.5\nlr0: 0.003\n")
    own = read_hyperparameters(path, "yolov8s")
    assert own.values == {"optimizer": "AdamW", "box": 9.5, "dfl": 2.5, "lr0": 0.003} and not own.notes
    other = read_hyperparameters(path, "yolov5s")
    assert other.values == {"optimizer": "AdamW", "lr0": 0.003}
    assert "box, dfl belong to the loss of yolov8; yolov5s keeps its own gains" in other.notes[0]
