"""Checking, describing, splitting and writing data sets."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import MakeYolo

from lehr.data.check import check_dataset, refuse_unusable
from lehr.data.load import load_dataset
from lehr.data.split import parse_ratios, split_samples
from lehr.data.stats import describe
from lehr.data.write import write_dataset, write_lists
from lehr.errors import InputError
from lehr.sample import Sample, Severity


def test_a_sound_data_set_has_no_faults(make_yolo: MakeYolo) -> None:
    assert check_dataset(load_dataset(str(make_yolo()))) == []


def test_the_same_image_in_two_splits_is_an_error_and_twice_in_one_a_warning(make_yolo: MakeYolo) -> None:
    yaml = make_yolo()
    images, labels = yaml.parent / "images", yaml.parent / "labels"
    for target in ("val/copy", "train/copy"):
        shutil.copy(images / "train" / "0.jpg", images / f"{target}.jpg")
        shutil.copy(labels / "train" / "0.txt", labels / f"{target}.txt")
    faults = check_dataset(load_dataset(str(yaml)))
    assert {(f.kind, f.path.parent.name, f.severity) for f in faults} == {
        ("in-two-splits", "val", Severity.ERROR),
        ("duplicate-image", "train", Severity.WARNING),
    }


def test_damage_in_the_middle_of_an_image_is_found_by_decoding(make_yolo: MakeYolo) -> None:
    yaml = make_yolo(suffix=".png")
    image = yaml.parent / "images" / "train" / "0.png"
    data = bytearray(image.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    image.write_bytes(data)
    dataset = load_dataset(str(yaml))
    assert not dataset.faults
    assert [(f.kind, f.path) for f in check_dataset(dataset)] == [("unreadable-image", image)]


def test_training_refuses_broken_files_unless_told_to_skip_them_and_wrong_classes_always(make_yolo: MakeYolo) -> None:
    yaml = make_yolo()
    (yaml.parent / "images" / "train" / "0.jpg").write_bytes(b"junk")
    dataset = load_dataset(str(yaml))
    with pytest.raises(InputError, match=r"0\.jpg.*(?s:.*)--skip-broken"):
        refuse_unusable(dataset)
    refuse_unusable(dataset, skip_broken=True)
    (yaml.parent / "labels" / "train" / "1.txt").write_text("2 0.5 0.5 0.1 0.1\n")
    with pytest.raises(InputError, match=r"1\.txt:1"):
        refuse_unusable(load_dataset(str(yaml)), skip_broken=True)


def test_statistics_count_images_objects_and_sizes(make_yolo: MakeYolo) -> None:
    stats = describe(load_dataset(str(make_yolo())))["train"]
    assert (stats.images, stats.instances, stats.background, stats.max_objects) == (6, 6, 0, 1)
    assert stats.objects == {"small": 3, "large": 3} == stats.images_with
    assert (stats.small, stats.medium, stats.large) == (6, 0, 0)  # 28 pixels are small too
    assert stats.median_size == (64, 64) and stats.median_box == pytest.approx((22, 22), abs=1e-3)


def samples_of(classes: list[list[int]]) -> list[Sample]:
    boxes = [np.tile(np.array([[0, 0, 9, 9]], np.float32), (len(own), 1)) for own in classes]
    return [
        Sample(Path(f"{i}.jpg"), 10, 10, box, np.array(own, np.int64))
        for i, (own, box) in enumerate(zip(classes, boxes, strict=True))
    ]


@given(st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=4, max_size=80), st.integers(0, 99))
def test_a_split_deals_every_image_once_in_the_shares_asked_for(classes: list[list[int]], seed: int) -> None:
    samples = samples_of(classes)
    stripe = split_samples(samples, {"train": 0.7, "val": 0.3}, seed)
    assert sorted(str(s.path) for own in stripe.values() for s in own) == sorted(str(s.path) for s in samples)
    assert abs(len(stripe["train"]) - 0.7 * len(samples)) <= 1
    again = split_samples(samples, {"train": 0.7, "val": 0.3}, seed)
    assert [s.path for s in again["val"]] == [s.path for s in stripe["val"]]


def test_a_split_gives_each_class_its_share_also_the_rare_ones() -> None:
    rng = np.random.default_rng(0)
    classes = [rng.choice(4, size=rng.integers(1, 5), p=[0.75, 0.15, 0.07, 0.03]).tolist() for _ in range(600)]
    stripe = split_samples(samples_of(classes), {"train": 0.6, "val": 0.2, "test": 0.2})
    total = np.bincount(np.concatenate(classes).astype(int))
    for share, own in zip((0.6, 0.2, 0.2), stripe.values(), strict=True):
        counts = np.bincount(np.concatenate([s.classes for s in own]))
        np.testing.assert_allclose(counts / total, share, atol=0.03)


@pytest.mark.parametrize("text", ["1", "0.7,0.7", "a,b", "0.5,0.5,0,0", "1,0", ""])
def test_impossible_ratios_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--ratios"):
        parse_ratios(text)


def test_ratios_may_be_percent() -> None:
    assert parse_ratios("70,20,10") == {"train": 0.7, "val": 0.2, "test": 0.1}


@pytest.mark.parametrize("to", ["yolo", "coco"])
def test_a_converted_data_set_reads_as_the_same(make_yolo: MakeYolo, tmp_path: Path, to: str) -> None:
    before = load_dataset(str(make_yolo()))
    write_dataset(before, to, tmp_path / "out")
    after = load_dataset(str(tmp_path / "out"))
    assert after.names == before.names and not after.faults
    for split, samples in before.splits.items():
        for old, new in zip(samples, after.splits[split], strict=True):
            np.testing.assert_allclose(new.boxes, old.boxes, atol=1e-4)
            np.testing.assert_array_equal(new.classes, old.classes)
            assert new.path.read_bytes() == old.path.read_bytes()


def test_lists_name_the_images_where_they_are(make_yolo: MakeYolo, tmp_path: Path) -> None:
    before = load_dataset(str(make_yolo()))
    write_lists(before, tmp_path / "lists")
    after = load_dataset(str(tmp_path / "lists"))
    assert [s.path.resolve() for s in after.splits["train"]] == [s.path for s in before.splits["train"]]


def test_nothing_is_overwritten_and_nothing_is_half_written(make_yolo: MakeYolo, tmp_path: Path) -> None:
    dataset = load_dataset(str(make_yolo()))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        write_dataset(dataset, "yolo", tmp_path / "taken")
    dataset.splits["val"][0].path.unlink()
    with pytest.raises(InputError, match="cannot be written"):
        write_dataset(dataset, "yolo", tmp_path / "new")
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))
