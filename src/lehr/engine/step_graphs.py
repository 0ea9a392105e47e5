"""CUDA graphs of steps: forward, loss and backward of batches of one shape, captured and launched as one.

Launching some thousand kernels per step takes a host longer than a fast GPU takes to compute them. A CUDA graph records
them once and launches them together (Gray, "Getting Started with CUDA Graphs", 2019). It computes on fixed memory, so
every batch is copied into the memory of the first one, and objects are padded to a few counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lehr.data.batch import Batch
from lehr.engine.out_of_memory import is_out_of_memory
from lehr.models.preserve_buffers import preserve_buffers

WARM_STEPS = 2
"""Uncaptured steps of a shape before it is captured: libraries choose their kernels in them."""
MAX_GRAPHS = 16
"""Maximum number of captured shapes; further ones run uncaptured."""
ROOM = 2.0
"""Multiple of a step's memory that must be free: for the graph, and for steps and validations without it."""

Shape = tuple[tuple[int, ...], int]


def padded_count(objects: int) -> int:
    """Objects per image that a batch is padded to: at least 16, in steps of an eighth to a quarter."""
    if objects <= 16:
        return 16
    step = max(16, 1 << (objects - 1).bit_length() - 3)
    return -(-objects // step) * step


@dataclass(frozen=True, slots=True)
class Captured:
    """A graph and the memory that it computes on.

    Attributes:
        replay: launches the graph.
        batch: its input.
        loss: (parts,), its output, the loss.
        gradients: parameters, and the output of the gradient of each.
    """

    replay: Callable[[], None]
    batch: Batch
    loss: Tensor
    gradients: list[tuple[nn.Parameter, Tensor]]


class StepGraphs:
    """Computes loss and gradients by captured graphs, for shapes that occur more than a few times.

    Args:
        compute: forward, loss and backward of a batch on the device, as (parts,) of the loss, detached; gradients are
            added to the existing ones.
        model: the trained model.
        images: of a whole batch; smaller ones are not captured.
        device: a CUDA device.
        quiet: a context in which no stage is measured.
        say: reports why graphs cannot be used.
    """

    def __init__(
        self,
        compute: Callable[[Batch], Tensor],
        model: nn.Module,
        images: int,
        device: torch.device,
        quiet: Callable[[], AbstractContextManager[None]],
        say: Callable[[str], None],
    ) -> None:
        self._compute = compute
        self._model = model
        self._images = images
        self._device = device
        self._quiet = quiet
        self._say = say
        self._seen: dict[Shape, int] = {}
        self._graphs: dict[Shape, Captured] = {}
        self._scaler: Any = None
        self._pool: Any = None
        self._on = True
        modules = list(model.modules())
        self._hooks = [hooks for each in modules for hooks in (each._forward_hooks, each._forward_pre_hooks)]
        self._hooks += [hooks for each in modules for hooks in (each._backward_hooks, each._backward_pre_hooks)]

    def __call__(self, batch: Batch, scaler: Any = None) -> Tensor | None:
        """Compute the parts of a batch's loss and its gradients; None if the batch must run uncaptured.

        Args:
            batch: on the device.
            scaler: scales the loss in float16; a new scaler needs new graphs.
        """
        if not self._on or len(batch) != self._images or batch.idle or any(self._hooks):
            return None  # a graph calls no hooks, and hooks of users may change anything
        if scaler is not self._scaler:
            self._graphs.clear()
            self._scaler = scaler
        shape = (tuple(batch.images.shape), padded_count(batch.boxes.shape[1]))
        captured = self._graphs.get(shape)
        if captured is None:
            if not self._seen and self._device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self._device)  # earlier attempts may have taken more
            self._seen[shape] = self._seen.get(shape, 0) + 1
            if self._seen[shape] <= WARM_STEPS or len(self._graphs) >= MAX_GRAPHS:
                return None
            captured = self._captured(batch, shape[1])
            if captured is None:
                return None
            self._graphs[shape] = captured
        return _replayed(captured, batch)

    def _captured(self, batch: Batch, objects: int) -> Captured | None:
        """Capture the step of a batch's shape; None, with a message, if that fails."""
        if not self._has_room():
            self._refuse("they take separate memory, and too little is free. A smaller --batch frees some.")
            return None
        parameters = [each for each in self._model.parameters() if each.requires_grad]
        under_way = [each.grad for each in parameters]
        _set_gradients(parameters, [None] * len(parameters))
        try:
            static = _static(batch, objects)
            with self._quiet():
                replay, loss = self._capture(static)
            gradients = [(each, each.grad) for each in parameters if each.grad is not None]
        except RuntimeError as error:
            cause = "out of memory" if is_out_of_memory(error) else str(error).strip().splitlines()[0]
            self._refuse(f"{cause}.")
            return None
        finally:
            _set_gradients(parameters, under_way)
        return Captured(replay, static, loss, gradients)

    def _capture(self, static: Batch) -> tuple[Callable[[], None], Tensor]:
        """Run a batch once on a separate stream, without side effects, then capture it."""
        current = torch.cuda.current_stream(self._device)
        stream: Any = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with preserve_buffers(self._model):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                self._compute(static)
            current.wait_stream(stream)
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Of this thread only: others load batches and write checkpoints at the same time.
        with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            loss = self._compute(static)
        return graph.replay, loss

    def _has_room(self) -> bool:
        """Return whether a graph's memory fits next to that of uncaptured steps."""
        torch.cuda.synchronize(self._device)
        used = torch.cuda.memory_allocated(self._device)
        step = torch.cuda.max_memory_allocated(self._device) - used
        free = torch.cuda.mem_get_info(self._device)[0] + torch.cuda.memory_reserved(self._device) - used
        return bool(self._graphs) or free >= ROOM * step

    def _refuse(self, why: str) -> None:
        self._on = False
        self._graphs.clear()
        self._say(f"CUDA graphs are off from now on, so steps are launched kernel by kernel: {why}")


def _static(batch: Batch, objects: int) -> Batch:
    """Allocate a batch with this many objects per image, filled with a given one."""
    count = len(batch)
    static = replace(
        batch,
        images=torch.empty_like(batch.images),
        boxes=batch.boxes.new_zeros(count, objects, 4),
        classes=batch.classes.new_full((count, objects), -1),
        faults=(),
        instances=0,
    )
    _fill(static, batch)
    return static


def _fill(static: Batch, batch: Batch) -> None:
    objects = batch.boxes.shape[1]
    static.images.copy_(batch.images)
    static.boxes[:, :objects].copy_(batch.boxes)
    static.boxes[:, objects:].zero_()
    static.classes[:, :objects].copy_(batch.classes)
    static.classes[:, objects:].fill_(-1)


def _replayed(captured: Captured, batch: Batch) -> Tensor:
    """The loss of a batch; its gradients are added to the existing ones."""
    _fill(captured.batch, batch)
    before = [(own, each.grad) for each, own in captured.gradients if each.grad is not None]
    sums = [gradient.clone() if gradient is own else gradient for own, gradient in before]
    captured.replay()
    if before:
        torch._foreach_add_([own for own, _ in before], sums)
    for parameter, own in captured.gradients:
        parameter.grad = own
    return captured.loss.clone()


def _set_gradients(parameters: list[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
