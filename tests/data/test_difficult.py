"""Difficult objects and crowds on their way through a data set: options, resumption, statistics, other layouts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from tests.conftest import draw_squares

from lehr.data.difficult import count_difficult, with_difficult
from lehr.data.fingerprint import fingerprint, ignored_fingerprint
from lehr.data.load import load_dataset
from lehr.data.stats import describe
from lehr.data.write import lost_in_writing, write_dataset
from lehr.engine.identity import check_same
from lehr.sample import Dataset, Ignored, Sample
from lehr.techniques.single_class import as_one_class

BOXES = np.array([[2, 2, 20, 20], [30, 30, 50, 60], [5, 40, 25, 60]], np.float32)
CROWD = Ignored(np.array([[40, 2, 60, 20]], np.float32), np.array([1]), np.array([True]))


def make_dataset(folder: Path = Path()) -> Dataset:
    sample = Sample(folder / "a.png", 64, 64, BOXES, np.array([0, 1, 1]), None, np.array([False, True, False]), CROWD)
    return Dataset("x", ("cat", "dog"), {"train": [sample], "val": [sample]})


def test_difficult_objects_are_trained_on_or_become_ignored_regions() -> None:
    dataset = make_dataset()
    assert with_difficult(dataset, "use") is dataset and count_difficult(dataset) == 2
    left = with_difficult(dataset, "ignore").splits["train"][0]
    assert left.boxes.tolist() == BOXES[[0, 2]].tolist() and left.classes.tolist() == [0, 1] and left.difficult is None
    assert left.ignored.boxes.tolist() == [[40, 2, 60, 20], [30, 30, 50, 60]]
    assert left.ignored.crowd.tolist() == [True, False] and left.ignored.classes.tolist() == [1, 1]


def test_a_run_of_before_can_go_on_and_is_told_what_is_ignored_now() -> None:
    dataset, plain = make_dataset(), dataclasses.replace(make_dataset().splits["train"][0], difficult=None)
    marked = dataset.splits["train"]
    assert fingerprint(dataset.names, marked) == fingerprint(dataset.names, [plain])
    without = Sample(plain.path, 64, 64, plain.boxes, plain.classes)
    assert ignored_fingerprint([without]) is None
    prints = {ignored_fingerprint(marked), ignored_fingerprint([plain]), ignored_fingerprint([without, *marked])}
    now = {"data": "1", "device": "cpu", "torch": "2", "processes": 1}
    before = SimpleNamespace(path=Path("last.ckpt"), content=now)
    assert not check_same(now, before)  # type: ignore[arg-type]
    (note,) = check_same({**now, "ignored": "2"}, before)  # type: ignore[arg-type]
    assert "ignores" in note and "last.ckpt" in note
    assert len(prints) == 3 and ignored_fingerprint(marked) == ignored_fingerprint(make_dataset().splits["val"])


def test_statistics_count_them_apart() -> None:
    stats = describe(make_dataset())["val"]
    assert (stats.instances, stats.difficult, stats.crowds) == (3, 1, 1)


def test_all_classes_as_one_are_ignored_as_one() -> None:
    (sample,) = as_one_class(make_dataset()).splits["val"]
    assert sample.ignored.classes.tolist() == [0] and sample.difficult is not None and sample.difficult.sum() == 1


def test_a_coco_json_keeps_crowds_and_difficult_objects(tmp_path: Path) -> None:
    draw_squares(tmp_path / "a.png", [])
    write_dataset(make_dataset(tmp_path), "coco", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "annotations" / "instances_val.json").read_text())
    flags = [(each["category_id"], each["iscrowd"], each.get("ignore", 0)) for each in content["annotations"]]
    assert flags == [(1, 0, 0), (2, 0, 1), (2, 0, 0), (2, 1, 0)]
    assert ["2 difficult objects" in line for line in lost_in_writing(make_dataset(), "coco")] == [True]
    for samples in load_dataset(str(tmp_path / "out")).splits.values():  # read again, it is evaluated alike
        assert samples[0].classes.tolist() == [0, 1] and sorted(samples[0].ignored.crowd.tolist()) == [False, True]
