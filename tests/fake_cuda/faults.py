"""Faults put into a step, so that it is seen that they are found."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from benchmarks.fake_cuda.device import CUDA, fake_cuda
from benchmarks.fake_cuda.stages import Case, Training, count_suppression, count_validation
from tests.fake_cuda.cases import FIRST, SMALL
from tests.fake_cuda.small import Small
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from lehr.engine import state, step
from lehr.evaluation import nms
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.techniques.ema import ModelEma
from lehr.techniques.non_finite import StepStatusQueue

CASE = Case(SMALL[FIRST], batch=2, imgsz=64, objects=3, classes=2)
FILLED = Case(FIRST, batch=2, imgsz=320)


def look(*_: Any) -> None:
    """Look at a number of the device."""
    torch.ones((), device=CUDA).item()


def after(function: Callable[..., Any], act: Callable[[Any], Any]) -> Callable[..., Any]:
    """A function whose result something is done with."""

    def changed(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        act(result)
        return result

    return changed


def in_backward(answer: Any) -> None:
    """Look at a gradient when it comes."""
    answer.logits.register_hook(lambda gradient: look())


def _patched(owner: Any, name: str, act: Callable[[Any], Any] = look) -> contextlib.AbstractContextManager[Any]:
    return mock.patch.object(owner, name, after(getattr(owner, name), act))


def copied(outcome: Any) -> None:
    """Copy from the device as one may not: the host waits for it."""
    torch.ones(3, device=CUDA).cpu()


PLACES: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "drawing": lambda: _patched(step.Batch, "to"),
    "input": lambda: _patched(step, "model_input"),
    "forward": lambda: _patched(Small, "forward", lambda _: torch.ones(2, device=CUDA).nonzero()),
    "loss": lambda: _patched(TaskAlignedLoss, "sums", lambda sums: bool(sums[0].sum() > 0)),
    "backward": lambda: _patched(Small, "forward", in_backward),
    "optimizer": lambda: _patched(step, "clip_gradients", lambda norm: float(norm)),
    "EMA": lambda: _patched(ModelEma, "update", lambda _: torch.cuda.synchronize()),
    "outcome": lambda: _patched(StepStatusQueue, "post", copied),
    "save": lambda: _patched(state.TrainState, "state_dict", lambda values: values["sums"]["losses"].tolist()),
}


@functools.cache
def _training(kernels: bool) -> tuple[Training, FakeTensorMode]:
    """A training whose steps have one fault after another, and where its tensors are."""
    with fake_cuda(kernels) as mode:
        training = Training(CASE)
        training.make_moments()
    return training, mode


def a_step(*, kernels: bool = True, save: bool = False) -> None:
    """Do a step, without a fault unless one is put in."""
    training, mode = _training(kernels)
    training.state.optimizer.zero_grad()  # an earlier fault may have left some
    with fake_cuda(kernels, mode):
        training.count(save=save)


def inject(name: str) -> None:
    """Run a step, a validation or a suppression with a fault in it."""
    place = name.removeprefix("wait in ")
    if place in PLACES:
        with PLACES[place]():
            a_step(save=place == "save")
    elif place == "validation":
        with _patched(TaskAlignedLoss, "combined", lambda parts: parts.cpu()):
            count_validation(CASE)
    elif place == "suppression, kernels":
        with _patched(nms, "_keep_of_best", lambda found: len(found[0].nonzero())):
            count_suppression(FILLED)
    elif place == "suppression, torch":
        with _patched(nms, "_pairwise_iou", lambda found: found.max().item()):
            count_suppression(FILLED, kernels=False)
    else:
        _mix(name)


def _mix(name: str) -> None:
    """Run a step with a tensor on another device."""
    if name == "input on the CPU":
        with mock.patch.object(
            step, "model_input", lambda batch, size, dtype: (torch.zeros(2, 3, 64, 64), batch.boxes)
        ):
            a_step(kernels=False)
    elif name == "classes on the CPU":
        _with_objects(lambda boxes, classes: (boxes, torch.zeros_like(classes, device="cpu")), kernels=False)
    elif name == "boxes on another GPU":
        _with_objects(lambda boxes, classes: (torch.zeros_like(boxes, device="cuda:1"), classes), kernels=False)
    elif name == "a kernel's boxes on another GPU":
        _with_objects(lambda boxes, classes: (torch.zeros_like(boxes, device="cuda:1"), classes), kernels=True)
    elif name == "a kernel's classes on the CPU":
        _with_objects(lambda boxes, classes: (boxes, torch.zeros_like(classes, device="cpu")), kernels=True)
    elif name == "kernel without an argument":
        from lehr.kernels.trial import _double

        with fake_cuda():
            values = torch.ones(4, device=CUDA)
            _double[(1,)](values, values, BLOCK=128)
    else:
        raise ValueError(name)


def _with_objects(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], *, kernels: bool) -> None:
    sums = TaskAlignedLoss.sums

    def changed(loss: Any, prediction: Any, boxes: Tensor, classes: Tensor) -> Any:
        return sums(loss, prediction, *change(boxes, classes))

    with mock.patch.object(TaskAlignedLoss, "sums", changed):
        a_step(kernels=kernels)
