"""Gradual warmup: in the first steps rates, momentum and accumulation move to their values along straight lines.

Weights and norms rise from 0, since fresh BatchNorm statistics and random weights give misleading gradients at first
(Goyal et al., "Accurate, Large Minibatch SGD", 2017). Biases fall from `warmup_bias_lr`, so that the head's biases
find the data's object frequency at once. Momentum rises from `warmup_momentum`; accumulation rises from 1.
"""

from __future__ import annotations

FEWEST_STEPS = 100


def warmup_steps(warmup_epochs: float, batches: int) -> int:
    """Steps that the warmup lasts: `max(round(warmup_epochs * batches), 100)`; 0 when it is off.

    Args:
        warmup_epochs: its length, epochs; 0 turns it off.
        batches: batches an epoch.
    """
    return max(round(warmup_epochs * batches), FEWEST_STEPS) if warmup_epochs > 0 else 0


def ramp(step: int, steps: int, start: float, end: float) -> float:
    """The value at a step on the line from `start` at step 0 to `end` at step `steps`, and `end` from there on."""
    if step >= steps:
        return end
    return start + (end - start) * step / steps
