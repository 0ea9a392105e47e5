"""The file of detections: everything comes back to the bit, and what is damaged or foreign is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tests.analysis.cases import random_record

from lehr.analysis import record_file
from lehr.analysis.record import DetectionRecord, make_record
from lehr.analysis.record_file import load_record, save_record
from lehr.errors import InputError
from lehr.evaluation.evaluator import Evaluation, Seconds
from lehr.evaluation.metrics import evaluate_detections


def assert_equal(one: DetectionRecord, other: DetectionRecord) -> None:
    assert (one.names, one.max_det, one.epoch) == (other.names, other.max_det, other.epoch)
    assert one.detections.dtype == other.detections.dtype == np.float64
    assert np.array_equal(one.detections, other.detections) and len(one.samples) == len(other.samples)
    for a, b in zip(one.samples, other.samples, strict=True):
        assert (a.path, a.width, a.height, a.label_path) == (b.path, b.width, b.height, b.label_path)
        pairs = [(a.boxes, b.boxes), (a.classes, b.classes), (a.ignored.boxes, b.ignored.boxes)]
        pairs += [(a.ignored.classes, b.ignored.classes), (a.ignored.crowd, b.ignored.crowd)]
        assert all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)
        difficult = [np.zeros(len(s.classes), bool) if s.difficult is None else s.difficult for s in (a, b)]
        assert np.array_equal(*difficult) and difficult[0].dtype == difficult[1].dtype


@pytest.mark.parametrize("ignored", [False, True])
def test_a_record_comes_back_to_the_bit(ignored: bool, tmp_path: Path) -> None:
    record = replace(random_record(1, ignored=ignored), epoch=7, max_det=150)
    record.detections[0, 5] = np.nextafter(0.3, 1)  # which float32 does not hold
    save_record(record, tmp_path / "d.safetensors")
    assert_equal(load_record(tmp_path / "d.safetensors"), record)


def test_a_record_of_nothing_and_names_of_any_kind_come_back(tmp_path: Path) -> None:
    sample = random_record(1).samples[0]
    odd = replace(sample, path=Path("a\udcff\n<b>.jpg"), label_path=Path("l.txt"))
    record = DetectionRecord(("<script>alert(1)</script>", "\ud800", ""), (odd,), np.zeros((0, 7)))
    save_record(record, tmp_path / "d.safetensors")
    assert_equal(load_record(tmp_path / "d.safetensors"), record)
    save_record(replace(record, samples=()), tmp_path / "d.safetensors")
    assert load_record(tmp_path / "d.safetensors").samples == ()


def test_the_file_is_small_and_the_same_each_time(tmp_path: Path) -> None:
    record = random_record(2, images=200)
    record.detections[:, 1:6] = record.detections[:, 1:6].astype(np.float32)
    for name in ("a", "b"):
        save_record(record, tmp_path / name)
    content = (tmp_path / "a").read_bytes()
    assert content == (tmp_path / "b").read_bytes()
    objects = sum(len(sample.classes) for sample in record.samples)
    assert len(content) < 24 * len(record.detections) + 21 * objects + 40 * 200 + 3000


Change = Callable[[dict[str, torch.Tensor], dict[str, str]], Any]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: m.update(format="lehr-1"), "holds no detections"),
        (lambda t, m: m.update(names="[" * 100_000), "metadata"),
        (lambda t, m: m.update(names='["a", 1]'), "class name"),
        (lambda t, m: m.update(max_det="0"), "out of range"),
        (lambda t, m: m.update(epoch="-1"), "out of range"),
        (lambda t, m: t.pop("sizes"), "'sizes' is missing"),
        (lambda t, m: t.update(sizes=t["sizes"].double()), "'sizes' is missing, or of another type"),
        (lambda t, m: t.update(object_boxes=t["object_boxes"][:, :3].contiguous()), "object_boxes"),
        (lambda t, m: t["sizes"].fill_(0), "have no size"),
        (lambda t, m: t["objects"].__setitem__(0, -1), "other objects"),
        (lambda t, m: t.update(objects=t["objects"][1:].clone()), "other objects"),
        (lambda t, m: t["object_classes"].fill_(4), "names a class"),
        (lambda t, m: t["object_boxes"].fill_(float("nan")), "box is out of range"),
        (lambda t, m: t["paths"].fill_(97), "paths of other images"),
        (lambda t, m: t.pop("score"), "detections are incomplete"),
        (lambda t, m: t.update(score=t["score"][1:].clone()), "detections are incomplete"),
        (lambda t, m: t["score"].fill_(1.5), "score"),
        (lambda t, m: t["score"].fill_(float("nan")), "score"),
        (lambda t, m: t["image"].fill_(25), "names an image"),
        (lambda t, m: t.update({"class": t["class"] + 0.5}), "names a class"),
        (lambda t, m: t["x1"].fill_(float("inf")), "box is out of range"),
    ],
)
def test_what_is_no_record_is_refused(change: Change, message: str, tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    save_record(random_record(1, ignored=True), path)
    with safe_open(path, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    change(tensors, metadata)
    save_file(tensors, path, metadata)
    with pytest.raises(InputError, match=message) as refused:
        load_record(path)
    assert str(path) in str(refused.value)


def test_links_cut_files_and_large_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, link = tmp_path / "d.safetensors", tmp_path / "link.safetensors"
    save_record(random_record(1), path)
    link.symlink_to(path)
    with pytest.raises(InputError, match="symbolic link"):
        load_record(link)
    with pytest.raises(InputError, match="No such file"):
        load_record(tmp_path / "none")
    monkeypatch.setattr(record_file, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="larger than"):
        load_record(path)
    monkeypatch.undo()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="cut off"):
        load_record(path)
    path.write_text(json.dumps({}))
    with pytest.raises(InputError, match="damaged"):
        load_record(path)


def test_a_record_of_an_evaluation_has_its_detections() -> None:
    made = random_record(3)
    metrics = evaluate_detections(made.samples, made.names, made.detections, 120)
    evaluation = Evaluation(metrics, Seconds(0, 0, 0), detections=made.detections, samples=made.samples)
    assert_equal(make_record(evaluation, 2), replace(made, max_det=120, epoch=2))
    with pytest.raises(ValueError, match="rank 0"):
        make_record(replace(evaluation, detections=None))


def test_a_record_can_be_cut_at_a_confidence() -> None:
    record = random_record(4)
    cut = record.above(0.5)
    assert set(cut.detections[:, 5]) == {score for score in record.detections[:, 5] if score >= 0.5}
    assert cut.samples is record.samples and 0 < len(cut.detections) < len(record.detections)
