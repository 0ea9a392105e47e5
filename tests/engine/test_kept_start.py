"""A run keeps the start that it took from weights: it goes on to the same end without their file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine.runs import PowerCut, before_step, on, resume, run, stopped_run
from tests.engine.test_start_from_weights import LARGE, weights_of
from tests.weights.published.published_files import with_statistics, write_published

from lehr.checkpoint.format import read_checkpoint
from lehr.distributed.collectives import ALONE
from lehr.distributed.messages import decode, encode
from lehr.engine import setup
from lehr.engine.kept_start import ORIGIN, keep_start
from lehr.errors import InputError
from lehr.models.build import build_model
from lehr.weights.class_rows import ClassTransfer
from lehr.weights.load import load_model, read_metadata
from lehr.weights.transfer import Transfer

KEPT = "start.safetensors"
OTHERS = ("large", "cat")
"""Classes of the weights: one of the data, and another."""


@pytest.fixture
def data(make_yolo: MakeYolo) -> str:
    """A batch of 4, one of 2."""
    return str(make_yolo(counts={"train": 6, "val": 4}))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return weights_of(tmp_path, "yolov5n", OTHERS, LARGE)


def killed_run(data: str, project: Path, name: str, **more: Any) -> Path:
    """The folder of a run that a power cut ended before its first checkpoint."""

    def cut(event: Any) -> None:
        raise PowerCut

    with on("on_pretrain_routine_end", cut), pytest.raises(PowerCut):
        run(data, project, name, model="yolov5n", epochs=1, **more)
    assert not (project / name / "last.ckpt").exists()
    return project / name


@pytest.mark.parametrize(
    ("ending", "then"),
    [
        (".safetensors", "others"),
        (".pt", "gone"),
        pytest.param(".safetensors", "gone", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_as_one_that_was_not_whatever_became_of_its_weights(
    ending: str, then: str, data: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ending == ".pt":  # of another trainer
        model = with_statistics(build_model("yolov5n", OTHERS, 64, 7, depth=0.01, width=0.0625))
        weights = write_published(tmp_path / "w.pt", model)
    run(data, tmp_path, "whole", model="yolov5n", epochs=1, weights=weights)
    folder = killed_run(data, tmp_path, "killed", weights=weights)
    weights.unlink()
    if then == "others":
        weights_of(tmp_path, "yolov5n", ("cat", "dog"))
    kept = (folder / KEPT).read_bytes()

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("anchors were looked at, or weights taken, a second time")

    monkeypatch.setattr("lehr.engine.model.autoanchor", refuse)
    monkeypatch.setattr("lehr.engine.model.take_fitting_weights", refuse)
    resume(folder)
    assert differences(tmp_path / "whole", folder) == []
    assert (folder / KEPT).read_bytes() == kept == (tmp_path / "whole" / KEPT).read_bytes()


def test_a_run_killed_before_its_start_was_kept_takes_the_weights_again(
    data: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(data, tmp_path, "whole", model="yolov5n", epochs=1, weights=weights)

    def cut(*args: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patched, pytest.raises(PowerCut):
        patched.setattr(setup, "keep_start", cut)
        run(data, tmp_path, "killed", model="yolov5n", epochs=1, weights=weights)
    resume(tmp_path / "killed")
    assert differences(tmp_path / "whole", tmp_path / "killed") == []
    assert (tmp_path / "killed" / KEPT).read_bytes() == (tmp_path / "whole" / KEPT).read_bytes()


def test_the_start_is_the_model_before_the_first_step_and_says_where_it_came_from(
    data: str, weights: Path, tmp_path: Path
) -> None:
    states: list[dict[str, torch.Tensor]] = []

    def note(event: Any) -> None:
        if event.step == 0:
            states.append({name: value.clone() for name, value in event.run.model.state_dict().items()})

    with before_step(note):
        run(data, tmp_path, "run", model="yolov5n", epochs=1, weights=weights)
    kept, (state,) = load_model(tmp_path / "run" / KEPT).state_dict(), states
    assert kept.keys() == state.keys() and all(torch.equal(kept[name], state[name]) for name in kept)
    origin = json.loads(read_metadata(tmp_path / "run" / KEPT)[ORIGIN])
    assert origin["weights"] == str(weights)
    assert origin["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert origin["transfer"]["classes"]["carried"] == ["large"]
    assert origin["transfer"]["taken"] == origin["transfer"]["total"] == len(state)


def test_a_run_from_random_weights_keeps_no_start(data: str, tmp_path: Path) -> None:
    assert not (run(data, tmp_path, "run", epochs=1).folder / KEPT).exists()


def test_a_run_that_does_not_begin_leaves_no_start(
    data: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        assert (tmp_path / "runs" / "run" / KEPT).is_file()
        raise InputError("no")

    monkeypatch.setattr(setup, "choose_speed", fail)
    with pytest.raises(InputError, match="no"):
        run(data, tmp_path / "runs", "run", model="yolov5n", weights=weights)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("fault", ["cut off", "other classes", "no origin", "nan", "link"])
def test_a_start_that_cannot_be_taken_is_refused(fault: str, data: str, weights: Path, tmp_path: Path) -> None:
    folder = killed_run(data, tmp_path, "run", weights=weights)
    path = folder / KEPT
    if fault == "cut off":
        path.write_bytes(path.read_bytes()[:-9])
    elif fault == "link":
        path.rename(tmp_path / "elsewhere.safetensors")
        path.symlink_to(tmp_path / "elsewhere.safetensors")
    else:
        (tmp_path / "other").mkdir()
        classes = ("small", "cat") if fault == "other classes" else ("small", "large")
        other = weights_of(tmp_path / "other", "yolov5n", classes)
        path.write_bytes(other.read_bytes())
        if fault == "nan":
            model = load_model(other)
            with torch.no_grad():
                next(model.parameters()).fill_(torch.nan)
            classes_there = ClassTransfer((), classes, "name")
            keep_start(folder, model, weights, Transfer(1, 1, True, "x", classes_there), ALONE)
    said = {
        "cut off": "is damaged or cut off",
        "other classes": "belongs to another model or other classes",
        "no origin": "does not record its origin",
        "nan": "non-finite",
        "link": "is a link",
    }
    with pytest.raises(InputError, match=said[fault]) as refused:
        resume(folder)
    assert str(path) in str(refused.value) and (fault == "link" or "restarts from its" in str(refused.value))
    if fault == "cut off":  # without it, all begin again alike
        path.unlink()
        resume(folder)


def test_a_run_goes_on_from_its_checkpoint_without_its_weights_and_its_start(
    data: str, weights: Path, tmp_path: Path
) -> None:
    run(data, tmp_path, "whole", model="yolov5n", weights=weights)
    folder = stopped_run(data, tmp_path, "stopped", 2, model="yolov5n", weights=weights)
    weights.unlink()
    (folder / KEPT).unlink()
    resume(folder)
    assert differences(tmp_path / "whole", folder) == []
    assert read_checkpoint(folder / "last.ckpt").position.finished


def test_the_start_reaches_the_processes_that_train_together() -> None:
    classes = ClassTransfer(("a",), ("b",), "name", ("A", "c"), (("a", "A"),))
    value = ({"x": torch.arange(3.0)}, Transfer(1, 2, False, "yolov5n", classes))
    kinds = (Transfer, ClassTransfer)
    tensors, transfer = decode(encode(value, kinds), kinds)
    assert torch.equal(tensors["x"], torch.arange(3.0)) and transfer == value[1]
