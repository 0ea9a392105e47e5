"""Batch normalization and SiLU in one kernel: the same as torch's two modules, forward, backward and statistics."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from tests.kernels.interpreted import interpreted
from torch import Tensor, nn

from lehr.kernels import support
from lehr.models import batch_norm
from lehr.models.blocks import Bottleneck
from lehr.techniques.sync_batch_norm import convert


@pytest.fixture(scope="module")
def kernel() -> Iterator[ModuleType]:
    with interpreted("batch_norm_silu") as module:
        yield module


def features(shape: tuple[int, int, int, int], seed: int = 0, device: str = "cpu") -> Tensor:
    torch.manual_seed(seed)
    x = 3 * torch.randn(shape) + torch.randn(1, shape[1], 1, 1) * 5
    return x.to(device).contiguous(memory_format=torch.channels_last)


def norm(channels: int, device: str = "cpu") -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    assert layer.running_mean is not None
    layer.running_mean.normal_()
    return layer.to(device)


def compare(kernel: ModuleType, x: Tensor, layer: nn.BatchNorm2d, slope: Tensor, tolerance: float) -> None:
    """Compare output, all gradients and the running statistics with torch's, in float64."""
    exact = copy.deepcopy(layer).double()
    other = x.detach().double().requires_grad_()
    expected = nn.functional.silu(exact(other))
    expected.backward(slope.double())
    own = x.detach().requires_grad_()
    assert layer.running_mean is not None and layer.running_var is not None
    y = kernel.batch_norm_silu(
        own, layer.weight, layer.bias, layer.running_mean, layer.running_var, layer.momentum, layer.eps
    )
    y.backward(slope)
    assert y.dtype == x.dtype and y.is_contiguous(memory_format=torch.channels_last)
    pairs = [
        (y, expected),
        (own.grad, other.grad),
        (layer.weight.grad, exact.weight.grad),
        (layer.bias.grad, exact.bias.grad),
        (layer.running_mean, exact.running_mean),
        (layer.running_var, exact.running_var),
    ]
    for ours, theirs in pairs:
        assert ours is not None and theirs is not None
        error = (ours.double() - theirs).norm() / theirs.norm()
        assert error < tolerance, error


@pytest.mark.parametrize("shape", [(2, 16, 9, 7), (1, 80, 5, 3), (2, 24, 1, 1), (3, 200, 2, 4)])
def test_it_is_torchs_two_modules(
    kernel: ModuleType, shape: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SUM_TILE", "MAP_TILE"):
        monkeypatch.setattr(kernel, name, 512)  # several tiles and parts
    monkeypatch.setattr(kernel, "PROGRAMS", 4)
    compare(kernel, features(shape), norm(shape[1]), features(shape, 1), 1e-5)


def test_a_slice_of_a_gradient_is_taken_as_it_lies(kernel: ModuleType) -> None:
    whole = features((2, 48, 6, 5), 2)
    part = whole[:, 16:32]
    taken, stride = kernel._rows_of(part)
    assert taken is part and stride == 48
    compare(kernel, features((2, 16, 6, 5)), norm(16), part, 1e-5)
    plain = torch.randn(2, 16, 6, 5)
    assert kernel._rows_of(plain)[0] is not plain
    compare(kernel, features((2, 16, 6, 5)), norm(16), plain, 1e-5)
    compare(kernel, features((2, 16, 6, 5)), norm(16), torch.ones(()).expand(2, 16, 6, 5), 1e-5)


def test_given_statistics_are_those_of_evaluation(kernel: ModuleType) -> None:
    layer, x = norm(24).eval(), features((2, 24, 5, 5))
    assert layer.running_mean is not None and layer.running_var is not None
    y = kernel.normalize_silu(x, layer.weight, layer.bias, layer.running_mean, layer.running_var, layer.eps)
    torch.testing.assert_close(y, nn.functional.silu(layer(x)), rtol=1e-5, atol=1e-5)


def test_what_is_no_number_shows_everywhere(kernel: ModuleType) -> None:
    layer, x = norm(16), features((2, 16, 4, 4))
    x[1, 3, 2, 2] = float("nan")
    y = kernel.batch_norm_silu(x, layer.weight, layer.bias, layer.running_mean, layer.running_var, 0.03, 1e-3)
    assert y[:, 3].isnan().all() and y[:, :3].isfinite().all() and layer.running_var is not None
    assert layer.running_var[3].isnan()


def test_a_block_takes_the_kernel_where_it_computes_the_same(
    kernel: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    block = Bottleneck(16, 16).to(memory_format=torch.channels_last)
    x = features((2, 16, 6, 6))
    expected, after = block(x), copy.deepcopy(block.state_dict())
    with torch.no_grad():
        evaluated = block.eval()(x)
    calls: list[str] = []
    for name in ("batch_norm_silu", "normalize_silu"):
        own = getattr(kernel, name)
        monkeypatch.setattr(kernel, name, lambda *a, name=name, own=own: (calls.append(name), own(*a))[1])
    monkeypatch.setattr(support, "usable", lambda _: True)
    monkeypatch.setitem(sys.modules, "lehr.kernels.batch_norm_silu", kernel)
    again = Bottleneck(16, 16)
    again.load_state_dict(after)
    for layer in (again.cv1.bn, again.cv2.bn):
        layer.reset_running_stats()
    torch.testing.assert_close(again(x), expected, rtol=1e-4, atol=1e-5)
    assert calls == ["batch_norm_silu"] * 2
    torch.testing.assert_close(again.cv2.bn.running_var, block.cv2.bn.running_var)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(x), evaluated, rtol=1e-4, atol=1e-5)
    assert calls[2:] == ["normalize_silu"] * 2
    again(x)  # frozen, with gradients
    again.train().cv1.act = nn.ReLU()  # type: ignore[assignment]
    again.cv2.bn.register_forward_hook(lambda *_: None)
    again(x)
    assert len(calls) == 4


def test_layers_over_all_processes_take_the_kernel_in_evaluation_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "usable", lambda _: True)
    x, layer = features((2, 16, 6, 6)), norm(16)
    assert batch_norm._suits_kernel(layer, nn.SiLU(), x)
    convert(layer)
    with torch.no_grad():
        assert not batch_norm._suits_kernel(layer, nn.SiLU(), x)
        assert batch_norm._suits_kernel(layer.eval(), nn.SiLU(), x)


cuda = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(16, 16, 320, 320), (16, 80, 80, 80), (16, 512, 20, 20), (2, 24, 1, 1)])
@pytest.mark.parametrize("marked", [pytest.param(None, marks=cuda)])
def test_it_is_torchs_on_a_gpu(shape: tuple[int, int, int, int], dtype: torch.dtype, marked: None) -> None:
    from lehr.kernels import batch_norm_silu as compiled

    x, slope = features(shape, device="cuda").to(dtype), features(shape, 1, device="cuda").to(dtype)
    layer = norm(shape[1], "cuda")
    again = copy.deepcopy(layer)
    compare(compiled, x, layer, slope, 1e-5 if dtype is torch.float32 else 4e-3)
    compare(compiled, x, again, slope, 1e-5 if dtype is torch.float32 else 4e-3)
    for one, two in zip(layer.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, two)
    assert layer.weight.grad is not None and again.weight.grad is not None
    assert torch.equal(layer.weight.grad, again.weight.grad)
