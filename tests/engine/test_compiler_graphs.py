"""Compiled steps launched as CUDA graphs: where they can be had, and what stays when a graph is launched again.

A graph cannot be had on a CPU. What stands for it here computes each step by torch's operations, and spoils what a
graph would write over when the next step begins.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import MakeYolo
from tests.engine.runs import SMALL
from torch import Tensor

from lehr.config import build_config
from lehr.data.batch import Batch
from lehr.distributed.collectives import ALONE, Ranks
from lehr.engine import preflight
from lehr.engine.preflight import warm_up_compile
from lehr.engine.setup import prepare
from lehr.engine.step import ForwardLoss
from lehr.errors import InputError
from lehr.losses.build import build_loss
from lehr.models.build import build_model
from lehr.options import LossOptions
from lehr.techniques.compiled_steps import check_compiler_graphs
from lehr.techniques.precision import Precision

IMAGES = 2


def batch(seed: int, objects: int) -> Batch:
    random = torch.Generator().manual_seed(seed)
    corner = torch.rand(IMAGES, objects, 2, generator=random) * 30
    return Batch(
        torch.randint(0, 255, (IMAGES, 3, 64, 64), dtype=torch.uint8, generator=random),
        torch.cat((corner, corner + 24), -1),
        torch.zeros(IMAGES, objects, dtype=torch.int64),
        torch.arange(IMAGES),
        torch.zeros(IMAGES, 4),
    )


def computed_by(mode: str) -> ForwardLoss:
    torch.manual_seed(0)
    model = build_model("yolov8n", ("a", "b"), 64, depth=0.01, width=0.125).train()
    forward_loss = ForwardLoss(model, build_loss(model, LossOptions(), 64), torch.device("cpu"))
    forward_loss.compile(mode, IMAGES)
    return forward_loss


class Graphs:
    """The compiler's graphs, faked.

    Attributes:
        objects: of each step that was launched.
        modes: of each compilation.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.objects: list[int] = []
        self.modes: list[str | None] = []
        self.written: list[Tensor] = []
        monkeypatch.setattr(torch, "compile", self._compile)
        monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", self._begin)

    def _compile(self, sums: Callable[..., Any], **given: Any) -> Callable[..., Any]:
        self.modes.append(given["mode"])

        def launched(images: Tensor, boxes: Tensor, classes: Tensor) -> Any:
            self.objects.append(boxes.shape[1])
            return sums(images, boxes, classes)

        return launched

    def _begin(self) -> None:
        for tensor in self.written:
            tensor.fill_(float("nan"))
        self.written = []

    def step(self, forward_loss: ForwardLoss, given: Batch) -> Tensor:
        before = {id(each.grad) for each in forward_loss.model.parameters()}
        loss = forward_loss.parts(given, None, Precision.FLOAT32)
        torch.autograd.backward(loss.sum())
        gradients = [each.grad for each in forward_loss.model.parameters() if each.grad is not None]
        self.written = [] if before != {id(None)} else gradients  # autograd keeps the graph's own where there is none
        return loss.detach()


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Graphs:
    return Graphs(monkeypatch)


def test_gradients_that_add_up_survive_the_next_launch(graphs: Graphs) -> None:
    ours, plain = computed_by("reduce-overhead"), computed_by("off")
    for _ in range(2):  # optimizer steps of three batches each
        for seed in range(3):
            found = graphs.step(ours, batch(seed, 3))
            expected = plain.parts(batch(seed, 3), None, Precision.FLOAT32)
            torch.autograd.backward(expected.sum())
            torch.testing.assert_close(found, expected.detach())
        for own, other in zip(ours.model.parameters(), plain.model.parameters(), strict=True):
            assert (own.grad is None) == (other.grad is None)
            if own.grad is not None and other.grad is not None:
                torch.testing.assert_close(own.grad, other.grad, rtol=1e-4, atol=1e-5)
        ours.model.zero_grad()
        plain.model.zero_grad()
    assert graphs.modes == ["reduce-overhead"] and len(graphs.objects) == 6


def test_objects_are_padded_to_a_few_counts(graphs: Graphs) -> None:
    forward_loss = computed_by("reduce-overhead")
    for objects in (0, 1, 15, 17, 30, 100, 101, 130, 159):
        graphs.step(forward_loss, batch(0, objects))
        forward_loss.model.zero_grad()
    assert graphs.objects == [16, 16, 16, 32, 32, 112, 112, 160, 160]


def test_other_modes_begin_no_launch_and_pad_to_two(graphs: Graphs) -> None:
    forward_loss = computed_by("default")
    graphs.step(forward_loss, batch(0, 1))
    graphs.step(forward_loss, batch(1, 5))
    assert graphs.objects == [2, 5]
    assert all(each.grad is None or each.grad.isfinite().all() for each in forward_loss.model.parameters())


REFUSED = [
    ({"multi_scale": 0.5}, "cuda", 1, None, "--multi-scale"),
    ({"grid_min": 2, "grid_max": 3}, "cuda", 1, None, "--grid-min"),
    ({"rect": True}, "cuda", 1, None, "--rect"),
    ({}, "cuda", 2, None, "several processes"),
    ({}, "cpu", 1, None, "this run is on cpu"),
    ({"batch": 16}, "cuda", 1, 15, "15 images are less than a batch of 16"),
]


@pytest.mark.parametrize(("options", "device", "processes", "images", "words"), REFUSED, ids=str)
def test_what_makes_graphs_impossible_is_refused_in_one_message(
    options: dict[str, Any], device: str, processes: int, images: int | None, words: str
) -> None:
    config = build_config({**options, "compile": "reduce-overhead"})
    with pytest.raises(InputError) as refused:
        check_compiler_graphs(config, device, processes, images)
    assert words in str(refused.value) and "Use --compile default." in str(refused.value)
    assert "\n" not in str(refused.value)
    check_compiler_graphs(build_config({**options, "compile": "default"}), device, processes, images)


def test_a_run_that_can_have_graphs_is_not_refused() -> None:
    config = build_config({"compile": "reduce-overhead", "batch": 16})
    check_compiler_graphs(config, "cuda", 1, 16)


def test_a_run_on_a_cpu_is_refused_before_its_data_are_read(make_yolo: MakeYolo, tmp_path: Path) -> None:
    config = build_config({**SMALL, "data": str(tmp_path / "missing.yaml"), "compile": "reduce-overhead"})
    with pytest.raises(
        InputError, match="--compile reduce-overhead: this run's steps cannot be captured as CUDA graphs"
    ):
        prepare(config, tmp_path)


def test_it_is_said_where_torch_made_no_graph_of_the_code(graphs: Graphs, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    counts = iter((3, 4))
    monkeypatch.setattr(preflight, "_graphs_skipped", lambda: next(counts))
    warm_up_compile(
        "reduce-overhead", computed_by("reduce-overhead"), Precision.FLOAT32, lambda: batch(0, 3), said.append
    )
    assert "compiled in" in said[-2] and "could not capture this code in CUDA graphs" in said[-1]


class Two(Ranks):
    """This process and another, whose obstacle is known."""

    other = ""

    def all_gather(self, item: Any, *kinds: type) -> list[Any]:
        return [item, self.other]


@pytest.mark.parametrize(("own", "other"), [("", "no compiler there"), ("no compiler here", ""), ("", "")])
def test_where_one_process_cannot_compile_none_does(own: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(sums: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        def launched(*given: Tensor) -> Any:
            if own:
                raise RuntimeError(own)
            return sums(*given)

        return launched

    monkeypatch.setattr(torch, "compile", compiled)
    said: list[str] = []
    forward_loss, ranks = computed_by("default"), Two()
    ranks.other = other
    warm_up_compile("default", forward_loss, Precision.FLOAT32, lambda: batch(0, 3), said.append, ranks)
    assert forward_loss.enabled == (not own and not other)
    assert (f"continues uncompiled: {own or other}" if own or other else "compiled in") in said[-1]


def test_a_compiled_step_without_memory_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*_: Any, **__: Any) -> Callable[..., Any]:
        def launched(*_: Tensor) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory.")

        return launched

    monkeypatch.setattr(torch, "compile", compiled)
    said: list[str] = []
    forward_loss = computed_by("default")
    warm_up_compile("default", forward_loss, Precision.FLOAT32, lambda: batch(0, 3), said.append, ALONE)
    assert not forward_loss.enabled and "out of memory" in said[-1]
