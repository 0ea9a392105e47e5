"""A run says once that others take cores from it, and is silent where it lacks none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lehr.callbacks import neighbours
from lehr.callbacks.neighbours import NeighbourCallback
from lehr.runtime.neighbours import CoreTime


def told(
    monkeypatch: pytest.MonkeyPatch, others: list[float], *, usable: int = 2, seconds: float = 10, **run: Any
) -> list[str]:
    """What a run says that trains on two cores, while others take some of them: before it begins, and in each epoch."""
    monkeypatch.setattr(neighbours, "available_cores", lambda: usable)
    moments = [CoreTime(0.0, 0.0, 0.0, 2)]
    for taken in others:
        last = moments[-1]
        moments.append(CoreTime(last.moment + seconds, last.busy + (taken + 1) * seconds, last.own + seconds, 2))
    said: list[str] = []
    callback = NeighbourCallback(said.append, iter(moments).__next__)
    event: Any = SimpleNamespace(run=SimpleNamespace(**{"device": torch.device("cpu"), "processes": 1, **run}))
    callback.on_pretrain_routine_start(event)
    callback.on_train_start(event)
    for _ in others[1:]:
        callback.on_fit_epoch_end(event)
    return said


@pytest.mark.parametrize("others", [[1.0, 1.0, 1.0], [0.1, 0.2, 1.0]])
def test_it_is_said_once_with_how_much_they_take(monkeypatch: pytest.MonkeyPatch, others: list[float]) -> None:
    (line,) = told(monkeypatch, others)
    assert "1.0 of the 2 CPU cores" in line


def test_little_is_not_worth_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, [0.4, 0.3]) == []


def test_cores_that_a_container_may_not_use_are_free_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, [1.0, 1.0], usable=1) == []


def test_several_short_times_are_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, [1.0], seconds=1.0) == []
    assert len(told(monkeypatch, [1.0, 1.0, 1.0], seconds=1.0)) == 1


@pytest.mark.parametrize("run", [{"device": torch.device("meta")}, {"processes": 2}])
def test_other_devices_and_several_processes_are_not_judged(
    monkeypatch: pytest.MonkeyPatch, run: dict[str, Any]
) -> None:
    assert told(monkeypatch, [2.0, 2.0], **run) == []
