"""Images resized by one kernel are those of torch's operations, but for the last bits of float32."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from tests.kernels.interpreted import interpreted

from lehr.data.batch import Batch
from lehr.kernels import support
from lehr.techniques import multi_scale
from lehr.techniques.multi_scale import model_input

SIZES = [((64, 96), 160), ((64, 96), 64), ((96, 64), 192), ((64, 64), 32), ((32, 96), 128)]


@pytest.fixture(scope="module")
def kernel() -> Iterator[ModuleType]:
    with interpreted("resize") as module:
        yield module


def batch_of(shape: tuple[int, int], count: int = 2, device: str = "cpu") -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, *shape), dtype=torch.uint8, generator=generator)
    images = images.to(device, memory_format=torch.channels_last)
    boxes = torch.tensor([[[3.0, 5.0, 40.0, 29.0]]], device=device).repeat(count, 1, 1)
    return Batch(images, boxes, torch.zeros(count, 1), torch.arange(count), torch.ones(count, 4))


@pytest.mark.parametrize(("shape", "size"), SIZES, ids=str)
def test_a_batch_is_what_it_is_by_torch(
    kernel: ModuleType, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], size: int
) -> None:
    batch = batch_of(shape)
    expected, boxes = model_input(batch, size)
    monkeypatch.setattr(multi_scale, "usable", lambda device: True)
    monkeypatch.setattr(multi_scale, "resized", lambda *_: pytest.fail("resized by torch's operations"))
    monkeypatch.setattr(kernel, "BLOCK", 4096)  # the interpreter takes as long for a program of many pixels as for few
    images, moved = model_input(batch, size)
    assert torch.equal(moved, boxes) and images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(images, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_images_come_in_the_type_of_the_model(kernel: ModuleType, dtype: torch.dtype) -> None:
    images = batch_of((64, 40)).images
    half, whole = (kernel.resize(images, 32, 32, each) for each in (dtype, torch.float32))
    assert half.dtype == dtype
    torch.testing.assert_close(half, whole.to(dtype), rtol=torch.finfo(dtype).eps, atol=0)


def test_images_of_the_size_already_are_not_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of((64, 96))
    monkeypatch.setattr(multi_scale, "resized", lambda *_: pytest.fail("resized"))
    images, boxes = model_input(batch, 96, torch.bfloat16)
    assert torch.equal(images, batch.normalized(torch.bfloat16)) and boxes is batch.boxes


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("size", [320, 608, 672, 960])
def test_a_batch_on_a_gpu_is_what_it_is_by_torch(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of((640, 640), 16, "cuda")
    assert support.usable(batch.images.device)
    torch.cuda.synchronize()
    model_input(batch, size)
    torch.cuda.set_sync_debug_mode("error")
    try:
        images, boxes = model_input(batch, size)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    monkeypatch.setattr(multi_scale, "usable", lambda device: False)
    expected, moved = model_input(batch, size)
    assert torch.equal(boxes, moved)
    torch.testing.assert_close(images, expected, rtol=0, atol=2e-6)
