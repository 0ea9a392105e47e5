"""Blocks compute what their names say; the totals of parameters alone would not notice."""

from __future__ import annotations

import pytest
import torch

from lehr.models.blocks import SPP, SPPF, Bottleneck, Conv
from lehr.models.scale import Scale


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(2, 8, 13, 11, generator=torch.Generator().manual_seed(0))


def test_batch_normalization_has_the_published_eps_and_momentum() -> None:
    norm = Conv(3, 8).bn
    assert (norm.eps, norm.momentum) == (1e-3, 0.03)


def test_a_bottleneck_adds_its_input_where_it_has_a_shortcut(features: torch.Tensor) -> None:
    block = Bottleneck(8, 8).eval()
    between = block.cv2(block.cv1(features))
    torch.testing.assert_close(block(features), features + between)
    for without in (Bottleneck(8, 8, shortcut=False), Bottleneck(8, 16)):
        without.eval()
        torch.testing.assert_close(without(features), without.cv2(without.cv1(features)))


def test_three_chained_pools_equal_pools_of_5_9_and_13(features: torch.Tensor) -> None:
    chained, beside = SPPF(8, 6).eval(), SPP(8, 6).eval()
    beside.load_state_dict(chained.state_dict())
    torch.testing.assert_close(chained(features), beside(features))


def test_channels_are_rounded_up_to_eights_and_repeats_to_the_nearest() -> None:
    wanted = {(64, 0.25): 16, (64, 0.3): 24, (64, 0.126): 16, (64, 0.01): 8, (1024, 0.5): 256}
    assert {(count, width): Scale(1.0, width, 512).channels(count) for count, width in wanted} == wanted
    assert [Scale(depth, 1.0).repeats(n) for n, depth in ((3, 0.33), (6, 0.33), (9, 0.67), (1, 0.1))] == [1, 2, 6, 1]
