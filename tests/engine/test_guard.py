"""A fine-tuning evaluates its start first, keeps it as the best until an epoch is better, and says what came of it."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.crash import differences
from tests.conftest import MakeYolo, Once, make_squares
from tests.distributed.processes import SMALL as DISTRIBUTED
from tests.distributed.processes import traced
from tests.engine.runs import LEARNING, PowerCut, on, resume, run, stopped_run
from tests.engine.test_going_wrong import poisoned
from tests.engine.test_start_from_weights import weights_of
from tests.processes import together

from lehr.callbacks.events import Event, StartEvaluated, TrainEnd
from lehr.checkpoint.format import read_checkpoint, write_checkpoint
from lehr.config import TrainConfig
from lehr.engine.result import TrainResult
from lehr.errors import Diverged, InputError, Stopped
from lehr.search.fitness import read_epochs
from lehr.studies.trial_process import _trained
from lehr.weights.load import load_model
from lehr.weights.write import save_weights

COUNTS = {"train": 8, "val": 4}
NANO = {"model": "yolov8n", "width": 0.0625, "depth": 0.01}


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    return make_yolo(counts=COUNTS)


@pytest.fixture(scope="session")
def whole(once: Once) -> Path:
    """A run of two epochs that was left alone; its data and weights are those of `data` and `weights`."""

    def make(folder: Path) -> None:
        squares = make_squares(folder / "data", COUNTS)
        run(squares, folder, "whole", weights=weights_of(folder, "yolov8n"), epochs=2, **NANO)

    return once("whole-guarded", make) / "whole"


@pytest.fixture(scope="session")
def stopped(once: Once) -> Path:
    """A run that was stopped in its second step."""

    def make(folder: Path) -> None:
        squares = make_squares(folder / "data", COUNTS)
        stopped_run(squares, folder, "run", 1, weights=weights_of(folder, "yolov8n"), epochs=2, **NANO)

    return once("stopped-guarded", make) / "run"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights that find nothing yet, for the same classes."""
    return weights_of(tmp_path, "yolov8n")


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "results.csv").open()))


def equal(first: Path, second: Path) -> bool:
    """Whether two files of weights have the same tensors."""
    one, other = load_model(first).state_dict(), load_model(second).state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_start_is_row_0_and_the_best_until_an_epoch_is_better(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events: list[Event] = []
    with on("on_start_evaluated", events.append), on("on_train_end", events.append):
        result = run(data, tmp_path, "run", weights=weights, epochs=1, lr0=1e-6, **NANO)
    start, end = events
    assert isinstance(start, StartEvaluated) and isinstance(end, TrainEnd)
    first, second = rows_of(result.folder)
    assert (first["epoch"], first["step"], second["epoch"]) == ("0", "0", "1")
    assert first["train/box"] == first["lr/weights"] == first["images_per_second"] == ""
    assert float(first["val/box"]) > 0 and first["val/map"] == "0"
    assert start.row["epoch"] == 0 and start.metrics.map == 0
    assert end.best_epoch == -1  # the epoch, which finds nothing either, is no better
    assert equal(result.best, weights) and not equal(result.last, weights)
    assert result.against_start is not None and result.against_start == end.against_start
    assert result.against_start.best is None and result.against_start.verdict == "no difference"  # of 4 images
    said = capsys.readouterr().out
    assert "\nstart       -       -       -" in said and "The start is best, on the validation split" in said
    assert "No epoch is better than the start, so that the start is best. The last epoch: no difference from" in said
    assert "The start is best" in (result.folder / "train.log").read_text()
    assert [epoch.metrics["map"] for epoch in read_epochs(result.folder / "results.csv")] == [0]


@pytest.mark.parametrize("more", [{"guard": "off"}, {"weights": None}, {"reset_head": True}])
def test_without_a_start_to_compare_with_there_is_no_row_0(
    more: dict[str, Any], data: Path, weights: Path, tmp_path: Path
) -> None:
    result = run(data, tmp_path, "run", **{"weights": weights, "epochs": 1, **NANO, **more})
    assert [row["epoch"] for row in rows_of(result.folder)] == ["1"]
    assert result.against_start is None and "guard" not in read_checkpoint(result.folder / "last.ckpt").content["state"]


def test_classes_that_begin_anew_have_no_start(data: Path, tmp_path: Path) -> None:
    result = run(data, tmp_path, "run", weights=weights_of(tmp_path, "yolov8n", ("small", "x")), epochs=1, **NANO)
    assert [row["epoch"] for row in rows_of(result.folder)] == ["1"]


def test_the_training_is_the_same_to_the_bit(data: Path, weights: Path, tmp_path: Path) -> None:
    guarded = run(data, tmp_path, "on", weights=weights, epochs=2, image_weights=True, **NANO)
    free = run(data, tmp_path, "off", weights=weights, epochs=2, image_weights=True, guard="off", **NANO)
    assert equal(guarded.last, free.last)
    kept = [{name: value for name, value in row.items() if "second" not in name} for row in rows_of(guarded.folder)]
    assert kept[1:] == [
        {name: value for name, value in row.items() if "second" not in name} for row in rows_of(free.folder)
    ]


@pytest.mark.parametrize("moment", ["on_val_start", "on_val_end", "on_start_evaluated"])
def test_a_run_that_is_killed_around_row_0_ends_as_one_that_was_not(
    moment: str, data: Path, weights: Path, tmp_path: Path, whole: Path
) -> None:
    given = {"weights": weights, "epochs": 2, **NANO}

    def cut(event: Event) -> None:
        raise PowerCut

    with on(moment, cut), pytest.raises(PowerCut):
        run(data, tmp_path, "cut", **given)
    weights.unlink()  # what it brought is in the checkpoint
    result = resume(tmp_path / "cut")
    assert differences(whole, tmp_path / "cut") == []
    assert result.against_start is not None


@pytest.mark.parametrize("step", [0, 3])
def test_a_stopped_run_keeps_what_it_is_compared_with(
    step: int, data: Path, weights: Path, tmp_path: Path, whole: Path
) -> None:
    given = {"weights": weights, "epochs": 2, **NANO}
    result = resume(stopped_run(data, tmp_path, "stopped", step, **given))
    assert differences(whole, tmp_path / "stopped") == []
    compared = resume(shutil.copytree(whole, tmp_path / "whole")).against_start  # of a finished run
    assert result.against_start == compared is not None
    assert resume(result.folder).against_start == compared


def test_a_signal_during_the_first_evaluation_stops_the_run(
    data: Path, weights: Path, tmp_path: Path, whole: Path
) -> None:
    import signal

    given = {"weights": weights, "epochs": 2, **NANO}
    with on("on_val_start", lambda event: signal.raise_signal(signal.SIGTERM)), pytest.raises(Stopped):
        run(data, tmp_path, "stopped", **given)
    resume(tmp_path / "stopped")
    assert differences(whole, tmp_path / "stopped") == []


def test_a_rollback_keeps_the_start(data: Path, weights: Path, tmp_path: Path) -> None:
    given = {"weights": weights, "epochs": 2, "nominal_batch": 4, "warmup_epochs": 0, "skip_limit": 1, **NANO}
    with poisoned(lambda step, count: step == 1 and count == 0):
        result = run(data, tmp_path, "run", **given)
    state = read_checkpoint(result.folder / "last.ckpt").content["state"]
    assert state["recovery"]["rollbacks"] == 1
    assert [row["epoch"] for row in rows_of(result.folder)] == ["0", "1", "2"]
    assert equal(result.best, weights) and result.against_start is not None


def test_a_run_that_diverges_for_good_ends_with_its_start(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"epochs": 2, "nominal_batch": 4, "warmup_epochs": 0, "skip_limit": 1, "rollbacks": 1, **NANO}
    ends: list[TrainEnd] = []
    with poisoned(lambda step, _: step >= 1), on("on_train_end", ends.append):
        result = run(data, tmp_path, "run", weights=weights, **given)
    assert equal(result.best, weights) and result.against_start is not None
    (end,) = ends
    assert end.diverged.startswith("1 optimizer step was not finite, after 1 rollback to a checkpoint with lower rates")
    assert not end.stopped_early and end.best_epoch == -1
    said = capsys.readouterr().out
    assert "The run ends here and keeps its best weights so far." in said and "stopped early" not in said
    with poisoned(lambda step, _: step >= 1), pytest.raises(Diverged):
        run(data, tmp_path, "free", weights=weights, guard="off", **given)


def finetuned(trained_squares: Path, project: Path, **more: Any) -> TrainResult:
    """A run from the weights that find the squares."""
    given = {"batch": 8, "nominal_batch": 8, "mosaic": 0, "epochs": 1, **LEARNING}
    start = trained_squares / "run" / "best.safetensors"
    return run(trained_squares / "data" / "data.yaml", project, "run", **{"weights": start, **given, **more})


def test_a_rate_that_is_far_too_high_ends_with_the_start_and_says_worse(
    trained_squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = finetuned(trained_squares, tmp_path, lr0=1, epochs=3, patience=1)
    assert equal(result.best, trained_squares / "run" / "best.safetensors")
    assert result.against_start is not None and result.against_start.verdict == "worse"
    assert result.against_start.last.high < 0
    assert [row["epoch"] for row in rows_of(result.folder)] == ["0", "1"]  # patience counts from the start
    said = capsys.readouterr().out
    assert "The last epoch: worse than the start by " in said and "No better result for 1 epoch" in said


def test_wrong_labels_end_with_the_start_and_say_worse(trained_squares: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_squares / "data", tmp_path / "data")
    for label in (tmp_path / "data" / "labels" / "train").glob("*.txt"):
        label.write_text(str(1 - int(label.read_text()[0])) + label.read_text()[1:])
    result = run(
        tmp_path / "data" / "data.yaml",
        tmp_path,
        "run",
        weights=trained_squares / "run" / "best.safetensors",
        **{"batch": 8, "nominal_batch": 8, "mosaic": 0, "epochs": 6, "lr0": 0.004, **LEARNING},
    )
    assert equal(result.best, trained_squares / "run" / "best.safetensors")
    assert result.against_start is not None and result.against_start.verdict == "worse"


def test_an_honest_run_says_better(trained_squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weak = load_model(trained_squares / "run" / "best.safetensors")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in weak.parameters():
            parameter *= 1 + 0.08 * torch.randn(parameter.shape, generator=generator)
    save_weights(weak, tmp_path / "weak.safetensors")
    result = finetuned(trained_squares, tmp_path, weights=tmp_path / "weak.safetensors", epochs=8, lr0=0.002)
    assert result.against_start is not None and result.against_start.verdict == "better"
    assert result.against_start.last.low > 0
    assert "better than the start by " in capsys.readouterr().out


def test_trials_of_studies_are_made_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[TrainConfig] = []
    monkeypatch.setattr("lehr.engine.run.train", made.append)
    _trained(tmp_path / "trials" / "0000", {"data": "shapes", "weights": "w.safetensors"})
    assert [config.run.guard for config in made] == ["off"]


def test_several_processes_judge_as_one(make_yolo: MakeYolo, weights: Path, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 8, "val": 12})
    options = {**DISTRIBUTED, **NANO, "data": str(data), "project": str(tmp_path), "weights": str(weights), "epochs": 1}
    together(2, traced, {**options, "name": "two"}, folder=tmp_path)
    state = read_checkpoint(tmp_path / "two" / "last.ckpt").content["state"]
    assert [row["epoch"] for row in rows_of(tmp_path / "two")] == ["0", "1"]
    assert equal(tmp_path / "two" / "best.safetensors", weights)
    assert state["guard"]["outcome"]["last"]["images"] == 12 and state["stopping"]["best_epoch"] == -1


@pytest.mark.parametrize(
    ("name", "value"),
    [("start.images", -1), ("start.detections", None), ("outcome", {"best": None}), ("best", 3)],
)
def test_a_guard_that_is_none_is_refused(name: str, value: Any, stopped: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stopped, tmp_path / "run")
    checkpoint = read_checkpoint(folder / "last.ckpt")
    *parents, last = name.split(".")
    part = checkpoint.content["state"]["guard"]
    for parent in parents:
        part = part[parent]
    part[last] = value
    (folder / "previous.ckpt").unlink()
    write_checkpoint(folder, checkpoint.content, checkpoint.position)
    (folder / "previous.ckpt").unlink()
    with pytest.raises(InputError, match=r"holds what Lehr does not write: state\.guard"):
        resume(folder)
