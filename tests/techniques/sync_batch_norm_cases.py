"""Layers and nets whose BatchNorm several processes share, in these processes, and in one over all images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.techniques.reference_kernels import LAST, ReferenceKernels
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lehr.models.blocks import Conv
from lehr.techniques import sync_batch_norm
from lehr.techniques.freezing import freeze_bn_stats
from lehr.techniques.non_finite import Statistics
from lehr.techniques.sync_batch_norm import convert

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
