"""The thread that writes: what waits, what is superseded, what could not be written."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lehr.checkpoint.format import FORMAT, Position, read_position
from lehr.checkpoint.writer import AsyncWriter, SaveRequest, Weights
from lehr.errors import InputError


def save(step: int, best: float | None = None) -> SaveRequest:
    """A save of which the step and the best weights tell which one it is."""
    weights = None if best is None else Weights({"w": torch.tensor([best])}, {"format": "lehr-1", "step": str(step)})
    content = {"format": FORMAT, "state": {"step": step}}
    return SaveRequest(content, Position(0, 3, step), [{"epoch": step}], last=weights, best=weights)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Holds the writing of checkpoints until it is let go, and lets it fail."""
    from lehr.checkpoint import writer as saver

    write = saver.write_checkpoint
    state: dict[str, Any] = {"go": threading.Event(), "fail": None, "written": [], "begun": threading.Event()}
    state["go"].set()

    def held(folder: Path, content: dict[str, Any], position: Position) -> None:
        state["begun"].set()
        assert state["go"].wait(20)
        if state["fail"] is not None:
            raise state["fail"]
        write(folder, content, position)
        state["written"].append(read_position(folder / "last.ckpt").step)

    monkeypatch.setattr(saver, "write_checkpoint", held)
    return state


def test_a_newer_save_takes_the_place_of_one_that_waits_but_not_of_its_best_weights(
    tmp_path: Path, calls: dict[str, Any]
) -> None:
    calls["go"].clear()
    saver = AsyncWriter(tmp_path)
    saver.save(save(1))
    assert calls["begun"].wait(20)
    saver.save(save(2, best=0.25))
    saver.save(save(3))  # while the first is still being written
    calls["go"].set()
    assert saver.wait()
    assert calls["written"] == [1, 3]
    from safetensors.torch import load_file

    assert load_file(tmp_path / "best.safetensors")["w"].item() == 0.25
    assert (tmp_path / "results.csv").read_text() == "epoch\n3\n"
    saver.close()


@pytest.mark.parametrize(
    "error", [InputError("x/last.ckpt: cannot be written (No space left on device). Make room."), MemoryError("none")]
)
def test_what_failed_is_told_once_and_written_with_the_next(
    error: Exception, tmp_path: Path, calls: dict[str, Any]
) -> None:
    saver = AsyncWriter(tmp_path)
    calls["fail"] = error
    saver.save(save(1, best=0.5))
    assert not saver.wait()
    assert len(saver.news()) == 1 and saver.news() == []
    assert not (tmp_path / "last.ckpt").exists()
    assert not saver.retry()
    calls["fail"] = None
    saver.save(save(2))
    assert saver.wait() and (tmp_path / "best.safetensors").is_file() and calls["written"] == [2]
    saver.close()


def test_the_last_save_is_tried_again(tmp_path: Path, calls: dict[str, Any]) -> None:
    saver = AsyncWriter(tmp_path)
    calls["fail"] = OSError(28, "No space left on device")
    saver.save(save(1))
    assert not saver.wait()
    calls["fail"] = None
    assert saver.retry() and calls["written"] == [1]
    saver.close()


def test_best_weights_that_cannot_be_written_hold_back_the_checkpoint_that_speaks_of_them(
    tmp_path: Path, calls: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise InputError("best.safetensors: cannot be written (No space left on device).")

    saver = AsyncWriter(tmp_path)
    saver.save(save(1))
    assert saver.wait()
    monkeypatch.setattr("lehr.checkpoint.writer.write_weights", fail)
    saver.save(save(2, best=0.5))
    assert not saver.wait() and calls["written"] == [1]
    saver.close()


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    saver = AsyncWriter(tmp_path)
    saver.save(save(1))
    saver.close()
    assert read_position(tmp_path / "last.ckpt").step == 1


def test_what_goes_with_the_best_weights_is_written_before_the_checkpoint_and_costs_nothing_where_it_fails(
    tmp_path: Path, calls: dict[str, Any]
) -> None:
    seen: list[tuple[int, int]] = []
    saver = AsyncWriter(tmp_path)
    saver.save(replace(save(1, best=0.5), beside_best=lambda: seen.append((1, len(calls["written"])))))
    assert saver.wait() and seen == [(1, 0)]

    def fail() -> None:
        raise InputError("detections.safetensors: cannot be written (No space left on device).")

    saver.save(replace(save(2, best=0.6), beside_best=fail))
    assert saver.wait() and calls["written"] == [1, 2]
    assert saver.news() == ["detections.safetensors: cannot be written (No space left on device)."]
    saver.close()


def test_what_goes_with_the_best_weights_waits_with_them(tmp_path: Path, calls: dict[str, Any]) -> None:
    calls["go"].clear()
    seen: list[int] = []
    saver = AsyncWriter(tmp_path)
    saver.save(save(1))
    assert calls["begun"].wait(20)
    saver.save(replace(save(2, best=0.5), beside_best=lambda: seen.append(2)))
    saver.save(save(3))
    calls["go"].set()
    assert saver.wait() and seen == [2]
    calls["go"].clear()
    calls["begun"].clear()
    saver.save(save(4))
    assert calls["begun"].wait(20)
    saver.save(replace(save(5, best=0.5), beside_best=lambda: seen.append(5)))
    saver.save(replace(save(6, best=0.6), beside_best=lambda: seen.append(6)))  # of which only these are to be kept
    calls["go"].set()
    assert saver.wait() and seen == [2, 6]
    saver.close()
