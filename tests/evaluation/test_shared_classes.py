"""Weights are evaluated on the classes that a data set shares with them, and what is left out is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.commands import lehr
from tests.conftest import MakeYolo
from tests.stand_in_network import StandInNetwork
from torch import Tensor

from lehr.data.batch_makers import EvalBatches
from lehr.data.cache import ImageStore
from lehr.data.check import faults_of_split
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.data.requests import eval_requests
from lehr.detector import Detector
from lehr.errors import InputError
from lehr.evaluation.evaluator import Evaluation, evaluate
from lehr.evaluation.metrics import ClassMetrics
from lehr.evaluation.shared_classes import share_classes
from lehr.models.build import build_model
from lehr.sample import Dataset, Fault, Ignored, Sample
from lehr.weights.write import save_weights


def sample(*classes: int) -> Sample:
    boxes = np.array([[4 * i, 4, 4 * i + 12, 20] for i in range(len(classes))], np.float32).reshape(-1, 4)
    return Sample(Path("a.png"), 64, 64, boxes, np.array(classes, np.int64))


def numbers(samples: object) -> list[list[int]]:
    return [each.classes.tolist() for each in samples]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("names", "known", "shared", "columns", "classes"),
    [
        ("cat dog", "cat dog", "cat dog", (0, 1), [0, 1, 1]),
        ("dog cat", "cat dog", "cat dog", (0, 1), [1, 0, 0]),
        ("cat dog", "cat dog bird", "cat dog", (0, 1), [0, 1, 1]),
        ("cat dog", "bird dog fox cat", "dog cat", (1, 3), [1, 0, 0]),
        ("cat dog", "dog", "dog", (0,), [0, 0]),
        ("dog cat", "cat", "cat", (0,), [0, 0]),
        ("cat dog bird", "bird fox cat", "bird cat", (0, 2), [1]),
        ("Traffic_Light cat", "dog traffic light", "traffic light", (1,), [0]),
    ],
)
def test_classes_are_matched_by_name(
    names: str, known: str, shared: str, columns: tuple[int, ...], classes: list[int]
) -> None:
    words = [tuple(each.replace("traffic light", "traffic-light").split()) for each in (names, known, shared)]
    found = share_classes([sample(0, 1, 1), sample()], words[0], words[1], "data")
    assert (found.names, found.columns) == (words[2], columns)
    assert numbers(found.samples) == [classes, []]


def test_regions_that_are_ignored_are_matched_too() -> None:
    ignored = Ignored(np.ones((2, 4), np.float32), np.array([0, 1]), np.array([True, True]))
    one = Sample(Path("a"), 64, 64, *(getattr(sample(0, 1), name) for name in ("boxes", "classes")), ignored=ignored)
    found = share_classes([one], ("cat", "dog"), ("dog",), "data").samples[0]
    assert found.ignored.classes.tolist() == [0] == found.classes.tolist()


def test_what_is_left_out_is_named_and_counted() -> None:
    notes = share_classes([sample(0, 1, 2, 2)], ("cat", "dog", "bird"), ("dog", "fox", "cat"), "data").notes
    assert notes == (
        "Evaluated: the 2 classes that weights and data share: dog, cat.",
        "Not evaluated: 1 class that the weights do not know: bird (2 objects).",
        "Not counted: detections of 1 class that the data set does not have: fox.",
    )
    assert share_classes([sample(0)], ("b", "a"), ("a", "b"), "data").notes == ()
    many = [f"c{number}" for number in range(1000)]
    (_, line) = share_classes([sample(0)], many, many[:1], "data").notes
    assert "999 classes" in line and "c1 (no objects)" in line and "and 989 more" in line and len(line) < 400


def test_names_that_differ_only_in_writing_are_the_same_aloud() -> None:
    found = share_classes([sample(0, 1)], ("Red Cell", "platelet"), ("platelet", "red_cell"), "data")
    assert found.names == ("platelet", "red_cell") and numbers(found.samples) == [[1, 0]]
    assert found.notes == (
        "Names taken as the same, though the weights write them otherwise: 'Red Cell' is 'red_cell'.",
    )
    # 'CAT' could be either of two, and 'cat' is itself.
    found = share_classes([sample(0, 1)], ("cat", "CAT"), ("Cat", "cat"), "data")
    assert (found.names == ("cat",) and numbers(found.samples) == [[0]]) or found.names == ("Cat", "cat")
    with pytest.raises(InputError, match="no class of the weights"):
        share_classes([sample(0, 1)], ("CAT", "cAT"), ("Cat", "caT"), "data")


@pytest.mark.parametrize(
    ("names", "known", "words"),
    [
        (("cat", "dog"), ("0", "1"), "name them in the data set as in the training"),
        (("cat", "dog"), ("object",), "give --single-cls"),
        (("object",), ("cat", "dog"), "Remove --single-cls"),
        (("cat",), ("fox", "dog"), "It has cat; the weights know fox, dog"),
    ],
)
def test_without_a_shared_class_nothing_is_evaluated(
    names: tuple[str, ...], known: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InputError, match="data: has no class of the weights") as caught:
        share_classes([sample(0)], names, known, "data")
    assert words in str(caught.value)


def test_a_split_whose_objects_are_all_unknown_is_refused_and_one_without_objects_is_not() -> None:
    with pytest.raises(InputError, match=r"all of classes that the weights do not know \(bird\)"):
        share_classes([sample(1, 1), sample()], ("cat", "bird"), ("cat",), "data")
    assert numbers(share_classes([sample()], ("cat", "bird"), ("cat",), "data").samples) == [[]]


class Answer:
    """A prediction of every object of `Sees`, with a score of each class."""

    def __init__(self, boxes: Tensor, scores: Tensor) -> None:
        self.boxes, self.scores = boxes, scores

    def decode(self) -> tuple[Tensor, Tensor]:
        return self.boxes, self.scores


class Sees(StandInNetwork):
    """Sees boxes at random places, with random scores of some classes."""

    def __init__(self, names: tuple[str, ...], scores: Tensor) -> None:
        super().__init__()
        self.names, self.scores = names, scores

    def forward(self, images: Tensor) -> Answer:
        corner = torch.rand(len(images), 40, 2, generator=torch.Generator().manual_seed(0)) * 30
        return Answer(torch.cat((corner, corner + 20), 2), self.scores.expand(len(images), -1, -1))


def evaluated(model: Sees, dataset_names: tuple[str, ...], samples: list[Sample], max_det: int = 20) -> Evaluation:
    found = share_classes(samples, dataset_names, model.names, "data")
    store = ImageStore(found.samples, 64)
    return evaluate(
        model,  # type: ignore[arg-type]
        found.samples,
        Loader(EvalBatches(store, 64), 0),
        eval_requests(store, 2),
        names=found.names,
        columns=found.columns,
        max_det=max_det,
    )


def at_best(metrics: ClassMetrics) -> dict[str, Any]:
    """What depends on the one confidence for all classes."""
    return {name: getattr(metrics, name) for name in ("precision", "recall", "f1", "false_positives")}


def test_classes_of_one_side_alone_change_no_number_of_the_others(make_yolo: MakeYolo) -> None:
    samples = list(load_dataset(str(make_yolo(counts={"train": 1, "val": 6}))).splits["val"])
    scores = torch.rand(1, 40, 4, generator=torch.Generator().manual_seed(1))
    scores[..., [0, 3]] *= 4  # those that do not count score best, and would take all places of --max-det
    scores /= 5
    full = Sees(("fox", "large", "small", "bird"), scores)
    only = Sees(("large", "small"), scores[..., [1, 2]])
    found, wanted = evaluated(full, ("small", "large"), samples), evaluated(only, ("small", "large"), samples)
    assert found.metrics == wanted.metrics and list(found.metrics.classes) == ["large", "small"]
    assert found.metrics.map50 is not None and found.metrics.map50 > 0
    one = Sees(("fox", "small"), scores[..., [0, 2]])
    both, alone = (evaluated(model, ("small", "large"), samples, 300).metrics.classes for model in (only, one))
    assert alone == {"small": dataclasses.replace(both["small"], **at_best(alone["small"]))}


def test_the_command_says_what_was_skipped_and_what_is_not_evaluated(make_yolo: MakeYolo, tmp_path: Path) -> None:
    yaml = make_yolo(counts={"train": 2, "val": 4})
    (yaml.parent / "labels" / "val" / "1.txt").unlink()
    (yaml.parent / "labels" / "val" / "2.txt").write_text("0 0.5 0.5 0.2 0.2\n0 0.5 0.5\n")
    (yaml.parent / "labels" / "train" / "0.txt").write_text("junk\n")
    save_weights(build_model("yolov8n", ("fox", "small"), 64, width=0.125), tmp_path / "w.safetensors")
    done = lehr("val", "--weights", "w.safetensors", "--data", yaml, "--json", "o.json", cwd=tmp_path)
    for words in (
        "val/2.txt:2: error:",
        "1.jpg",
        "[missing-label]",
        "Evaluated: the 1 class",
        "large (1 object)",
        "fox",
    ):
        assert words in done.stdout
    assert "train/0.txt" not in done.stdout
    content = json.loads((tmp_path / "o.json").read_text())
    assert list(content["classes"]) == ["small"] and any("fox" in note for note in content["notes"])


def test_faults_of_other_splits_are_not_those_of_a_split() -> None:
    def at(name: str) -> Sample:
        return Sample(
            Path(f"{name}.jpg"), 8, 8, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), Path(f"{name}.txt")
        )

    faults = tuple(
        Fault("kind", Path(name), "m") for name in ("a.jpg", "a.txt", "b.jpg", "b.txt", "c.jpg", "data.yaml")
    )
    dataset = Dataset("d", ("x",), {"train": [at("a"), at("c")], "val": [at("b"), at("c")]}, faults)
    assert [str(f.path) for f in faults_of_split(dataset, "val")] == ["b.jpg", "b.txt", "c.jpg", "data.yaml"]


def test_one_class_is_one_whatever_it_is_called(make_yolo: MakeYolo, tmp_path: Path) -> None:
    yaml = make_yolo(counts={"train": 1, "val": 2})
    save_weights(build_model("yolov8n", ("object",), 64, width=0.125), tmp_path / "w.safetensors")
    detector = Detector.load(tmp_path / "w.safetensors", device="cpu")
    assert detector.val(str(yaml), single_cls=True).metrics.instances == 2
    with pytest.raises(InputError, match="single_cls=True"):
        detector.val(str(yaml))
    for label in (yaml.parent / "labels").rglob("*.txt"):
        label.write_text("0" + label.read_text()[1:])
    yaml.write_text("train: images/train\nval: images/val\nnames: [square]\n")
    assert detector.val(str(yaml), single_cls=True).metrics.instances == 2
