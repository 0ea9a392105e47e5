"""Upsampling copies values: in the type of its features, also where autocast would make float32 of them."""

from __future__ import annotations

import torch
from torch import nn

from lehr.models.blocks import Upsample, doubled


def test_it_is_torchs_nearest_neighbour() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(Upsample()(x), nn.Upsample(scale_factor=2, mode="nearest")(x))


def test_a_copy_is_the_same_forward_and_backward() -> None:
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    other = x.detach().clone().requires_grad_()
    y, expected = doubled(x), nn.Upsample(scale_factor=2, mode="nearest")(other)
    assert torch.equal(y, expected) and y.is_contiguous(memory_format=torch.channels_last)
    slope = torch.randn_like(expected)
    y.backward(slope)
    expected.backward(slope)
    assert x.grad is not None and other.grad is not None
    torch.testing.assert_close(x.grad, other.grad)


def test_under_autocast_it_keeps_the_type_forward_and_backward() -> None:
    x = torch.randn(2, 3, 4, 5).bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = Upsample()(x)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y.float(), nn.Upsample(scale_factor=2, mode="nearest")(x.detach().float()))
    y.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.full_like(x, 4.0))
