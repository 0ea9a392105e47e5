"""The task-aligned loss by kernels: values and gradients of the chain of torch operations."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tests.kernels.interpreted import interpreted
from tests.kernels.test_assign import case
from torch import Tensor

from lehr.losses import task_aligned, task_aligned_assigner
from lehr.losses.bce import ModulatingFactor
from lehr.losses.box_losses import BoxLoss
from lehr.losses.focal import FocalFactor
from lehr.losses.quality_focal import QualityFocalFactor, VarifocalFactor
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.models.dfl_head import DFLPrediction

UPSTREAM = torch.tensor([0.3, 0.7, 1.1])


@pytest.fixture
def by_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Have what has fixed shapes computed by interpreted kernels, or else by torch; the functions that were called."""
    calls: list[str] = []

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **named: Any) -> Any:
            calls.append(function.__name__)
            return function(*args, **named)

        return called

    with interpreted("aligned_loss") as fused:
        assigning = importlib.import_module("lehr.kernels.assign")
        monkeypatch.setattr(fused, "loss_sums", counted(fused.loss_sums))
        monkeypatch.setattr(assigning, "assignment", counted(assigning.assignment))
        monkeypatch.setattr(task_aligned_assigner, "usable", lambda device: True)
        for module in (task_aligned_assigner, task_aligned):
            monkeypatch.setattr(module, "supports_dynamic_shapes", lambda device: False)
        yield calls


def answer(
    loss: TaskAlignedLoss, arguments: tuple[Tensor, ...], dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums, count, and the gradients of distances and class logits."""
    distances, logits, points, strides, boxes, classes = arguments
    distances, logits = (tensor.to(dtype).detach().requires_grad_() for tensor in (distances, logits))
    sums, count = loss.sums(DFLPrediction(distances, logits, points, strides), boxes, classes)
    (sums * UPSTREAM.to(sums.device)).sum().backward()
    assert distances.grad is not None and logits.grad is not None
    return sums.detach(), count, distances.grad, logits.grad


@pytest.mark.parametrize(
    "given",
    [
        {"least_side": 16.0},
        {"smoothing": 0.1, "cls_pw": 1.3, "class_weights": torch.tensor([0.5, 2.0, 1.0]), "tal_topk": 3},
        {"factor": FocalFactor(1.5, 0.3), "cls_pw": 1.3},
        {"factor": FocalFactor(0.7)},
        {"factor": QualityFocalFactor()},
        {"factor": QualityFocalFactor(1.0), "smoothing": 0.1},
        {"factor": VarifocalFactor()},
        {"factor": VarifocalFactor(0.5, 1.3), "class_weights": torch.tensor([0.5, 2.0, 1.0])},
    ],
    ids=["plain", "varied", "focal", "focal-below-1", "quality", "quality-1", "varifocal", "varifocal-1.3"],
)
def test_values_and_gradients_are_those_of_torch(
    given: dict[str, Any], by_kernels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, arguments = TaskAlignedLoss(**given), case(6, [3, 0, 5])
    found = answer(loss, arguments)
    assert by_kernels == ["loss_sums"]
    monkeypatch.setattr(task_aligned_assigner, "usable", lambda device: False)
    expected = answer(loss, arguments)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_gradients_are_of_the_dtype_of_the_predictions(by_kernels: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = answer(TaskAlignedLoss(), case(7, [4]), torch.bfloat16)
    monkeypatch.setattr(task_aligned_assigner, "usable", lambda device: False)
    expected = answer(TaskAlignedLoss(), case(7, [4]), torch.bfloat16)
    assert found[2].dtype == found[3].dtype == torch.bfloat16 and by_kernels == ["loss_sums"]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-4)


def test_many_classes_take_several_turns(by_kernels: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    distances, _, *rest, classes = case(8, [7])
    logits = torch.randn(1, distances.shape[1], 150)
    classes = torch.where(classes == 1, 140, classes)
    found = answer(TaskAlignedLoss(), (distances, logits, *rest, classes))
    monkeypatch.setattr(task_aligned_assigner, "usable", lambda device: False)
    expected = answer(TaskAlignedLoss(), (distances, logits, *rest, classes))
    assert by_kernels == ["loss_sums"]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.usefixtures("by_kernels")
def test_a_prediction_that_is_not_finite_makes_the_loss_not_finite(which: int) -> None:
    arguments = case(9, [2])
    arguments[which][0, 80, 1] = float("nan")
    sums, count, *_ = answer(TaskAlignedLoss(), arguments)
    assert not (sums.sum() + count.sum()).isfinite()


@pytest.mark.usefixtures("by_kernels")
def test_padding_alone_is_only_background() -> None:
    arguments = case(10, [0])
    assert arguments[-1].tolist() == [[-1]]
    sums, count, of_distances, _ = answer(TaskAlignedLoss(), arguments)
    expected = torch.nn.functional.softplus(arguments[1]).sum() * 0.5
    torch.testing.assert_close(sums, torch.stack((expected * 0, expected, expected * 0)))
    assert float(count) == 0 and not of_distances.any()


@pytest.mark.parametrize("given", [{"box_loss": BoxLoss("siou")}, {"factor": lambda logits, targets: logits * 0 + 2}])
def test_variations_take_the_assignment_of_kernels(
    given: dict[str, Any], by_kernels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, arguments = TaskAlignedLoss(**given), case(11, [5])
    found = answer(loss, arguments)
    assert by_kernels == ["assignment"]
    monkeypatch.setattr(task_aligned_assigner, "usable", lambda device: False)
    for one, other in zip(found, answer(loss, arguments), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("factor", [None, FocalFactor(1.5), QualityFocalFactor(), VarifocalFactor()])
def test_it_is_that_of_torch_on_a_gpu(
    factor: ModulatingFactor | None, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = tuple(tensor.cuda() for tensor in case(12, [20, 0, 5, 12]))
    loss = TaskAlignedLoss(class_weights=torch.tensor([0.5, 2.0, 1.0]).cuda(), factor=factor)
    found, again = answer(loss, arguments, dtype), answer(loss, arguments, dtype)
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))
    monkeypatch.setattr(task_aligned_assigner, "usable", lambda device: False)
    tolerance = {"rtol": 1e-3, "atol": 1e-5} if dtype is torch.float32 else {"rtol": 1e-2, "atol": 1e-3}
    for one, other in zip(found, answer(loss, arguments, dtype), strict=True):
        torch.testing.assert_close(one, other, **tolerance)
