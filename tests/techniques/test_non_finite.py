"""Steps that are not finite, without a trainer."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lehr.techniques.auto import choose_optimizer
from lehr.techniques.non_finite import (
    ALIGNED,
    Statistics,
    StepStatusQueue,
    describe,
    step_if_finite,
    step_or_take_back,
)
from lehr.techniques.optimizer import build_optimizer


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2))


def statistics_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items() if "running" in name}


def test_statistics_in_one_block_are_the_model_s() -> None:
    model, other = network(), network()
    block = Statistics(model).block
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(model(images), other(images), rtol=0, atol=0)
    for name, value in statistics_of(other).items():
        assert torch.equal(statistics_of(model)[name], value)
    assert torch.equal(block[block != 0], torch.cat([*statistics_of(other).values()]))
    views = [value for name, value in model.named_buffers() if "running" in name]
    assert all(view.untyped_storage().data_ptr() == block.data_ptr() for view in views)
    assert [view.storage_offset() % ALIGNED for view in views] == [0] * 4  # of 4 and 2 channels


def test_a_copy_has_statistics_of_its_own() -> None:
    model = network()
    Statistics(model)
    copied = copy.deepcopy(model)
    model(torch.randn(2, 3, 8, 8))
    assert not torch.equal(statistics_of(model)["1.running_mean"], statistics_of(copied)["1.running_mean"])


@pytest.mark.parametrize("finite", [True, False])
def test_a_batch_s_statistics_are_kept_only_if_it_was_finite(finite: bool) -> None:
    model = network()
    statistics = Statistics(model)
    before = statistics_of(model)
    statistics.remember()
    model(torch.full((2, 3, 8, 8), 1.0 if finite else float("nan")))
    statistics.keep_if(torch.tensor(finite))
    same = [torch.equal(value, before[name]) for name, value in statistics_of(model).items()]
    assert not any(same) if finite else all(same)


def test_a_model_without_batch_norm_has_none() -> None:
    statistics = Statistics(nn.Conv2d(3, 1, 1))
    statistics.remember()
    statistics.keep_if(torch.tensor(False))
    assert len(statistics.block) == 0


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSProp", "NAdam", "RAdam"])
def test_no_optimizer_moves_by_a_gradient_that_is_not_finite(name: str) -> None:
    model = network()
    optimizer = build_optimizer(model, choose_optimizer(name, classes=2, images=1, epochs=1), 5e-4)
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    assert step_if_finite(optimizer, torch.tensor(True))
    before, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict()["state"])
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    assert not step_if_finite(optimizer, torch.tensor(False))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    for number, moments in optimizer.state_dict()["state"].items():
        assert all(not torch.is_tensor(v) or torch.equal(v, state[number][k]) for k, v in moments.items())


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), 1e38])
@pytest.mark.parametrize("name", ["RMSProp", "NAdam", "RAdam"])
def test_a_step_that_the_device_takes_back_is_none_and_another_is_one_to_the_last_bit(
    name: str, bad: float | None
) -> None:
    def stepped(take_back: bool) -> list[torch.Tensor]:
        model = network()
        optimizer = build_optimizer(model, choose_optimizer(name, classes=2, images=1, epochs=1), 5e-4)
        for number in range(3):
            torch.manual_seed(number)
            optimizer.zero_grad()
            model(torch.randn(2, 3, 8, 8)).square().sum().backward()
            if number == 1 and bad is not None:
                next(model.parameters()).grad[0, 0, 0, 0] = bad  # type: ignore[index]
                if take_back:
                    step_or_take_back(optimizer, torch.tensor(False))
            elif take_back and number:
                step_or_take_back(optimizer, torch.tensor(True))
            else:
                optimizer.step()
        moments = [value for each in optimizer.state.values() for value in each.values()]
        return [*map(torch.detach, model.parameters()), *moments]

    assert all(torch.equal(ours, plain) for ours, plain in zip(stepped(True), stepped(False), strict=True))


class Waiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes when the host reads a number, for which it would wait for a device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.read = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.read += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_to_take_a_step_back_reads_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    optimizer = build_optimizer(model, choose_optimizer("NAdam", classes=2, images=1, epochs=1), 5e-4)
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    monkeypatch.setattr(optimizer, "step", lambda: None)  # on a CPU it reads its own count of steps
    for group in optimizer.param_groups:
        group["capturable"] = True
    flag, waiting = torch.tensor(True), Waiting()
    with waiting:
        step_or_take_back(optimizer, flag)
    assert waiting.read == 0
    with waiting:
        assert step_if_finite(optimizer, flag)
    assert waiting.read == 1, "what the host decides on a CPU"


def test_what_was_posted_arrives_in_order() -> None:
    watch = StepStatusQueue()
    watch.post(12, [4, 5], torch.tensor([1.0, 2.0]), None, torch.tensor(True))
    watch.post(13, [6], torch.tensor([float("nan"), 2.0]), torch.tensor(float("nan")), torch.tensor(False))
    first, second = watch.arrived()
    assert (first.step, first.images, first.losses, first.norm, first.finite) == (12, [4, 5], (1.0, 2.0), None, True)
    assert not first.updated and second.updated and not second.finite
    assert watch.arrived() == []
    assert describe(second, ("box", "cls"), 10) == "epoch 2, batch 4: loss box nan"


def test_a_bad_gradient_is_described_by_its_norm() -> None:
    watch = StepStatusQueue()
    watch.post(0, [0], torch.tensor([1.0]), torch.tensor(float("inf")), torch.tensor(False))
    assert describe(watch.arrived()[0], ("box",), 10) == "epoch 1, batch 1: norm of the gradient inf"


def test_the_fused_cuda_optimizers_take_the_flag_that_is_handed_over() -> None:
    """What `step_if_finite` relies on there: `found_inf`, which torch's fused optimizers read on the device."""
    model: Any = network()
    optimizer = build_optimizer(model, choose_optimizer("AdamW", classes=2, images=1, epochs=1), 5e-4)
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.found_inf = torch.ones(())  # type: ignore[attr-defined]
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
    assert all(float(moments["step"]) == 0 for moments in optimizer.state_dict()["state"].values())
    optimizer.found_inf = torch.zeros(())  # type: ignore[attr-defined]
    optimizer.step()
    assert not torch.equal(next(model.parameters()), before["0.weight"])


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_a_flag_is_gone_after_its_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first step after going back to the beginning, which is made without one, would heed it."""
    model: Any = network()
    optimizer = build_optimizer(model, choose_optimizer(name, classes=2, images=1, epochs=1), 5e-4)
    start = copy.deepcopy(optimizer.state_dict())

    def step(finite: bool) -> None:
        model(torch.randn(2, 3, 8, 8)).sum().backward()
        assert step_if_finite(optimizer, _OnCuda(torch.tensor(finite)))  # type: ignore[arg-type]
        optimizer.zero_grad()

    optimizer.defaults["fused"] = True
    step(True)
    step(False)
    assert not hasattr(optimizer, "found_inf")
    optimizer.load_state_dict(start)
    before = copy.deepcopy(model.state_dict())
    step(True)
    assert all(torch.isfinite(each).all() for moments in optimizer.state.values() for each in moments.values())
    assert not torch.equal(next(model.parameters()), before["0.weight"])


class _OnCuda:
    """A flag on a CPU that says it is on a GPU."""

    device = torch.device("cuda")

    def __init__(self, flag: torch.Tensor) -> None:
        self._flag = flag

    def __invert__(self) -> torch.Tensor:
        return ~self._flag

    def __bool__(self) -> bool:
        return bool(self._flag)
