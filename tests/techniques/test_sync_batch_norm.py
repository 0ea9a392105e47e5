"""BatchNorm over the images of all processes, against nn.BatchNorm2d over the whole batch in float64."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.processes import together
from tests.techniques.reference_kernels import LAST
from tests.techniques.sync_batch_norm_cases import (
    BATCHES,
    CASES,
    CHANNELS,
    Found,
    Values,
    batch_of,
    buffers_of,
    gradients_of,
    net,
    norm,
    whole_last_batch,
    whole_net,
    work,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lehr.techniques import sync_batch_norm
from lehr.techniques.sync_batch_norm import SyncBatchNorm2d, convert


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What each process found, by the number of processes."""
    folders = {processes: tmp_path_factory.mktemp("processes") for processes in (2, 3)}
    return {n: list(together(n, work, str(folder), n, folder=folder).values()) for n, folder in folders.items()}


def assert_close(ours: Tensor, expected: Tensor, dtype: torch.dtype = torch.float32) -> None:
    relative, absolute = (1e-5, 1e-5) if dtype == torch.float32 else (2e-2, 4e-2)
    torch.testing.assert_close(ours.double(), expected.double(), rtol=relative, atol=absolute)


def gradients_only(values: Values) -> Values:
    return {key: value for key, value in values.items() if key in ("d_weight", "d_bias")}


@pytest.mark.parametrize("way", ["", ", kernels"])
@pytest.mark.parametrize("name", CASES)
def test_each_process_s_output_and_input_gradient_are_those_of_the_whole_batch(
    name: str, way: str, found: Found
) -> None:
    case = CASES[name]
    for ours, expected in zip(found[len(case.shares)], whole_last_batch(case), strict=True):
        for key, value in ((key, ours[name + way][key]) for key in ("out", "dx")):
            assert value.dtype == case.dtype
            assert value.is_contiguous(memory_format=case.memory_format)
            assert_close(value, expected[key], case.dtype)


@pytest.mark.parametrize("way", ["", ", kernels"])
@pytest.mark.parametrize("name", CASES)
def test_parameter_gradients_add_up_to_those_of_the_whole_batch(name: str, way: str, found: Found) -> None:
    case = CASES[name]
    own = [each[name + way] for each, share in zip(found[len(case.shares)], case.shares, strict=True) if share]
    expected = gradients_only(whole_last_batch(case)[0])
    assert len(expected) == (0 if name == "nothing learned or tracked" else 2)
    assert all(gradients_only(each).keys() == expected.keys() for each in own)
    for key, value in expected.items():
        # The images are bfloat16, the sums are not.
        assert own[0][key].dtype == torch.float32
        torch.testing.assert_close(sum(each[key].double() for each in own), value, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("way", ["", ", kernels"])
@pytest.mark.parametrize("name", CASES)
def test_running_statistics_are_those_of_the_whole_batch_and_the_same_everywhere(
    name: str, way: str, found: Found
) -> None:
    every = [each[name + way] for each in found[len(CASES[name].shares)]]
    expected = {
        key: v for key, v in whole_last_batch(CASES[name])[0].items() if key in dict(norm(CASES[name]).named_buffers())
    }
    assert len(expected) == (0 if name == "nothing learned or tracked" else 3)
    if way and "average" not in name:
        expected.pop("num_batches_tracked", None)  # the kernels do not count
    for key, value in expected.items():
        torch.testing.assert_close(every[0][key].double(), value.double(), rtol=1e-5, atol=1e-6)
        assert all(torch.equal(each[key], every[0][key]) for each in every)


@pytest.mark.parametrize("way", ["", ", kernels"])
def test_a_net_trained_by_two_processes_is_the_one_trained_by_one(way: str, found: Found) -> None:
    ours = [dict(each["net" + way]) for each in found[2]]
    blocks = [each.pop("block") for each in ours]
    expected, start = whole_net(), net().state_dict()
    if way:
        expected = {name: value for name, value in expected.items() if "num_batches" not in name}
        ours = [{name: each[name] for name in expected} for each in ours]
    assert ours[0].keys() == expected.keys()
    for name, value in expected.items():
        assert_close(ours[0][name], value)
        assert not torch.equal(ours[0][name], start[name])
        assert torch.equal(ours[0][name], ours[1][name])
    running = torch.cat([value for name, value in ours[0].items() if "running" in name])
    assert torch.equal(blocks[0][blocks[0] != 0], running)


@pytest.mark.parametrize("way", ["", ", kernels"])
def test_one_value_in_all_becomes_the_bias_and_has_no_variance(way: str, found: Found) -> None:
    for each in found[2]:
        values = each["one value in all" + way]
        torch.testing.assert_close(values["running_var"], torch.full((CHANNELS,), 0.97**BATCHES))
    first = found[2][0]["one value in all" + way]
    torch.testing.assert_close(first["out"].flatten(), norm(CASES["idle"]).bias.detach())
    assert_close(first["dx"], torch.zeros(1, CHANNELS, 1, 1))


def test_a_layer_takes_five_kernels_of_torch_where_it_has_them(found: Found) -> None:
    forward = ["batch_norm_stats", "batch_norm_gather_stats_with_counts", "batch_norm_elemt"]
    backward = ["batch_norm_backward_reduce", "batch_norm_backward_elemt"]
    assert all(each["kernels called"] == BATCHES * (forward + backward) for each in found[2])


def test_the_general_way_has_saved_statistics_on_every_device_but_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On CUDA the backward pass of features in channels-last insists on them."""
    monkeypatch.setattr(dist, "all_reduce", lambda values: values)
    given: list[Any] = []

    class Noted(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten.native_batch_norm_backward.default:
                given.extend(args[5:7])
            return func(*args, **(kwargs or {}))

    x = torch.randn(2, CHANNELS, 4, 4, device="meta").to(memory_format=LAST).requires_grad_()
    learned = [torch.randn(CHANNELS, device="meta") for _ in range(4)]
    out = sync_batch_norm._Normalize.apply(x, *learned, torch.tensor(32.0, device="meta"), 1e-3, False)
    with Noted():
        out.backward(torch.empty_like(out))
    assert [saved.shape for saved in given] == [(CHANNELS,)] * 2


def test_layers_behind_a_frozen_one_may_move_the_statistics_of_one_block(found: Found) -> None:
    for each in found[2]:
        frozen = each["frozen"]
        assert {"d_0.conv.weight", "d_2.conv.weight"} < frozen.keys() and "d_1.conv.weight" not in frozen
        assert all(bool(value.isfinite().all()) and bool(value.any()) for value in frozen.values())


def test_a_layer_makes_two_exchanges_and_never_waits_for_a_value(found: Found) -> None:
    names = found[2][0]["operations"]
    assert [name for name in names if "c10d" in name or "gather" in name or "reduce" in name] == [
        "c10d._allgather_base_.default",
        "c10d.allreduce_.default",
    ]
    waiting = ("_local_scalar_dense", "nonzero", "masked_select", "aten.index", "aten.item", "is_nonzero")
    assert not [name for name in names if any(word in name for word in waiting)]


def test_images_need_no_exchange_in_the_backward_pass(found: Found) -> None:
    assert not any("reduce" in name for name in found[2][0]["operations on images"])


def test_evaluation_is_each_process_s_own(found: Found) -> None:
    layer = norm(CASES["equal shares"]).eval()
    assert torch.equal(found[2][0]["evaluated by one alone"], layer(batch_of(CASES["equal shares"], 0)[0][0]))


@pytest.mark.parametrize("grouped", [False, True], ids=["no group", "a group of one"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_one_process_s_layer_is_the_plain_one(grouped: bool, training: bool, tmp_path: Path) -> None:
    case = CASES["unequal shares"]
    x, dy = (each[0] for each in batch_of(case, 0))
    if grouped:
        dist.init_process_group("gloo", f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        results: list[list[Tensor]] = []
        for layer in (norm(case), norm(case)):
            if not results:
                convert(layer)
            layer.train(training)
            own = x.clone().requires_grad_()
            out = layer(own)
            out.backward(dy)
            assert own.grad is not None
            results.append([out, own.grad, *gradients_of(layer).values(), *layer.buffers()])
    finally:
        if grouped:
            dist.destroy_process_group()
    assert len(results[0]) == 7
    assert all(torch.equal(ours, plain) for ours, plain in zip(*results, strict=True))


def test_converting_keeps_parameters_buffers_names_and_modes() -> None:
    plain = nn.Sequential(net(), norm(CASES["idle"]).eval(), nn.BatchNorm2d(2, affine=False))
    before, described = plain.state_dict(keep_vars=True), [module.extra_repr() for module in plain.modules()]
    modes = [module.training for module in plain.modules()]
    membership = convert(plain)
    after = plain.state_dict(keep_vars=True)
    assert list(after) == list(before) and all(after[name] is value for name, value in before.items())
    assert [module.training for module in plain.modules()] == modes
    assert [module.extra_repr() for module in plain.modules()] == described
    norms = [module for module in plain.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 4
    assert all(isinstance(each, SyncBatchNorm2d) and each.membership is membership for each in norms)
    assert not membership.idle


def test_a_copy_has_tensors_of_its_own_and_takes_part_as_the_original_does() -> None:
    model = net()
    membership = convert(model)
    copied = copy.deepcopy(model)
    norms = [module for module in copied.modules() if isinstance(module, SyncBatchNorm2d)]
    assert len(norms) == 2 and all(each.membership is membership for each in norms)
    before = buffers_of(copied)
    model(torch.randn(2, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in buffers_of(copied).items())
    assert list(copied.state_dict()) == list(net().state_dict())
