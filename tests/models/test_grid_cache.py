"""What a head knows of a grid is made once a device, and never before it is ready."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lehr.models import grid_cache
from lehr.models.dfl_head import DFLHead
from lehr.models.grid_cache import kept_on_cuda

CUDA = torch.device("cuda", 0)


class Stream:
    """A stream that remembers what it waits for."""

    def __init__(self) -> None:
        self.waits: list[Any] = []

    def record_event(self) -> tuple[str, Stream]:
        return ("made by", self)

    def wait_event(self, event: Any) -> None:
        self.waits.append(event)


class Device:
    """Stands in for CUDA's streams.

    Attributes:
        stream: the current one.
        capturing: whether it is captured.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stream, self.capturing, self.made = Stream(), False, 0
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.stream)
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: self.capturing)
        monkeypatch.setattr(grid_cache, "_kept", {})

    def ask(self, key: str = "a") -> Tensor:
        return kept_on_cuda(key, self.make, CUDA)[0]

    def make(self) -> tuple[Tensor]:
        self.made += 1
        return (torch.ones(2),)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(monkeypatch)


def test_tensors_of_a_key_are_made_once(device: Device) -> None:
    assert device.ask() is device.ask() and device.made == 1
    assert device.ask("b") is not device.ask() and device.made == 2
    assert device.stream.waits == []


def test_another_stream_waits_until_they_are_ready(device: Device) -> None:
    first, tensor = device.stream, device.ask()
    device.stream = Stream()
    assert device.ask() is tensor and device.stream.waits == [("made by", first)]
    device.stream, device.capturing = Stream(), True
    assert device.ask() is tensor and device.stream.waits == []


def test_what_a_captured_graph_would_fill_is_not_kept(device: Device) -> None:
    device.capturing = True
    first = device.ask()
    device.capturing = False
    assert device.ask() is not first and device.ask() is device.ask() and device.made == 2


def test_no_more_than_a_bound_are_kept(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid_cache, "MAX_KEPT", 1)
    kept = device.ask()
    assert device.ask("b") is not device.ask("b") and device.ask() is kept


def test_they_can_be_used_in_training_when_an_evaluation_made_them(device: Device) -> None:
    with torch.inference_mode():
        tensor = device.ask()
    weight = torch.ones(2, requires_grad=True)
    (weight * tensor).sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [1, 1]


def test_a_cpu_keeps_none(device: Device) -> None:
    first, second = (kept_on_cuda("a", device.make, torch.device("cpu")) for _ in range(2))
    assert first[0] is not second[0] and not grid_cache._kept


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_head_answers_alike_on_a_gpu_with_rows_that_are_contiguous() -> None:
    torch.manual_seed(0)
    head, features = DFLHead(3, (16, 32, 64)).eval(), [torch.randn(2, 16 << i, 8 >> i, 8 >> i) for i in range(3)]
    expected = head(features)
    head = head.cuda().to(memory_format=torch.channels_last)
    there = [feature.cuda().contiguous(memory_format=torch.channels_last) for feature in features]
    found, again = head(there), head(there)
    assert found.distances.is_contiguous() and found.logits.is_contiguous() and found.points is again.points
    for name in ("distances", "logits", "points", "strides"):
        torch.testing.assert_close(getattr(found, name).cpu(), getattr(expected, name), rtol=1e-2, atol=1e-2)
