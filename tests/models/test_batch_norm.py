"""A single value a channel is normalized by the running statistics; everything else is torch's BatchNorm."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from lehr.models.batch_norm import BatchNorm2d, take_single_values
from lehr.models.build import build_model


def layers() -> tuple[nn.BatchNorm2d, nn.BatchNorm2d]:
    """torch's layer and Lehr's, of the same state."""
    torch.manual_seed(0)
    theirs = nn.BatchNorm2d(3, eps=1e-3, momentum=0.03)
    for _ in range(4):
        theirs(torch.randn(2, 3, 4, 4) * 3 + 1)
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    ours = copy.deepcopy(theirs)
    take_single_values(ours)
    assert type(ours) is BatchNorm2d
    return theirs, ours


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 3, 2, 1), (2, 3, 4, 5)])
def test_several_values_are_normalized_as_by_torch(shape: tuple[int, ...], training: bool) -> None:
    theirs, ours = (layer.train(training) for layer in layers())
    x = torch.randn(shape)
    assert torch.equal(ours(x), theirs(x))
    assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))


def test_a_single_value_is_normalized_by_the_running_statistics_and_leaves_them() -> None:
    _, ours = layers()
    before = [buffer.clone() for buffer in ours.buffers()]
    x = torch.randn(1, 3, 1, 1, requires_grad=True)
    y = ours.train()(x)
    assert ours.running_mean is not None and ours.running_var is not None
    scale = (ours.weight / (ours.running_var + 1e-3).sqrt()).double()
    wanted = (x.double().flatten() - ours.running_mean.double()) * scale + ours.bias.double()
    torch.testing.assert_close(y.double().flatten(), wanted, rtol=1e-5, atol=1e-6)
    y.sum().backward()
    assert x.grad is not None and ours.weight.grad is not None
    torch.testing.assert_close(x.grad.double().flatten(), scale, rtol=1e-5, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), before, strict=True))


@pytest.mark.parametrize("model", ["yolov3-spp", "yolov5n", "yolov8n"])
def test_every_family_takes_one_image_at_one_cell(model: str) -> None:
    net = build_model(model, ("cat",), 32, width=0.125, depth=0.33).train()
    assert all(type(each) is BatchNorm2d for each in net.modules() if isinstance(each, nn.BatchNorm2d))
    net(torch.rand(1, 3, 32, 32))
