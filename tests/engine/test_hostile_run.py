"""Checkpoints with content of the wrong kind, and run folders of strangers: one message before anything is built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.commands import lehr
from tests.conftest import Once, make_squares
from tests.engine.runs import run

from lehr.checkpoint.content import check_content
from lehr.checkpoint.format import Checkpoint, DamagedCheckpoint, Position, read_checkpoint, write_checkpoint
from lehr.engine.resume import open_run
from lehr.engine.state import TrainState
from lehr.errors import InputError


@pytest.fixture(scope="module")
def whole(once: Once) -> Path:
    """The folder of a run that has finished."""

    def make(folder: Path) -> None:
        run(make_squares(folder / "data", {"train": 4, "val": 2}), folder, "run", epochs=1)

    return once("hostile-run", make) / "run"


@pytest.fixture
def stored(whole: Path) -> Checkpoint:
    """The run's checkpoint, to be changed."""
    return read_checkpoint(whole / "last.ckpt")


def put(place: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of content at a place such as `state.stopping.best`; `...` removes what is there."""

    def change(content: dict[str, Any]) -> None:
        *path, name = (int(part) if part.isdigit() else part for part in place.split("."))
        for part in path:
            content = content[part]
        if value is ...:
            del content[name]
        else:
            content[name] = value

    return change


class Other:
    """What no checkpoint holds."""


HOSTILE = [
    *(("state", value) for value in (5, None, [], "x", {})),
    *(("config", value) for value in (5, None, [], "x")),
    *(("plan", value) for value in ("x", 5, [], {}, None)),
    ("plan.optimizer", {}),
    ("plan.optimizer.name", "__import__"),
    ("plan.optimizer.lr0", "x"),
    ("plan.optimizer.lr0", float("nan")),
    ("plan.optimizer.nominal_batch", 0),
    ("plan.warmup", -1),
    ("plan.warmup", 10**30),
    ("plan.ema_tau", 0),
    ("plan.closed", "x"),
    ("data", 5),
    ("data", "x" * 10**6),
    ("images", "x"),
    ("torch", []),
    ("device", {}),
    ("processes", 0),
    ("processes", "2"),
    ("code", []),
    ("code", {"x:f": 5}),
    ("callbacks", []),
    ("callbacks", {"x": 5}),
    ("state.model", 5),
    ("state.model", {"a": 5}),
    ("state.optimizer", []),
    ("state.optimizer.state", [5]),
    ("state.optimizer.state", {"x": {}}),
    ("state.optimizer.state", {0: 5}),
    ("state.optimizer.param_groups", []),
    ("state.optimizer.param_groups", [5]),
    ("state.ema", 5),
    ("state.ema.updates", "x"),
    ("state.ema.model", [5]),
    ("state.precision", "float1"),
    ("state.precision", ["float32"]),
    ("state.scaler", "x"),
    ("state.gradients", {"model.0.conv.weight": 5}),
    ("state.gradients", None),
    ("state.stopping", {"patience": 5, "best": 1, "best_epoch": 1, "evil": 1, "best_epoch2": 2} | {"best": "x"}),
    ("state.stopping", 5),
    ("state.stopping.best_epoch", 1e300),
    ("state.sums", {}),
    ("state.sums.losses", 5),
    ("state.sums.seconds", float("inf")),
    ("state.sums.images", -1),
    ("state.recovery", {}),
    ("state.recovery.lr_scale", float("nan")),
    ("state.step", "x"),
    ("state.step", -1),
    ("state.epoch", "x"),
    ("state.epoch", 0),
    ("state.epoch", 10**15),
    ("state.last_update", None),
    ("state.finite", True),
    ("state.class_maps", 5),
    ("state.class_maps", [float("nan")]),
    ("state.class_maps", ["x"]),
    ("state.history", [5]),
    ("state.history", {"a": 1}),
    ("state.history", [{"epoch": []}]),
    ("state.history", [{"skipped": "x"}]),
    ("state.history", [{"skipped": 0.5}]),
    ("state.best_metrics", None),
    ("state.best_metrics", []),
    ("state.best_metrics", {}),
    ("state.best_metrics.map", {}),
    ("state.best_metrics.classes", 5),
    ("state.best_metrics.classes", {"a": 5}),
    ("state.best_metrics.more", 1),
    ("state.seconds", "x"),
    ("state.finished", 1),
    ("state.finished", False),
    *((f"state.{name}", ...) for name in ("model", "optimizer", "ema", "stopping", "history", "epoch", "finished")),
]


@pytest.mark.parametrize(("place", "value"), HOSTILE, ids=[f"{place}={str(value)[:20]}" for place, value in HOSTILE])
def test_content_of_the_wrong_kind_is_refused(place: str, value: Any, stored: Checkpoint) -> None:
    put(place, value)(stored.content)
    with pytest.raises(
        DamagedCheckpoint, match=r"last\.ckpt: holds what Lehr does not write: .*Do not trust"
    ) as caught:
        check_content(stored)
    assert len(str(caught.value)) < 1000


def test_content_as_it_was_written_is_taken(stored: Checkpoint) -> None:
    check_content(stored)
    stored.content["of a later version"] = {"a": [1]}
    for place in ("plan.closed", "plan.ema_tau", "processes", "state.sums.norms", "state.best_metrics.max_det"):
        put(place, ...)(stored.content)  # as versions before this one have written it
    check_content(stored)


@pytest.fixture(scope="module")
def state(whole: Path) -> TrainState:
    """A new state of the run's kind."""
    from lehr.engine.setup import prepare

    resumption = open_run(whole, None, {})
    return prepare(resumption.config, whole).state


def transposed(name: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for part in ("exp_avg", "momentum_buffer"):
            moments = next(iter(content["optimizer"]["state"].values()))
            if part in moments:
                moments[part] = torch.ones(3, 2)

    return change


def without_moments(content: dict[str, Any]) -> None:
    next(iter(content["optimizer"]["state"].values())).clear()


MISFITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "no weights": put("model", {}),
    "other weights": lambda content: content["model"].update(more=torch.ones(1)),
    "weights of another shape": lambda content: content["model"].update({"model.0.conv.weight": torch.ones(1)}),
    "no average": put("ema", None),
    "moments of another shape": transposed("exp_avg"),
    "no moments": without_moments,
    "moments of a parameter that is not there": lambda content: content["optimizer"]["state"].update({10**6: {}}),
    "one group": lambda content: content["optimizer"]["param_groups"].pop(),
    "parameters of another": put("optimizer.param_groups.0.params", [0, 0]),
    "parameters that are none": put("optimizer.param_groups.0.params", "x"),
    "a rate in words": put("optimizer.param_groups.0.lr", "x"),
    "no rate": put("optimizer.param_groups.0.lr", ...),
    "a group of another name": put("optimizer.param_groups.0.name", "x"),
    "two ways to compute": lambda content: content["optimizer"]["param_groups"][0].update(foreach=True, fused=True),
    "differentiable": put("optimizer.param_groups.0.differentiable", True),
    "betas of one": put("optimizer.param_groups.0.betas", (0.9,)),
    "a gradient of another shape": lambda content: content["gradients"].update({"model.0.conv.weight": torch.ones(1)}),
    "float16 without a scale": put("precision", "float16"),
    "sums of other losses": put("sums.losses", torch.ones(99)),
    "a flag of many": put("finite", torch.ones(3)),
    "results of other classes": put("class_maps", [0.5] * 99),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_state_of_another_run_is_refused_whole(name: str, stored: Checkpoint, state: TrainState) -> None:
    before = [parameter.clone() for parameter in state.model.parameters()]
    content = stored.content["state"]
    MISFITS[name](content)
    with pytest.raises((KeyError, TypeError, ValueError)):
        state.load_state_dict(content)
    assert all(torch.equal(one, other) for one, other in zip(before, state.model.parameters(), strict=True))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder, to be changed."""
    return Path(shutil.copytree(whole, tmp_path / "runs" / "run"))


def changed(folder: Path, place: str, value: Any, position: Position | None = None) -> None:
    checkpoint = read_checkpoint(folder / "last.ckpt")
    put(place, value)(checkpoint.content)
    write_checkpoint(folder, checkpoint.content, position or checkpoint.position)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("state", 5),
        ("config", 5),
        ("state.optimizer.param_groups.0.lr", "x"),
        ("state.stopping", {"a": 1}),
    ],
)
def test_the_command_ends_with_code_2(place: str, value: Any, copy: Path) -> None:
    changed(copy, place, value)
    done = lehr("train", "--resume", copy, "--epochs", "2", cwd=copy.parent, code=2)
    assert "last.ckpt" in done.stderr


@pytest.mark.parametrize("name", ["config.yaml", "last.ckpt", "previous.ckpt"])
@pytest.mark.parametrize("kind", ["pipe", "link to a device", "folder"])
def test_a_run_folder_without_regular_files_is_no_trap(kind: str, name: str, copy: Path) -> None:
    (copy / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(copy / name)
    elif kind == "folder":
        (copy / name).mkdir()
    else:
        (copy / name).symlink_to("/dev/zero")
    if name == "config.yaml":
        assert f"{copy / name}: " in open_run(copy, None, {}).notes[0]  # and the checkpoint's options are used
        (copy / "last.ckpt").unlink()
        (copy / "previous.ckpt").unlink(missing_ok=True)
        with pytest.raises(InputError, match=name):
            open_run(copy, None, {})
    else:
        with pytest.raises(InputError, match=name):
            open_run(copy, copy / name, {})
        other = copy / ("last.ckpt" if name == "previous.ckpt" else "previous.ckpt")
        resumption = open_run(copy, None, {})
        assert resumption.checkpoint is not None and resumption.checkpoint.path == other


@pytest.mark.parametrize("epochs", ["[1]", "x", "{}", "1e999", "-1", "2024-01-01", "9" * 5000])
def test_epochs_of_a_stranger_are_no_trap_where_runs_are_listed(epochs: str, copy: Path) -> None:
    text = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(text.replace("epochs: 1\n", f"epochs: {epochs}\n"))
    unreadable = epochs.startswith("9")  # then the checkpoint's options are used, and the run has finished
    lehr("train", "--resume", cwd=copy.parent.parent, code=0 if unreadable else 2)
