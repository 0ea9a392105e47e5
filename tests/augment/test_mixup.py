"""Mixup's shares: of the Beta distribution that is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from tests.augment.canvases import world

from lehr.augment.mixup import mixup
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.config import build_config
from lehr.errors import InputError
from lehr.options import AugmentOptions
from lehr.rng import generator


def empty() -> Plan:
    return Plan((), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5, 32.0])
def test_shares_have_the_moments_of_the_distribution(beta: float) -> None:
    blends = [mixup(empty(), empty(), generator(0, "x", number), beta).blend for number in range(1000)]
    shares = np.array([blend[1] for blend in blends if blend is not None])
    variance = 1 / (4 * (2 * beta + 1))
    assert shares.mean() == pytest.approx(0.5, abs=4 * (variance / 1000) ** 0.5)
    assert shares.var() == pytest.approx(variance, rel=0.15)


def test_unset_the_shares_are_those_of_before_and_beta_changes_no_box() -> None:
    samples = world("noise").samples

    def plans(**options: float) -> list[Plan]:
        given = AugmentOptions(mixup=1, **options)
        return [plan_sample(samples, given, 96, seed=0, epoch=e, index=0, multi_image=True) for e in range(20)]

    for plain, same, spread in zip(plans(), plans(mixup_beta=32.0), plans(mixup_beta=1.5), strict=True):
        assert plain.blend is not None and spread.blend is not None
        assert repr(plain) == repr(same) and np.array_equal(plain.boxes, spread.boxes)
        assert plain.blend[1] != spread.blend[1]


@pytest.mark.parametrize("beta", [0, -1])
def test_a_parameter_without_a_distribution_is_refused(beta: float) -> None:
    with pytest.raises(InputError, match="--mixup-beta"):
        build_config({"mixup_beta": beta})
