"""Images normalized by one kernel: each level as torch has it, in the same memory format."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from tests.kernels.interpreted import interpreted

from lehr.data import batch
from lehr.data.batch import Batch


@pytest.fixture(scope="module")
def kernel() -> Iterator[ModuleType]:
    with interpreted("normalize") as module:
        yield module


def levels() -> torch.Tensor:
    """All of them, and more than a block."""
    return torch.arange(3 * 40 * 48).remainder(256).to(torch.uint8).reshape(1, 3, 40, 48)


def test_every_level_is_its_share_of_the_highest(kernel: ModuleType) -> None:
    assert levels().numel() % kernel.BLOCK
    images = levels().contiguous(memory_format=torch.channels_last)
    shares = kernel.normalize(images, torch.float32)
    assert shares.stride() == images.stride()
    # By the reciprocal, as on CUDA; a CPU divides.
    assert torch.equal(shares, images.to(torch.float32) * (1 / 255))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_shares_are_rounded_to_the_type_of_the_model(kernel: ModuleType, dtype: torch.dtype) -> None:
    torch.testing.assert_close(
        kernel.normalize(levels(), dtype), (levels() / 255).to(dtype), rtol=torch.finfo(dtype).eps, atol=0
    )


def test_images_with_gaps_between_and_none_at_all(kernel: ModuleType) -> None:
    gaps = levels()[:, :, ::2, 5:]
    assert torch.equal(kernel.normalize(gaps, torch.float32), gaps.to(torch.float32) * (1 / 255))
    assert kernel.normalize(levels()[:0], torch.bfloat16).shape == (0, 3, 40, 48)


def test_a_batch_is_normalized_by_it_where_kernels_work(kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "usable", lambda device: True)
    monkeypatch.setattr(kernel, "UNIT", type(kernel.UNIT)(2.0))  # to see that it is this one
    empty = torch.zeros(0)
    assert float(Batch(levels(), empty, empty, empty, empty).normalized().max()) == 510
