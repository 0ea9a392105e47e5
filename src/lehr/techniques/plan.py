"""The course of a run: learning rates, momentum and accumulation of any step, as a pure function of the step."""

from __future__ import annotations

from dataclasses import dataclass

from lehr.config import ScheduleOptions
from lehr.techniques.accumulation import accumulation
from lehr.techniques.optimizer import OptimizerChoice
from lehr.techniques.schedule import cosine, linear
from lehr.techniques.warmup import ramp, warmup_steps


@dataclass(frozen=True, slots=True)
class Rates:
    """What holds at one step.

    Attributes:
        lr_weights: learning rate of the weights.
        lr_norms: learning rate of the norms.
        lr_biases: learning rate of the biases.
        momentum: momentum, or AdamW's beta1.
        accumulate: batches an optimizer step.
    """

    lr_weights: float
    lr_norms: float
    lr_biases: float
    momentum: float
    accumulate: int

    @property
    def lr(self) -> tuple[float, float, float]:
        """The three rates in the order of the optimizer's groups."""
        return self.lr_weights, self.lr_norms, self.lr_biases


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Schedule and warmup of a run.

    Attributes:
        options: the options of the schedule.
        optimizer: the optimizer's values.
        epochs: epochs of the run.
        batches: batches an epoch.
        batch: images a batch.
    """

    options: ScheduleOptions
    optimizer: OptimizerChoice
    epochs: int
    batches: int
    batch: int

    @property
    def warmup(self) -> int:
        """Steps that the warmup lasts."""
        return warmup_steps(self.options.warmup_epochs, self.batches)

    def at(self, step: int) -> Rates:
        """Rates, momentum and accumulation of a step, counted over the whole run from 0."""
        course = cosine if self.options.cos_lr else linear
        scheduled = self.optimizer.lr0 * course(step // self.batches, self.epochs, self.options.lrf)
        steps = self.warmup
        rising = ramp(step, steps, 0.0, scheduled)
        falling = ramp(step, steps, self.optimizer.warmup_bias_lr, scheduled)
        momentum = ramp(step, steps, self.options.warmup_momentum, self.optimizer.momentum)
        nominal = accumulation(self.batch, self.options.nominal_batch)
        accumulate = max(1, round(ramp(step, steps, 1.0, self.options.nominal_batch / self.batch)))
        return Rates(rising, rising, falling, momentum, nominal if step >= steps else accumulate)
