"""Stateless randomness, and options with flat names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from lehr.config import build_config
from lehr.errors import InputError
from lehr.options import option_names
from lehr.rng import generator
from lehr.yaml_files import read_mapping
from tests.without_effect import said_of


def test_a_draw_is_a_function_of_seed_purpose_epoch_and_index() -> None:
    base = generator(1, "a", 2, 3).random(4)
    generator(9, "other").random(100)
    np.testing.assert_array_equal(base, generator(1, "a", 2, 3).random(4))
    others = [generator(0, "a", 2, 3), generator(1, "b", 2, 3), generator(1, "a", 3, 3), generator(1, "a", 2, 4)]
    assert all((other.random(4) != base).all() for other in others)


def test_draws_are_the_same_on_every_machine() -> None:
    assert generator(7, "augment", 1, 2).integers(0, 10**6, 3).tolist() == [487929, 858078, 951740]


def test_draws_of_neighbours_do_not_resemble_each_other() -> None:
    table = np.array([generator(0, "x", epoch, index).random(8) for epoch in range(8) for index in range(64)])
    correlation = np.corrcoef(table.T)
    assert abs(table.mean() - 0.5) < 0.02 and np.abs(correlation - np.eye(8)).max() < 0.2


def test_options_are_flat_and_each_name_lives_in_one_group() -> None:
    config = build_config({"lr0": 0.5, "hsv-h": 0.1, "batch": 4})
    assert (config.schedule.lr0, config.augment.hsv_h, config.data.batch) == (0.5, 0.1, 4)
    assert set(config.flat()) == set(option_names())


def test_a_written_configuration_builds_the_same_again(tmp_path: Path) -> None:
    config = build_config({"epochs": 7, "imgsz": 100, "name": "x", "weights": "a.safetensors"})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.flat()))
    again = build_config(read_mapping(tmp_path / "config.yaml"))
    assert again.flat() == config.flat() and again.notes == config.notes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": 0.1}, ["lr", "lr0"]),
        ({"batch": 0}, ["--batch", "0", "at least 1"]),
        ({"imgsz": 0}, ["--imgsz", "0"]),
        ({"mosaic": 1.5}, ["--mosaic", "1.5", "at most 1"]),
        ({"warmup_epochs": "three"}, ["--warmup-epochs", "three"]),
        ({"optimizer": "adamax"}, ["--optimizer", "AdamW"]),
        ({"momentum": 1}, ["--momentum", "less than 1"]),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build_config(options)
    assert all(word in str(caught.value) for word in words)


def test_sizes_are_rounded_up_to_whole_strides_and_shapes_has_small_defaults() -> None:
    assert build_config({"imgsz": 300, "data": "x"}).imgsz == 320
    shapes = build_config({"epochs": 3})
    assert (shapes.imgsz, shapes.epochs, shapes.schedule.lr0) == (128, 3, 0.002)
    assert build_config({"optimizer": "SGD"}).schedule.lr0 is None
    anchored = build_config({"model": "yolov3-spp"})
    assert (anchored.epochs, anchored.loss.cls, shapes.loss.cls) == (24, 1.0, None)
    other = build_config({"data": "x.yaml"})
    assert (other.imgsz, other.epochs) == (640, 100)


def test_a_config_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    for text in ("[1, 2]", "a: [", ""):
        path = tmp_path / "c.yaml"
        path.write_text(text)
        if text:
            with pytest.raises(InputError, match=r"c\.yaml"):
                read_mapping(path)
        else:
            assert read_mapping(path) == {}
    with pytest.raises(InputError, match="nowhere"):
        read_mapping(tmp_path / "nowhere.yaml")


def test_options_that_mean_nothing_to_a_family_are_told() -> None:
    assert said_of(model="yolov8n") == said_of(model="yolov5n") == []
    assert said_of(model="yolov8n", obj=2) == ["--obj 2 has no effect: yolov8n has no anchors."]
    assert said_of(model="yolov5n", dfl=3) == ["--dfl 3 has no effect: yolov5n has anchors."]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"grid_min": 3}, ["--grid-min", "--grid-max", "both"]),
        ({"grid_min": 9, "grid_max": 3}, ["--grid-min 9", "--grid-max 3"]),
        ({"grid_min": 3, "grid_max": 9, "multi_scale": 0.5}, ["--multi-scale", "--grid-min", "one"]),
        ({"sync_bn": True, "compile": "default"}, ["--sync-bn", "--compile default"]),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build_config(options)
    assert all(word in str(caught.value) for word in words)


def test_layers_to_freeze_come_as_a_count_a_list_or_text() -> None:
    for given, wanted in ((10, "10"), ("10", "10"), (["model.0", "model.1"], "model.0,model.1"), (None, None)):
        assert build_config({"freeze": given}).model.freeze == wanted
