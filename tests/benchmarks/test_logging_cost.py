"""The comparison of epochs with and without loggers."""

from __future__ import annotations

import pytest
from benchmarks.logging_cost import PATTERN, slower


@pytest.mark.parametrize("percent", [0.0, 5.0, -3.0])
def test_the_cost_is_found_under_a_machine_that_becomes_slower(percent: float) -> None:
    turns = range(10)
    times = [
        (on, (10 + 0.1 * (len(PATTERN) * turn + place)) * (1 + percent / 100 * on))
        for turn in turns
        for place, on in enumerate(PATTERN)
    ]
    found, low, high = slower(times)
    assert found == pytest.approx(percent, abs=1e-9) and low <= found <= high


def test_one_slow_epoch_widens_the_interval_and_moves_the_median_little() -> None:
    times = [(on, 1.0) for _ in range(10) for on in PATTERN]
    times[5] = (True, 9.0)
    found, low, high = slower(times)
    assert found == low == 0.0 and high >= 0.0
