"""Captured steps: batches copied to where the first one lay, objects padded, gradients added up.

A graph cannot be had on a CPU. What stands for it here computes the step again on the memory that it was captured with,
and writes loss and gradients to where they were: all that a graph does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lehr.data.batch import Batch
from lehr.engine import step_graphs
from lehr.engine.step_graphs import MAX_GRAPHS, WARM_STEPS, StepGraphs, padded_count


def batch(seed: int, objects: int = 3, images: int = 2, side: int = 8) -> Batch:
    torch.manual_seed(seed)
    picture = torch.randint(0, 256, (images, side, side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    boxes, classes = torch.rand(images, objects, 4), torch.randint(0, 2, (images, objects))
    return Batch(picture, boxes, classes, torch.arange(images), torch.ones(images, 4))


class Trained:
    """A model, its step, and captured steps that are faked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
        self.said: list[str] = []
        self.launched, self.captures = 0, 0
        self.error: RuntimeError | None = None
        self.room = True
        self.graphs = StepGraphs(self.step, self.model, 2, torch.device("cpu"), self.quiet, self.said.append)
        monkeypatch.setattr(StepGraphs, "_capture", lambda graphs, static: self.capture(static))
        monkeypatch.setattr(StepGraphs, "_has_room", lambda graphs: self.room)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        yield

    def step(self, given: Batch) -> Tensor:
        self.launched += 1
        weighed = (given.boxes.sum(-1) * (given.classes >= 0)).sum()  # padding counts nothing
        loss = torch.stack([self.model(given.normalized()).square().mean() * weighed, weighed * 2])
        loss.sum().backward()
        return loss.detach()

    def capture(self, static: Batch) -> tuple[Callable[[], None], Tensor]:
        if self.error is not None:
            raise self.error
        self.captures += 1
        with step_graphs.preserve_buffers(self.model):
            loss = self.step(static)
            own = [each.grad for each in self.model.parameters()]
        for parameter, gradient in zip(self.model.parameters(), own, strict=True):
            parameter.grad = gradient

        def replay() -> None:
            under_way = [each.grad for each in self.model.parameters()]
            for parameter in self.model.parameters():
                parameter.grad = None
            loss.copy_(self.step(static))
            self.launched -= 1
            for parameter, gradient, before in zip(self.model.parameters(), own, under_way, strict=True):
                assert parameter.grad is not None and gradient is not None
                gradient.copy_(parameter.grad)
                parameter.grad = before

        return replay, loss

    def __call__(self, given: Batch, scaler: Any = None) -> Tensor:
        loss = self.graphs(given, scaler)
        return self.step(given) if loss is None else loss


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    return Trained(monkeypatch)


def test_steps_are_those_without_graphs(trained: Trained) -> None:
    plain = copy.deepcopy(trained.model)
    reference = Trained.__new__(Trained)
    reference.model, reference.launched = plain, 0
    counts = [3, 5, 3, 0, 16, 7, 2, 9]
    for number, objects in enumerate(counts):
        given = batch(number, objects)
        loss, expected = trained(given), reference.step(given)
        torch.testing.assert_close(loss, expected)
        for own, other in zip(trained.model.parameters(), plain.parameters(), strict=True):
            assert own.grad is not None and other.grad is not None
            torch.testing.assert_close(own.grad, other.grad)
        if number % 3 == 2:  # an optimizer step; between two of them gradients add up
            trained.model.zero_grad()
            plain.zero_grad()
    for own, other in zip(trained.model.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(own, other)
    assert trained.captures == 1 and trained.launched == WARM_STEPS + 1 and not trained.said


def test_a_loss_stays_what_it_was(trained: Trained) -> None:
    for number in range(WARM_STEPS):
        trained(batch(number))
    first = trained(batch(7))
    kept = first.clone()
    trained(batch(8))
    assert torch.equal(first, kept)


def test_each_shape_has_its_graph_up_to_a_bound(trained: Trained) -> None:
    for side in range(8, 8 + MAX_GRAPHS + 3):
        for number in range(WARM_STEPS + 2):
            trained(batch(number, side=side))
    assert trained.captures == MAX_GRAPHS
    for number in range(WARM_STEPS + 2):
        trained(batch(number, objects=40, images=2))
    assert trained.captures == MAX_GRAPHS


def test_smaller_batches_and_models_with_hooks_are_launched(trained: Trained) -> None:
    for number in range(6):
        trained(batch(number, images=1))
    assert trained.captures == 0
    hook = trained.model[0].register_forward_pre_hook(lambda *_: None)
    for number in range(6):
        trained(batch(number))
    assert trained.captures == 0
    hook.remove()
    for number in range(4):
        trained(batch(number))
    assert trained.captures == 1


def test_another_scaler_needs_other_graphs(trained: Trained) -> None:
    first, second = object(), object()
    for scaler in (first, second):
        for number in range(WARM_STEPS + 1):
            trained(batch(number), scaler)
    assert trained.captures == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("operation not permitted"), "not permitted"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
    ],
)
def test_where_a_step_cannot_be_captured_it_is_said_once(trained: Trained, error: RuntimeError, words: str) -> None:
    trained.error = error
    for number in range(5):
        if number == 2:
            trained.model.zero_grad()
        trained(batch(number))
    assert len(trained.said) == 1 and words in trained.said[0] and trained.launched == 5
    assert all(each.grad is not None for each in trained.model.parameters())


def test_without_room_for_it_there_is_no_graph(trained: Trained) -> None:
    trained.room = False
    for number in range(5):
        trained(batch(number))
    assert trained.captures == 0 and "smaller --batch" in trained.said[0]


def test_objects_are_padded_to_few_counts() -> None:
    counts = [padded_count(number) for number in range(1, 1001)]
    assert all(padded >= number for number, padded in enumerate(counts, 1)) and counts == sorted(counts)
    assert len(set(counts)) <= 24
    assert all(padded <= max(16, 1.25 * number + 16) for number, padded in enumerate(counts, 1))


@pytest.mark.parametrize(("free", "fits"), [(7, False), (8, True)])
def test_twice_the_memory_of_a_step_must_be_free(free: int, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    gib = 2**30
    known = {"memory_allocated": 2, "max_memory_allocated": 7, "memory_reserved": 4}  # a step takes 5; 2 lie idle
    for name, value in known.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value * gib)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free * gib, 80 * gib))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    graphs = StepGraphs(lambda _: torch.zeros(1), nn.Linear(1, 1), 2, torch.device("cuda"), nullcontext, print)
    assert graphs._has_room() == fits
