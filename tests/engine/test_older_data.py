"""An older data set beside a run's own (`--keep-val`): evaluated after each epoch on the classes that both have."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine.runs import before_step, on, resume, run, stopped_run

from lehr.callbacks.events import FitEpochEnd, TrainEnd, ValBatchEnd, ValEnd
from lehr.config import build_config
from lehr.data.load import load_dataset
from lehr.detector import Detector
from lehr.engine.older import OlderData, read_older
from lehr.errors import InputError
from lehr.evaluation.against_start import AgainstStart
from lehr.evaluation.bootstrap import Comparison, Interval
from lehr.studies.runner import read_data


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    """Two batches of 4, one of 2."""
    return make_yolo(counts={"train": 10, "val": 4})


@pytest.fixture
def older(make_yolo: MakeYolo) -> Path:
    """Nine images to validate, whose second class is the run's first."""
    path = make_yolo("older", counts={"train": 5, "val": 9})
    path.write_text(path.read_text().replace("[small, large]", "[round, small]"))
    return path


def read(source: Path, names: tuple[str, ...], **options: Any) -> OlderData:
    config = build_config({"data": "own.yaml", "keep_val": str(source), **options})
    return read_older(config, names, load_dataset, str(source))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_classes_are_matched_by_name(older: Path) -> None:
    found = read(older, ("large", "small", "round"))
    assert (found.names, found.columns) == (("small", "round"), (1, 2))
    theirs = load_dataset(str(older)).splits["val"]
    assert [sample.classes.tolist() for sample in theirs][:2] == [[0], [1]]  # round, small
    assert [sample.classes.tolist() for sample in found.val][:2] == [[2], [1]]
    assert [sample.classes.tolist() for sample in found.evaluated][:2] == [[1], [0]]
    assert len(found.notes) == 1


def test_classes_that_the_run_lacks_are_named_with_the_remedy(older: Path) -> None:
    found = read(older, ("small", "large"))
    assert (found.names, found.columns) == (("small",), (0,))
    assert [len(sample.classes) for sample in found.evaluated] == [0, 1] * 4 + [0]
    assert "1 class is not among the run's and cannot be kept" in found.notes[1]
    assert "round (5 objects). To keep such classes, name them in own.yaml too" in found.notes[1]


def test_all_classes_may_count_as_one(older: Path) -> None:
    found = read(older, ("object",), single_cls=True)
    assert found.names == ("object",) and all(sample.classes.tolist() == [0] for sample in found.val)


def test_objects_of_classes_that_the_run_lacks_are_background_in_replayed_images(older: Path) -> None:
    found = read(older, ("small", "large"), replay=0.5)
    assert [sample.classes.tolist() for sample in found.train] == [[], [0], [], [0], []]
    assert "3 objects in the training images of" in found.notes[-1]
    assert found.notes[-1].endswith("that the run does not have, and are treated as background: round (3 objects).")
    for label in (older.parent / "labels" / "train").glob("*.txt"):
        label.write_text("0 0.5 0.5 0.2 0.2")
    with pytest.raises(InputError, match=r"--replay 0\.5: no training image of .* has an object of a class"):
        read(older, ("small", "large"), replay=0.5)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ("cat", "dog"),
            "older/data.yaml: shares no class with the run, so nothing of it could be kept. It has round, small",
        ),
        (("cat", "square"), "the run has cat, square. To keep such classes, name them in own.yaml too"),
    ],
)
def test_older_data_without_a_common_class_are_refused(names: tuple[str, ...], expected: str, older: Path) -> None:
    with pytest.raises(InputError, match=expected):
        read(older, names)


def test_older_data_without_an_object_to_keep_are_refused(older: Path) -> None:
    older.write_text(older.read_text().replace("[round, small]", "[round, small, large]"))
    with pytest.raises(InputError, match=r"no image of its split 'val' has an object of a class that the run has"):
        read(older, ("large",))


@pytest.mark.parametrize(("name", "said"), [("nowhere", "does not exist"), ("", "is empty. Name a data YAML")])
def test_older_data_that_are_not_there_are_named_by_their_own_option(name: str, said: str) -> None:
    with pytest.raises(InputError, match=f"^--keep-val {name}: {said}"):
        read_older(build_config({"keep_val": name}), ("small",), load_dataset, name)


def test_broken_older_data_are_refused_before_anything_is_made(data: Path, older: Path, tmp_path: Path) -> None:
    label = older.parent / "labels" / "val" / "3.txt"
    label.write_text("7 0.5 0.5 0.1 0.1\n")
    with pytest.raises(InputError, match=r"3\.txt:1"):
        run(data, tmp_path / "runs", "run", keep_val=str(older))
    label.unlink()
    (older.parent / "images" / "val" / "3.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"3\.jpg"):
        run(data, tmp_path / "runs", "run", keep_val=str(older))
    with pytest.raises(InputError, match="nowhere"):
        run(data, tmp_path / "runs", "run", keep_val="nowhere.yaml")
    assert not (tmp_path / "runs").exists()


def test_each_epoch_tells_the_numbers_on_the_older_data_and_trains_as_without(
    data: Path, older: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events: list[Any] = []
    run(data, tmp_path, "without", epochs=2)
    with on("on_val_batch_end", events.append), on("on_val_end", events.append), on("on_fit_epoch_end", events.append):
        run(data, tmp_path, "run", epochs=2, keep_val=str(older), skip_broken=True)
    plain, kept = rows(tmp_path / "without"), rows(tmp_path / "run")
    named = [name for name in plain[0] if name not in ("seconds", "images_per_second")]
    assert [[row[name] for name in named] for row in kept] == [[row[name] for name in named] for row in plain]
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()
    alone = Detector.load(tmp_path / "run" / "last.safetensors", device="cpu").val(older, batch=4).metrics
    assert float(kept[-1]["keep/map50"]) == pytest.approx(alone.map50, abs=1e-5)
    maps = [event.older.map for event in events if isinstance(event, FitEpochEnd) and event.older]
    assert maps == pytest.approx([float(row["keep/map"]) for row in kept])
    last = next(event for event in reversed(events) if isinstance(event, ValEnd)).older
    assert last is not None and last.metrics == alone and alone.images == 9 and list(alone.classes) == ["small"]
    assert [event.done for event in events if isinstance(event, ValBatchEnd)][:4] == [4, 8, 12, 13]
    output = capsys.readouterr().out
    assert f"Epoch 2, on {older}: mAP50 {alone.map50:.3f}, mAP50-95 {alone.map:.3f}." in output
    assert "9 images of it, on the classes that it shares with the run: small." in output


def test_a_run_that_began_without_older_data_goes_on_without(data: Path, older: Path, tmp_path: Path) -> None:
    folder = stopped_run(data, tmp_path, "run", 2)
    with pytest.raises(InputError, match=r"--keep-val .*: the run started without older data and resumes without"):
        resume(folder, {"keep_val": str(older)})


def test_a_stopped_run_goes_on_with_its_older_data_and_with_no_others(
    data: Path, older: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(data, tmp_path, "whole", keep_val=str(older))
    monkeypatch.chdir(tmp_path)
    folder = stopped_run(data, tmp_path, "run", 4, keep_val="older/data.yaml")
    monkeypatch.chdir("/")
    (other,) = (shutil.copytree(older.parent, tmp_path / "other"),)
    next((other / "images" / "val").glob("*.jpg")).unlink()
    with pytest.raises(InputError, match=r"--keep-val .*other/data.yaml: has changed since"):
        resume(folder, {"keep_val": str(other / "data.yaml")})
    resume(folder)
    assert differences(tmp_path / "whole", folder) == []


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_a_stopped_run_goes_on_with_the_same_replay(step: int, data: Path, older: Path, tmp_path: Path) -> None:
    """Ten own images beside two older ones of each four: five batches."""
    given = {"keep_val": str(older), "replay": 0.5, "mixup": 0.5, "class_weights": 0.5}
    indices: list[list[int]] = []
    with before_step(lambda event: indices.append(list(event.batch.indices.tolist()))):
        run(data, tmp_path, "whole", **given)
    folder = stopped_run(data, tmp_path, "run", step, **given, workers=1)
    resume(folder)
    assert differences(tmp_path / "whole", folder) == []
    assert [sum(index >= 10 for index in batch) for batch in indices] == [2] * 10
    drawn = [index for batch in indices for index in batch if index >= 10]
    assert sorted(drawn) == sorted([*range(10, 15)] * 4)
    assert sorted(index for batch in indices[:5] for index in batch if index < 10) == list(range(10))


def test_changed_images_to_replay_are_refused(data: Path, older: Path, tmp_path: Path) -> None:
    folder = stopped_run(data, tmp_path, "run", 1, keep_val=str(older), replay=0.5, epochs=1)
    (older.parent / "labels" / "train" / "1.txt").write_text("1 0.5 0.5 0.2 0.2")
    with pytest.raises(InputError, match=r"--keep-val .*: has changed since"):
        resume(folder)


def test_machines_of_a_study_must_have_the_same_older_data(data: Path, older: Path) -> None:
    def known(**options: Any) -> str:
        return read_data(build_config({"data": str(data), **options})).fingerprint

    before = known(keep_val=str(older), replay=0.5)
    assert known() != before == known(keep_val=str(older), replay=0.5)
    (older.parent / "labels" / "train" / "1.txt").write_text("1 0.5 0.5 0.2 0.2")
    assert known(keep_val=str(older), replay=0.5) != before


def test_a_class_may_be_without_objects(data: Path, older: Path) -> None:
    """So the classes of older data can be named in the new data."""
    data.write_text(data.read_text().replace("[small, large]", "[small, large, round]"))
    dataset = load_dataset(str(data))
    assert dataset.names == ("small", "large", "round") and not dataset.faults
    assert not np.concatenate([sample.classes for sample in dataset.splits["train"]]).max() > 1
    assert read(older, dataset.names).names == ("small", "round")


def test_the_end_is_compared_with_the_start_on_the_older_data(
    data: Path, make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The start knows the older classes, though not all of the run's: only the older data are evaluated at first."""
    older = make_yolo("older", counts={"train": 5, "val": 12})
    start = run(older, tmp_path, "start", epochs=1).best
    data.write_text(data.read_text().replace("[small, large]", "[new, small, large]"))
    given = {"keep_val": str(older), "weights": str(start), "epochs": 2}
    ends: list[TrainEnd] = []
    with on("on_train_end", ends.append):
        result = run(data, tmp_path, "whole", **given)
    output, compared = capsys.readouterr().out, ends[0].older_against_start
    alone = Detector.load(start, device="cpu").val(older, batch=4).metrics
    assert f"The start, on {older}: mAP50 {alone.map50:.3f}, mAP50-95 {alone.map:.3f}." in output
    assert ends[0].against_start is None and [row["epoch"] for row in rows(tmp_path / "whole")] == ["1", "2"]
    assert compared is not None and result.older_against_start == compared
    last = Detector.load(result.last, device="cpu").val(older, batch=4).metrics
    assert compared.last.difference == pytest.approx(last.map_max_det - alone.map_max_det, abs=1e-6)
    assert compared.describe_on(str(older)) in output
    folder = stopped_run(data, tmp_path, "run", 4, **given)
    assert resume(folder).older_against_start == compared
    assert differences(tmp_path / "whole", folder) == []
    assert resume(folder).older_against_start == compared  # it has finished
    assert capsys.readouterr().out.count(compared.describe_on(str(older))) == 2


def test_a_loss_on_the_older_data_is_said() -> None:
    worse = Comparison(-0.02, -0.03, -0.01, Interval(-0.02, -0.03, -0.01), 50)
    even = Comparison(0.001, -0.01, 0.012, Interval(0.001, -0.01, 0.012), 50)
    text = "worse than the start by 0.020 mAP50-95 (0.010 to 0.030)"
    assert AgainstStart(worse, worse, same=True).describe_on("old.yaml") == f"On old.yaml: {text}."
    assert AgainstStart(even, worse).describe_on("old.yaml") == (
        f"On old.yaml: no difference from the start at this sample size (-0.010 to 0.012). The last epoch: {text}."
    )
    assert AgainstStart(None, worse).describe_on("o") == f"On o: the best is the start itself. The last epoch: {text}."
