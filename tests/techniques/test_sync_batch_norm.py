"""BatchNorm over the images of all processes, against nn.BatchNorm2d over the whole batch in float64."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.processes import together
from tests.techniques.reference_kernels import LAST, ReferenceKernels
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lehr.models.blocks import Conv
from lehr.techniques import sync_batch_norm
from lehr.techniques.freezing import freeze_bn_stats
from lehr.techniques.non_finite import Statistics
from lehr.techniques.sync_batch_norm import SyncBatchNorm2d, convert

CHANNELS = 3
Values = dict[str, Tensor]
Found = dict[int, list[dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """One layer in two batches.

    Attributes:
        shares: images of each process; one without any computes a stand-in.
        side: of the images, pixels.
        memory_format: of the images; that of the gradient is the other one where `mixed`.
        dtype: of the images.
        layer: arguments of the layer.
    """

    shares: tuple[int, ...]
    side: int = 5
    memory_format: torch.memory_format = torch.contiguous_format
    mixed: bool = False
    dtype: torch.dtype = torch.float32
    layer: tuple[tuple[str, Any], ...] = (("eps", 1e-3), ("momentum", 0.03))


CASES = {
    "equal shares": Case((2, 2)),
    "unequal shares": Case((3, 4)),
    "idle": Case((3, 0)),
    "channels-last": Case((3, 4), memory_format=LAST),
    "channels-last, idle": Case((0, 3), memory_format=LAST),
    "channels-last, contiguous gradient": Case((3, 4), memory_format=LAST, mixed=True),
    "bfloat16": Case((3, 4), dtype=torch.bfloat16),
    "bfloat16, many values": Case((3, 4), side=80, dtype=torch.bfloat16, memory_format=LAST, mixed=True),
    "bfloat16, idle": Case((3, 0), dtype=torch.bfloat16, memory_format=LAST),
    "one value each": Case((1, 1), side=1),
    "average of all batches": Case((1, 2), layer=(("momentum", None),)),
    "nothing learned or tracked": Case((3, 2), layer=(("affine", False), ("track_running_stats", False))),
    "three processes": Case((2, 4, 1)),
    "three processes, idle": Case((2, 0, 3)),
    "three processes, two idle": Case((0, 2, 0)),
}
BATCHES = 2
NET_SHARES = ((2, 2), (3, 1), (2, 0))


def norm(case: Case) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(CHANNELS, **dict(case.layer))
    if layer.affine:
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([0.5, -1.5, 2.0]))
            layer.bias.copy_(torch.tensor([0.1, 0.2, -0.3]))
    return layer


def batch_of(case: Case, number: int) -> tuple[list[Tensor], list[Tensor]]:
    """Images of each process and the gradients of their output; processes differ in mean and spread, as scenes do."""
    generator = torch.Generator().manual_seed(number)
    images, gradients = [], []
    for process, share in enumerate(case.shares):
        x = torch.randn(max(share, 1), CHANNELS, case.side, case.side, generator=generator)
        x = x * (1 + process) + 2 * process + (0 if share else 100)
        dy = 0.3 * torch.randn(x.shape, generator=generator) + 0.5 * x + 0.2
        other = torch.contiguous_format if case.memory_format == LAST else LAST
        images.append(x.to(case.dtype, memory_format=case.memory_format))
        gradients.append(dy.to(case.dtype, memory_format=other if case.mixed else case.memory_format))
    return images, gradients


def buffers_of(module: nn.Module) -> Values:
    return {name: value.clone() for name, value in module.named_buffers()}


def gradients_of(module: nn.Module) -> Values:
    return {f"d_{name}": parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}


def last_batch(case: Case, rank: int) -> Values:
    """Output, gradients and statistics of one of several processes, after the last batch."""
    layer = norm(case)
    membership = convert(layer)
    for number in range(BATCHES):
        images, gradients = batch_of(case, number)
        x = images[rank].requires_grad_()
        layer.zero_grad()
        membership.idle = case.shares[rank] == 0
        with torch.autocast("cpu", torch.bfloat16, enabled=case.dtype == torch.bfloat16):
            out = layer(x)
        # What the next batch is does not matter to the backward pass of this one.
        membership.idle = not membership.idle
        out.backward(gradients[rank])
    assert x.grad is not None
    return {"out": out.detach(), "dx": x.grad, **gradients_of(layer), **buffers_of(layer)}


def whole_last_batch(case: Case) -> list[Values]:
    """The same by one process over all images; of an idle process's, by statistics that are constants."""
    layer = norm(case).double()
    taking_part = [process for process, share in enumerate(case.shares) if share]
    for number in range(BATCHES):
        images, gradients = batch_of(case, number)
        x = torch.cat([images[process].double() for process in taking_part]).requires_grad_()
        dy = torch.cat([gradients[process].double() for process in taking_part])
        layer.zero_grad()
        out = layer(x)
        out.backward(dy)
    assert x.grad is not None
    shares = [case.shares[process] for process in taking_part]
    parts = zip(taking_part, torch.split(out.detach(), shares), torch.split(x.grad, shares), strict=True)
    found = {process: {"out": one, "dx": dx} for process, one, dx in parts}
    values = x.detach().transpose(0, 1).flatten(1)  # (channels, values)
    scale = (layer.weight.detach() if layer.affine else 1) / (values.var(1, correction=0) + layer.eps).sqrt()
    shift = (layer.bias.detach() if layer.affine else 0) - values.mean(1) * scale
    for process in set(range(len(case.shares))) - set(taking_part):
        slope = scale.reshape(-1, 1, 1)
        found[process] = {
            "out": images[process] * slope + shift.reshape(-1, 1, 1),
            "dx": gradients[process] * slope,
        }
    return [{**found[process], **gradients_of(layer), **buffers_of(layer)} for process in sorted(found)]


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(Conv(3, 4, 3), Conv(4, 6, 3, 2), nn.Conv2d(6, 2, 1))


def train_net(rank: int) -> Values:
    """Parameters and buffers of a small net that two processes trained; its statistics lie in one block."""
    model = net()
    membership = convert(model)
    block = Statistics(model).block
    for number, shares in enumerate(NET_SHARES):
        images = torch.randn(sum(shares), 3, 8, 8, generator=torch.Generator().manual_seed(number))
        own = torch.split(images, list(shares))[rank]
        membership.idle = len(own) == 0
        weight = 0.0 if membership.idle else 1.0
        loss = weight * model(torch.full((1, 3, 8, 8), 9.0) if membership.idle else own).square().sum() / len(images)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                dist.all_reduce(parameter.grad)
                parameter.sub_(0.05 * parameter.grad)
    return {**{name: value.detach() for name, value in model.state_dict().items()}, "block": block}


def whole_net() -> Values:
    model = net().double()
    for number, shares in enumerate(NET_SHARES):
        images = torch.randn(sum(shares), 3, 8, 8, generator=torch.Generator().manual_seed(number)).double()
        model.zero_grad()
        (model(images).square().sum() / len(images)).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.sub_(0.05 * parameter.grad)
    return model.state_dict()


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operations that are done while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def operations(needs_gradient: bool) -> list[str]:
    layer = nn.BatchNorm2d(CHANNELS, momentum=None)
    convert(layer)
    x = torch.randn(2, CHANNELS, 4, 4, requires_grad=needs_gradient)
    recorder = Recorder()
    with recorder:
        layer(x).square().sum().backward()
    return recorder.names


def frozen_in_the_middle() -> Values:
    """Gradients of a net whose second layer is frozen; its statistics lie in one block."""
    model = nn.Sequential(Conv(3, 4, 3), Conv(4, 6, 3), Conv(6, 2, 3))
    for parameter in model[1].parameters():
        parameter.requires_grad_(False)
    Statistics(model)
    convert(model)
    freeze_bn_stats(model.train())
    model(torch.ones(1, 3, 4, 4)).square().sum().backward()
    return gradients_of(model)


def evaluated() -> Tensor:
    layer = norm(CASES["equal shares"]).eval()
    convert(layer)
    out: Tensor = layer(batch_of(CASES["equal shares"], 0)[0][0])
    return out.detach()


def work(folder: str, processes: int) -> dict[str, Any]:
    """What came of every case of so many processes, in one of them."""
    rank = int(os.environ["RANK"])
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{folder}/meet", rank=rank, world_size=processes, timeout=timedelta(seconds=20)
    )
    found: dict[str, Any] = {
        name: last_batch(case, rank) for name, case in CASES.items() if len(case.shares) == processes
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sync_batch_norm, "_has_kernels", lambda x: True)
        kernels = ReferenceKernels()
        found |= {
            f"{name}, kernels": last_batch(case, rank) for name, case in CASES.items() if len(case.shares) == processes
        }
        if processes == 2:
            found["net, kernels"] = train_net(rank)
            found["one value in all, kernels"] = last_batch(Case((1, 0), side=1), rank)
            kernels.called.clear()
            last_batch(CASES["channels-last"], rank)
            found["kernels called"] = kernels.called
    found["frozen"] = frozen_in_the_middle()
    if processes == 2:
        found["net"] = train_net(rank)
        found["one value in all"] = last_batch(Case((1, 0), side=1), rank)
        found["operations"] = operations(needs_gradient=True)
        found["operations on images"] = operations(needs_gradient=False)
        if rank == 0:
            found["evaluated by one alone"] = evaluated()
    dist.barrier()
    dist.destroy_process_group()
    return found


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
