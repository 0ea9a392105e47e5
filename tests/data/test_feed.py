"""The feed: a step waits for its own batch, and not for the next one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from lehr.data.feed import DevicePrefetcher


class Stream:
    """A stand-in for a CUDA stream: remembers what was asked of it, in order."""

    def __init__(self, name: str) -> None:
        self.name, self.asked = name, []  # type: tuple[str, list[str]]
        self.waited: set[str] = set()

    def wait_stream(self, other: Stream) -> None:
        self.waited |= set(other.asked)

    def wait_event(self, event: Event) -> None:
        self.waited |= event.behind


class Event:
    """A stand-in for a CUDA event: happens when all that was asked of the stream before it has."""

    def record(self, stream: Stream) -> None:
        self.behind = set(stream.asked)


class Coming:
    """A stand-in for a batch."""

    def __init__(self, name: str, side: Stream) -> None:
        self.name, self._side = name, side
        self.images = self.boxes = self.classes = SimpleNamespace(record_stream=lambda stream: None)

    def to(self, device: torch.device) -> Coming:
        self._side.asked.append(self.name)
        return self


def test_a_step_waits_for_its_own_batch_alone_while_the_next_one_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    side, compute = Stream("side"), Stream("compute")
    monkeypatch.setattr("lehr.data.feed.side_stream", lambda device, purpose: side)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: compute)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())

    def made(requests: Any, then: Any) -> Iterator[Coming]:
        return (Coming(name, side) for name in "abc")

    feed = DevicePrefetcher(cast(Any, SimpleNamespace(batches=made)), torch.device("cuda", 0))
    served: Iterator[Any] = feed.batches([])
    steps = [(batch.name, "".join(side.asked), "".join(sorted(compute.waited))) for batch in served]
    assert steps == [("a", "ab", "a"), ("b", "abc", "ab"), ("c", "abc", "abc")]
