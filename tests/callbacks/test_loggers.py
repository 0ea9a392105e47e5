"""Loggers: each one's real store holds a run's scalars once, through a kill and a resume; none ends or stalls a run."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import MakeYolo
from tests.engine.runs import before_step, resume, run
from tests.processes import Forked

from lehr.callbacks import loading, logger_thread
from lehr.callbacks.loading import load_loggers
from lehr.callbacks.logger import LoggedRun, Logger, Reached, Scalars, scalars_of
from lehr.callbacks.logger_thread import LoggerThread, finish
from lehr.callbacks.mlflow_logger import MlflowLogger
from lehr.callbacks.wandb_logger import BLOCK, records
from lehr.checkpoint.run_log import StartLine, read_run_log
from lehr.config import build_config
from lehr.errors import InputError

NAMES = ("csv", "tensorboard", "mlflow", "trackio", "wandb")
Points = list[tuple[str, int, float]]
"""Name of a scalar, step or epoch, value."""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's settings, nobody's store, and no network."""
    store(monkeypatch, tmp_path / "trackio")
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_DIR", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def store(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have Trackio, which knows its folder from when it is imported, keep its runs in another."""
    monkeypatch.setenv("TRACKIO_DIR", str(folder))
    for module in [each for each in sys.modules if each.partition(".")[0] == "trackio"]:
        monkeypatch.delitem(sys.modules, module)


def in_csv(folder: Path) -> Points:
    rows = csv.DictReader((folder / "steps.csv").open())
    return [(f"step/{k}", int(row["step"]), float(v)) for row in rows for k, v in row.items() if v and k != "step"]


def in_tensorboard(folder: Path) -> Points:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), {"scalars": 0, "images": 0, "tensors": 0}).Reload()
    return [(tag, each.step, each.value) for tag in events.Tags()["scalars"] for each in events.Scalars(tag)]


def in_mlflow(folder: Path) -> Points:
    from mlflow.tracking import MlflowClient

    if not (folder.parent / "mlflow.db").exists():
        return []
    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow.db'}")
    if client.get_experiment_by_name("lehr") is None:
        return []
    (found,) = client.search_runs([client.get_experiment_by_name("lehr").experiment_id])
    assert found.data.params["imgsz"] == "64" and found.info.run_name == folder.name
    history = [each for name in found.data.metrics for each in client.get_metric_history(found.info.run_id, name)]
    return [(each.key, each.step, each.value) for each in history]


def in_wandb(folder: Path) -> Points:
    from wandb.proto import wandb_internal_pb2 as messages

    points, ids = [], set()
    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        ids.add(path.name)
        for content in records(path.read_bytes()):
            record = messages.Record()  # type: ignore[attr-defined]
            record.ParseFromString(content)
            row = {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            axis = row.pop("batches", None) or row.get("epoch")
            points += [(k, axis, v) for k, v in row.items() if not k.startswith(("_", "images/")) and axis is not None]
    assert len(ids) == 1
    return points


def in_trackio(folder: Path) -> Points:
    from trackio.sqlite_storage import SQLiteStorage

    names = SQLiteStorage.get_runs("lehr")
    assert len(names) == 1 and names[0].startswith(f"{folder.name}-")
    points = []
    for row in SQLiteStorage.get_logs("lehr", names[0]):
        axis = row.get("epoch", row["step"])
        points += [(k, axis, v) for k, v in row.items() if isinstance(v, int | float) and k != "step"]
    return points


STORES: dict[str, Callable[[Path], Points]] = {
    "csv": in_csv,
    "tensorboard": in_tensorboard,
    "mlflow": in_mlflow,
    "trackio": in_trackio,
    "wandb": in_wandb,
}


def expected(folder: Path, epochs: bool) -> dict[tuple[str, int], float]:
    """The scalars that a store must hold, by name and step or epoch."""
    found = [scalars_of(line.model_dump(), 0.0) for line in read_run_log(folder).lines]
    every = [each for each in found if each is not None and (epochs or each.epoch is None)]
    return {
        (name, each.step if each.epoch is None else each.epoch): value
        for each in every
        for name, value in each.values.items()
    }


def check(name: str, folder: Path) -> None:
    """Compare a store with the run's log: the same scalars, and each once."""
    points, wanted = STORES[name](folder), expected(folder, epochs=name != "csv")
    if name == "trackio":  # whose axis it is
        wanted = {key: value for key, value in wanted.items() if key[0] != "step"}
    assert sorted((key, step) for key, step, _ in points) == sorted(wanted)
    for key, step, value in points:
        assert value == pytest.approx(wanted[key, step], rel=1e-6), (key, step)


def train_and_be_killed(data: Path, project: Path, names: tuple[str, ...]) -> None:
    """Train with loggers; in the second epoch, when these have something in their stores, comes SIGKILL."""

    def kill(event: Any) -> None:
        if event.step == 5:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not all(_has_something(name, project) for name in names):
                time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)

    with before_step(kill):
        run(data, project, "run", batch=2, loggers=list(names))


def _has_something(name: str, project: Path) -> bool:
    """Return whether a logger has scalars in its store; those that keep them elsewhere are not asked."""
    if name == "csv":
        return (project / "run" / "steps.csv").exists() and len(in_csv(project / "run")) > 0
    if name == "tensorboard":
        return (project / "run" / "tensorboard").exists() and len(in_tensorboard(project / "run")) > 0
    file = project / "mlflow.db"
    if name != "mlflow":
        return True
    if not file.exists():
        return False
    with contextlib.closing(sqlite3.connect(file)) as store:
        return bool(store.execute("select count(*) from metrics").fetchone()[0])


@pytest.mark.parametrize(
    "names", [("csv", "tensorboard", "trackio", "wandb"), pytest.param(NAMES, marks=pytest.mark.slow)]
)
def test_each_store_holds_each_scalar_once_through_a_kill_and_a_resume(
    names: tuple[str, ...], make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_yolo(counts={"train": 6, "val": 2})
    killed = Forked(train_and_be_killed, data, tmp_path, names, out=tmp_path / "out")
    assert killed.wait() == -signal.SIGKILL, killed.out
    for name in {"csv", "tensorboard", "mlflow"} & {*names}:  # they have something, of steps that are done again too
        assert STORES[name](tmp_path / "run"), name
    folder = resume(tmp_path / "run").folder
    assert "trackio" not in capsys.readouterr().out.lower()
    for name in names:
        check(name, folder)
    assert len(expected(folder, epochs=False)) > 6 * 6
    assert [start.resumed for start in read_run_log(folder).of(StartLine)] == [False, True]


def test_mlflow_holds_each_scalar_once_through_a_kill(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    about = LoggedRun("0" * 16, tmp_path / "run", {"imgsz": 64}, {})

    def scalars(step: int) -> Scalars:
        return Scalars({"step/momentum": 0.9, "step/box": 1 / step}, step, None, 0.0)

    killed, resumed = MlflowLogger(), MlflowLogger()
    assert killed.begin(about) == Reached()
    killed.log(scalars(1))
    killed.log(scalars(2))
    killed.log(Scalars({"epoch": 1.0, "val/map": 0.5}, 2, 1, 0.0))
    killed.flush()
    killed.log(scalars(3))  # lost: the process ends before it is written
    assert resumed.begin(about) == Reached(step=2, epoch=1)
    resumed.log(scalars(3))
    resumed.close(True)
    steps = [point for step in (1, 2, 3) for point in (("step/momentum", step, 0.9), ("step/box", step, 1 / step))]
    assert sorted(in_mlflow(tmp_path / "run")) == sorted([*steps, ("epoch", 1, 1.0), ("val/map", 1, 0.5)])


class Slow(Logger):
    """Does nothing for long, at an event of choice."""

    name = "slow"
    at = "open"

    def __init__(self) -> None:
        self.seen: list[Scalars] = []

    def begin(self, run: LoggedRun) -> Reached:
        if self.at == "open":
            time.sleep(60)
        return Reached()

    def log(self, scalars: Scalars) -> None:
        self.seen.append(scalars)
        if self.at == "raise":
            raise RuntimeError("the tool is broken")

    def close(self, finished: bool) -> None:
        if self.at == "close":
            time.sleep(60)


@pytest.mark.parametrize(("at", "said"), [("open", "has not finished"), ("close", "has not"), ("raise", "is broken")])
def test_a_logger_that_hangs_or_fails_neither_ends_nor_stalls_a_run(
    at: str, said: str, make_yolo: MakeYolo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setitem(loading.OWN_LOGGERS, "slow", f"{__name__}:Slow")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Slow.__module__])
    monkeypatch.setattr(Slow, "at", at)
    monkeypatch.setattr(logger_thread, "FINISH_SECONDS", 0.2)
    before = time.monotonic()
    data = make_yolo(counts={"train": 2, "val": 2})
    result = run(data, tmp_path, "run", epochs=1, batch=2, loggers="slow", strict_callbacks=True)
    assert result.best.is_file() and time.monotonic() - before < 30
    assert f"Logger slow {'failed' if at == 'raise' else 'has not'}" in caplog.text and said in caplog.text


def test_a_logger_that_does_not_keep_up_takes_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logger_thread, "QUEUED", 3)
    monkeypatch.setattr(Slow, "at", "open")
    thread = LoggerThread(Slow())
    thread.start(LoggedRun("0" * 16, tmp_path, {}, {}))
    for _ in range(10):
        thread.put({"kind": "step"})
    assert caplog.text.count("does not keep up") == 1
    monkeypatch.setattr(logger_thread, "STOP_SECONDS", 0.1)
    finish([thread], finished=False)
    assert "has not finished in time" in caplog.text


def test_only_what_the_store_lacks_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slow, "at", "")
    monkeypatch.setattr(Slow, "begin", lambda self, run: Reached(step=2, epoch=0))
    slow = Slow()
    thread = LoggerThread(slow)
    thread.start(LoggedRun("0" * 16, tmp_path, {}, {}))
    step = {"kind": "step", "losses": {"box": 1.0}, "rates": {}, "norm": None, "momentum": 0.9, "accumulate": 1}
    lines: list[dict[str, Any]] = [{"kind": "start-evaluated", "step": 0, "row": {"epoch": 0, "val/map": 0.5}}]
    lines += [{**step, "step": number, "loss_scale": None} for number in (0, 1, 2, 3, 2, 3, 4)]  # with a rollback
    lines += [{"kind": "epoch", "step": 5, "row": {"epoch": 1, "val/map": 0.6, "note": "x", "val/f1": None}}]
    for line in lines:
        thread.put(line)
    finish([thread], finished=True)
    assert [each.step for each in slow.seen] == [3, 4, 5, 5] and slow.seen[-1].epoch == 1
    assert slow.seen[0].values == {"step/box": 1.0, "step/momentum": 0.9, "step/accumulate": 1.0}
    assert slow.seen[-1].values == {"epoch": 1.0, "val/map": 0.6}


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "trackio", "wandb"])
def test_a_missing_package_is_reported_before_anything_is_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"--loggers {name}: .*pip install '\.\[{name}\]'"):
        run("shapes", tmp_path / "runs", "run", loggers=name)
    assert not (tmp_path / "runs").exists()


def test_loggers_are_named_and_a_wrong_name_is_refused() -> None:
    assert build_config({"loggers": "csv, mlflow,csv"}).run.loggers == ("csv", "mlflow")
    assert build_config({"loggers": ["csv,wandb", "mlflow"]}).run.loggers == ("csv", "wandb", "mlflow")
    with pytest.raises(InputError, match=r"--loggers tensorbord: there is no such logger.*tensorboard"):
        load_loggers(["tensorbord"])
    with pytest.raises(InputError, match=r"--callback package\.module:object"):
        load_loggers(["os:system"])


def test_an_installed_package_offers_a_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint, EntryPoints

    points = [
        EntryPoint("slow", f"{Slow.__module__}:Slow", "lehr.loggers"),
        EntryPoint("x", "os:getcwd", "lehr.loggers"),
    ]
    monkeypatch.setitem(sys.modules, Slow.__module__, sys.modules[Slow.__module__])
    monkeypatch.setattr(loading, "entry_points", lambda group: EntryPoints(points))
    (made,) = load_loggers(["slow"])
    assert isinstance(made, Slow)
    with pytest.raises(InputError, match="--loggers x: does not derive from"):
        load_loggers(["x"])


def test_records_that_span_blocks_are_joined_and_a_torn_one_ends_the_file() -> None:
    def fragment(kind: int, content: bytes) -> bytes:
        return bytes(4) + len(content).to_bytes(2, "little") + bytes([kind]) + content

    room = BLOCK - 7 - 7
    long = os.urandom(room + BLOCK - 7 + 100)
    data = b":W&B\xe1\xbe\0" + fragment(2, long[:room]) + fragment(3, long[room : room + BLOCK - 7])
    data += fragment(4, long[room + BLOCK - 7 :]) + fragment(1, b"small")
    left = BLOCK - len(data) % BLOCK
    data += fragment(1, bytes(left - 7 - 3)) + bytes(3) + fragment(1, b"next block") + fragment(1, b"torn")[:-2]
    assert [len(each) for each in records(data)] == [len(long), 5, left - 10, 10]
    assert next(records(data)) == long and list(records(data))[-1] == b"next block"
    assert list(records(b"")) == [] and list(records(data[:7] + os.urandom(1)[:0])) == []
