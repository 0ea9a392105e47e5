"""The convolution of images: torch's, forward and for the weights."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from tests.kernels.interpreted import interpreted
from torch import Tensor, nn

from lehr.kernels import support
from lehr.models.convolution import convolve


@pytest.fixture(scope="module")
def kernel() -> Iterator[ModuleType]:
    with interpreted("image_convolution") as module:
        yield module


def given(shape: tuple[int, ...], seed: int, device: str = "cpu", dtype: torch.dtype = torch.float16) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn(shape).to(device, dtype).contiguous(memory_format=torch.channels_last)


def compare(
    kernel: ModuleType, x: Tensor, channels: int, side: int, stride: int, padding: int, tolerance: float = 2e-3
) -> None:
    weight = given((channels, x.shape[1], side, side), 1, str(x.device), x.dtype).requires_grad_()
    y = kernel.convolve_images(x, weight, stride, padding)
    exact = weight.detach().double().requires_grad_()
    expected = F.conv2d(x.double(), exact, None, stride, padding)
    assert y.shape == expected.shape and y.dtype == x.dtype and y.is_contiguous(memory_format=torch.channels_last)
    slope = given(tuple(y.shape), 2, str(x.device), x.dtype)
    y.backward(slope)
    expected.backward(slope.double())
    assert weight.grad is not None and exact.grad is not None
    for ours, theirs in ((y, expected), (weight.grad, exact.grad)):
        assert (ours.double() - theirs).norm() / theirs.norm() < tolerance


@pytest.mark.parametrize(
    ("shape", "channels", "side", "stride", "padding"),
    [
        ((2, 3, 10, 14), 16, 3, 2, 1),
        ((1, 3, 12, 12), 20, 6, 2, 2),
        ((2, 1, 7, 5), 8, 3, 1, 1),
        ((1, 3, 8, 8), 32, 1, 1, 0),
    ],
)
def test_it_is_torchs(
    kernel: ModuleType,
    shape: tuple[int, ...],
    channels: int,
    side: int,
    stride: int,
    padding: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel, "PIXELS", 32)
    monkeypatch.setattr(kernel, "SUMMED", 16)
    monkeypatch.setattr(kernel, "PROGRAMS", 3)
    compare(kernel, given(shape, 0), channels, side, stride, padding)


def test_a_block_takes_the_kernel_for_images_in_16_bits(kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[torch.dtype] = []
    own = kernel.convolve_images
    monkeypatch.setattr(kernel, "convolve_images", lambda x, *more: (calls.append(x.dtype), own(x, *more))[1])
    monkeypatch.setitem(sys.modules, "lehr.kernels.image_convolution", kernel)
    monkeypatch.setattr(support, "usable", lambda _: True)
    first = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
    x = given((2, 3, 8, 8), 0)
    expected = F.conv2d(x.float(), first.weight.half().float(), None, 2, 1)
    y = convolve(first.half(), x)
    torch.testing.assert_close(y.float(), expected, rtol=2e-3, atol=2e-3)
    assert calls == [torch.float16]
    first.float()
    for refused, images in [
        (first, x.float()),  # in 32 bits
        (nn.Conv2d(3, 16, 3, 2, 1), x.float()),  # with a bias
        (nn.Conv2d(8, 16, 3, bias=False), torch.randn(1, 8, 4, 4)),
        (nn.Conv2d(3, 3, 3, groups=3, bias=False), x.float()),
    ]:
        torch.testing.assert_close(convolve(refused, images), refused(images))
    hook = first.half().register_forward_hook(lambda *_: None)
    convolve(first, x)
    hook.remove()
    convolve(first, x.clone().requires_grad_())
    assert len(calls) == 1


cuda = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("channels", "side", "padding"), [(16, 3, 1), (32, 6, 2), (80, 3, 1)])
@pytest.mark.parametrize("marked", [pytest.param(None, marks=cuda)])
def test_it_is_torchs_on_a_gpu(channels: int, side: int, padding: int, dtype: torch.dtype, marked: None) -> None:
    from lehr.kernels import image_convolution as compiled

    x = given((4, 3, 320, 640), 0, "cuda", dtype)
    compare(compiled, x, channels, side, 2, padding, 4e-3)
    weight = given((channels, 3, side, side), 1, "cuda", dtype).requires_grad_()

    def gradient() -> Tensor:
        return torch.autograd.grad(compiled.convolve_images(x, weight, 2, padding).float().square().sum(), weight)[0]

    assert torch.equal(gradient(), gradient())
