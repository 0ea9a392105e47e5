"""Detections found in a thread while the device computes: how many wait, on which device and stream."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lehr.evaluation import evaluator
from lehr.evaluation.evaluator import PENDING, _Beside
from lehr.runtime.device import side_stream

DEVICE = torch.device("cuda", 3)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """What is made of CUDA, and the devices that threads choose, without a device."""
    calls: list[tuple[str, Any]] = []

    def stream(device: torch.device) -> SimpleNamespace:
        calls.append(("stream", device))
        return SimpleNamespace(wait_event=lambda event: None)

    monkeypatch.setattr(torch.cuda, "Stream", stream)
    monkeypatch.setattr(torch.cuda, "Event", lambda: SimpleNamespace(record=lambda stream: None))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda device: calls.append((threading.current_thread().name, device))
    )
    side_stream.cache_clear()
    yield calls
    side_stream.cache_clear()


def test_no_more_than_a_few_batches_wait(made: list[tuple[str, Any]]) -> None:
    go_on, begun, given = threading.Event(), threading.Event(), []

    def find(*_: Any) -> np.ndarray:
        begun.set()
        assert go_on.wait(30)
        return np.zeros((1, 7))

    def give_all(beside: _Beside) -> None:
        for number in range(PENDING + 2):
            beside.give(None, None, None)  # type: ignore[arg-type]
            given.append(number)

    with _Beside(DEVICE, find, concurrent=True) as beside:
        giver = threading.Thread(target=give_all, args=(beside,))
        giver.start()
        assert begun.wait(30)
        giver.join(0.2)
        assert giver.is_alive() and len(given) == PENDING
        go_on.set()
        giver.join(30)
        assert len(beside.all()) == PENDING + 2


def test_a_batch_that_fails_makes_room_and_is_told(made: list[tuple[str, Any]]) -> None:
    def find(*_: Any) -> np.ndarray:
        raise RuntimeError("out of memory")

    with _Beside(DEVICE, find, concurrent=True) as beside:
        for _ in range(2 * PENDING):
            beside.give(None, None, None)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="out of memory"):
            beside.all()


def test_the_thread_is_on_the_device_and_all_evaluations_share_a_stream(made: list[tuple[str, Any]]) -> None:
    for _ in range(3):
        with _Beside(DEVICE, lambda *_: np.zeros((0, 7)), concurrent=True) as beside:
            beside.give(None, None, None)  # type: ignore[arg-type]
            beside.all()
    threads = [(name, device) for name, device in made if name != "stream"]
    assert [device for name, device in threads if name.startswith("detections")] == [DEVICE] * 3
    assert [device for name, device in made if name == "stream"] == [DEVICE]
    assert evaluator.side_stream(DEVICE, "input") is not evaluator.side_stream(DEVICE, "detections")
