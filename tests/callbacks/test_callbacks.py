"""Callbacks: the events of a run, and that listening to them neither changes nor ends it."""

from __future__ import annotations

import csv
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks.crash import differences
from tests.conftest import MakeYolo, Once, make_squares
from tests.engine.runs import SMALL, listening, resume, run, stop_at

from lehr.callbacks.callback import EVENT_METHODS, Callback, FunctionCallback
from lehr.callbacks.dispatcher import Dispatcher
from lehr.callbacks.events import BatchEnd, BatchStart, FitEpochEnd, ModelSave, RunException, Teardown, TrainEpochEnd
from lehr.callbacks.loading import load_callbacks
from lehr.checkpoint.format import read_checkpoint
from lehr.config import build_config
from lehr.detector import Detector
from lehr.engine.run import train
from lehr.errors import InputError, LehrError, Stopped

BATCH = ["on_train_batch_start", "on_train_batch_end"]
EPOCH = ["on_train_epoch_start", *BATCH * 2, "on_train_epoch_end", "on_val_start", "on_val_batch_end", "on_val_end"]


class Recorder:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name not in EVENT_METHODS:
            raise AttributeError(name)
        return self.events.append

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def methods(self) -> list[str]:
        return [event.method for event in self.events]


class Counter:
    """Counts epochs, through a kill too."""

    name = "counter"

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        self.epochs.append(event.epoch)

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": list(self.epochs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]


class Failing:
    """Fails at every event."""

    name = "failing"

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name not in (*EVENT_METHODS, "state_dict", "load_state_dict"):
            raise AttributeError(name)

        def fail(*_: Any) -> None:
            raise ValueError(f"oh dear, {name}")

        return fail


COUNTS = {"train": 8, "val": 4}


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    return make_yolo(counts=COUNTS)


@pytest.fixture(scope="session")
def whole(once: Once) -> Path:
    """A run that nobody listened to, of the same data as `data`."""
    return once("unheard", lambda folder: run(make_squares(folder / "data", COUNTS), folder, "whole")) / "whole"


def test_events_come_in_the_order_of_a_run(data: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    with listening(recorder):
        run(data, tmp_path, "run", epochs=2, amp="off")
    told = [method for method in recorder.methods if method not in ("on_model_save", "on_best_improved")]
    assert told == [
        *("on_pretrain_routine_start", "on_pretrain_routine_end", "on_train_start"),
        *[*EPOCH, "on_fit_epoch_end"] * 2,
        *("on_train_end", "teardown"),
    ]
    assert [(event.epoch, event.step) for event in recorder.of(BatchEnd)] == [(0, 0), (0, 1), (1, 2), (1, 3)]
    best = [event.epoch for event in recorder.events if event.method == "on_best_improved"]
    assert best == [event.epoch for event in recorder.of(FitEpochEnd) if event.best] and 0 in best


def test_events_carry_the_numbers_of_the_run(data: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    with listening(recorder):
        folder = run(data, tmp_path, "run", epochs=2, amp="off").folder
    rows = list(csv.DictReader((folder / "results.csv").open()))
    ends, fits, batches = recorder.of(TrainEpochEnd), recorder.of(FitEpochEnd), recorder.of(BatchEnd)
    for row, end, fit in zip(rows, ends, fits, strict=True):
        own = [event for event in batches if event.epoch == fit.epoch]
        for part in ("box", "cls", "dfl"):
            mean = sum(event.losses[part] for event in own) / sum(event.images for event in own)
            assert end.losses[part] == fit.losses[part] == pytest.approx(mean, rel=1e-5)
            assert float(row[f"train/{part}"]) == pytest.approx(mean, rel=1e-4)
        assert float(row["lr/weights"]) == pytest.approx(own[-1].rates["weights"], rel=1e-4)
        assert fit.row["epoch"] == fit.epoch + 1 == int(row["epoch"])
        assert fit.metrics.images == 4 and fit.memory > 10
        assert all(event.finite and event.norm > 0 for event in own if event.updated)
    assert recorder.events[1].run.folder == folder and recorder.events[1].run.batches == 2


def test_a_batch_is_there_as_the_model_sees_it(data: Path, tmp_path: Path) -> None:
    seen = []

    def look(event: BatchStart) -> None:
        images, boxes = event.model_input()
        seen.append((tuple(images.shape), float(images.max()) <= 1.0, boxes.shape[0], len(event.batch)))

    with listening(FunctionCallback("on_train_batch_start", look)):
        run(data, tmp_path, "run", epochs=1)
    assert seen == [((4, 3, 64, 64), True, 4, 4)] * 2


def test_a_checkpoint_is_told_when_it_is_on_the_disk(data: Path, tmp_path: Path) -> None:
    steps = []

    def saved(event: ModelSave) -> None:
        position = read_checkpoint(event.checkpoint).position
        assert position.step >= event.step  # a newer one may have taken its place since
        steps.append((event.epoch, event.step, event.last is not None and event.last.is_file()))

    with listening(FunctionCallback("on_model_save", saved)):
        run(data, tmp_path, "run", epochs=2, strict_callbacks=True)
    assert steps[-1] == (2, 4, True)
    assert steps == sorted(steps)


def test_a_callback_that_fails_in_every_method_changes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], whole: Path
) -> None:
    with listening(Failing()):
        folder = run(data, tmp_path, "run").folder
    told = capsys.readouterr().out
    assert differences(whole, folder) == []
    for name in ("best.safetensors", "last.safetensors"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert told.count("Callback failing failed in on_train_batch_end: ValueError: oh dear, on_train_batch_end.") == 1
    assert "Callback failing failed in state_dict" in told and "Traceback" not in told
    log = (folder / "train.log").read_text()
    assert "Traceback (most recent call last)" in log and "ValueError: oh dear, on_fit_epoch_end" in log


def test_a_strict_run_ends_with_its_state_saved(data: Path, tmp_path: Path, whole: Path) -> None:
    def fail(event: BatchStart) -> None:
        if event.step == 3:
            raise ValueError("oh dear")

    with (
        listening(FunctionCallback("on_train_batch_start", fail)),
        pytest.raises(LehrError, match=r"(?s)ValueError: oh dear.*--strict-callbacks.*lehr train --resume"),
    ):
        run(data, tmp_path, "run", strict_callbacks=True)
    resume(tmp_path / "run")
    assert differences(whole, tmp_path / "run") == []


def test_a_callback_s_state_survives_a_stop(data: Path, tmp_path: Path) -> None:
    first, second = Counter(), Counter()
    with listening(first), stop_at(3), pytest.raises(Stopped):
        run(data, tmp_path, "run")
    assert read_checkpoint(tmp_path / "run" / "last.ckpt").content["callbacks"]["counter"] == {"epochs": [0]}
    with listening(second):
        resume(tmp_path / "run")
    assert second.epochs == [0, 1]


def test_a_state_that_could_not_be_read_again_is_reported_and_left_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Odd(Counter):
        def state_dict(self) -> dict[str, Any]:
            return {"file": Path("x")}

    with listening(Odd()):
        folder = run(data, tmp_path, "run", epochs=1).folder
    assert "Callback counter failed in state_dict: TypeError" in capsys.readouterr().out
    assert "failing" not in read_checkpoint(folder / "last.ckpt").content["callbacks"]


def test_an_error_and_the_end_are_told_in_this_order(data: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    with listening(recorder), stop_at(1, signal.SIGINT), pytest.raises(Stopped):
        run(data, tmp_path, "run")
    assert recorder.methods[-2:] == ["on_exception", "teardown"]
    assert isinstance(recorder.of(RunException)[0].error, Stopped)
    failed = Recorder()
    with listening(failed), pytest.raises(InputError):
        run(tmp_path / "missing.yaml", tmp_path, "never")
    assert failed.methods == ["on_pretrain_routine_start", "on_exception", "teardown"]
    assert failed.of(Teardown)[0].run is None and not (tmp_path / "never").exists()


def test_methods_of_the_base_class_are_not_called_and_own_ones_are() -> None:
    class Own(Callback):
        def on_val_start(self, event: Any) -> None:
            pass

    dispatcher = Dispatcher([Own()])
    assert [name for name in EVENT_METHODS if dispatcher.wants(name)] == ["on_val_start"]
    assert not Dispatcher([Own()], is_main=False).wants("on_val_start")  # rank 0 alone, unless it asks for all


def test_a_detector_listens_with_functions_and_objects_and_is_silent_when_asked(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    detector, epochs, recorder = Detector("yolov8n"), [], Recorder()
    detector.add_callback("on_train_epoch_end", lambda event: epochs.append(event.epoch))
    options = {**SMALL, "data": str(data), "project": tmp_path, "epochs": 1}
    with caplog.at_level(logging.INFO, "lehr"):
        detector.train(callbacks=[recorder], verbose=False, **options)
    assert epochs == [0] and recorder.methods[-1] == "teardown"
    assert capsys.readouterr().out == ""
    assert "mAP50-95" in caplog.text and "mAP50-95" in (tmp_path / "train" / "train.log").read_text()
    assert logging.getLogger("lehr").handlers == []
    with pytest.raises(InputError, match=r"no event 'on_epoch_end'\. Did you mean on_.*epoch_end"):
        detector.add_callback("on_epoch_end", print)
    with pytest.raises(InputError, match=r"is a class; give an object of it, Recorder\(\)"):
        detector.train(callbacks=[Recorder], **options, name="other")
    with pytest.raises(InputError, match="has no method of an event"):
        detector.train(callbacks=[object()], **options, name="other")


MADE: list[Recorder] = []


class Named(Recorder):
    """A callback that is named in options."""

    def __init__(self) -> None:
        super().__init__()
        MADE.append(self)


NAME = "tests.callbacks.test_callbacks:Named"


def test_a_callback_is_found_by_its_name(data: Path, tmp_path: Path) -> None:
    MADE.clear()
    config = build_config({**SMALL, "data": str(data), "project": tmp_path, "epochs": 1, "callback": [NAME]})
    train(config, verbose=False)
    assert len(MADE) == 1 and MADE[0].methods[-1] == "teardown"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody-offers-this", "no installed package offers this callback"),
        ("no.such.module:Thing", r"cannot be imported \(ModuleNotFoundError"),
        ("tests.callbacks.test_callbacks:Missing", r"cannot be imported \(AttributeError"),
        ("tests.callbacks.test_callbacks:NAME", "has no method of an event"),
        ("subprocess:Popen", r"cannot be created \(TypeError"),
    ],
)
def test_a_name_that_leads_to_no_callback_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_callbacks([name])


def test_code_that_a_run_s_file_names_is_not_run_unless_it_is_given(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MADE.clear()
    with stop_at(2), pytest.raises(Stopped):
        run(data, tmp_path, "run", callback=[NAME])
    assert len(MADE) == 1
    with stop_at(3), pytest.raises(Stopped):
        resume(tmp_path / "run")
    assert len(MADE) == 1
    told = capsys.readouterr().out
    assert "names callbacks that are code" in told and f"give --callback {NAME}" in told
    resume(tmp_path / "run", {"callback": [NAME]})
    assert len(MADE) == 2 and MADE[1].methods[0] == "on_pretrain_routine_start"
