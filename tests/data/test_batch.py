"""Images of a batch as a model takes them."""

from __future__ import annotations

import pytest
import torch

from lehr.data.batch import Batch

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda, on_a_gpu])])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_every_level_is_rounded_as_its_quotient_in_float32(device: str, dtype: torch.dtype) -> None:
    levels = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 3, 16, 16)
    images = levels.to(device, memory_format=torch.channels_last)
    empty = torch.zeros(0)
    normalized = Batch(images, empty, empty, empty, empty).normalized(dtype)
    assert normalized.dtype == dtype and normalized.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(normalized, images.to(torch.float32).div_(255).to(dtype))
