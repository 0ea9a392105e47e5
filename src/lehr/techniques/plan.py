"""Training plan of a run: learning rates, momentum and accumulation of any step, as a pure function of the step."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

from lehr.errors import InputError
from lehr.options import ScheduleOptions
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.counted import counted
from lehr.techniques.accumulation import accumulation, scaled_weight_decay
from lehr.techniques.auto import OptimizerChoice, choose_optimizer
from lehr.techniques.ema_decay import PUBLISHED_TAU, resolve_tau
from lehr.techniques.replay import Replay
from lehr.techniques.schedule import Schedule, build_schedule, describe_misfit
from lehr.techniques.warmup import (
    constant_warmup,
    cosine_warmup,
    first_epoch_steps,
    first_epoch_warmup,
    linear_warmup,
    ramp,
    warmup_steps,
)

WARMUP_EPOCHS = 3.0
"""Default length of a warmup in epochs, at least `warmup.MIN_STEPS` steps."""
TRAINED_WARMUP_EPOCHS = 1.0
"""The same for a start from trained weights that know all its classes, with no minimum of steps."""
LONGEST_WARMUP = 1 / 3
"""Maximum share of the run for a warmup of default length."""
NEW_CLASSES_STEPS, NEW_CLASSES_SHARE = 22, 2 / 3
"""Steps that it may still take, up to a share of the run, if trained weights know none of the classes."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates, momentum and accumulation of one step.

    Attributes:
        lr_weights: learning rate of the weights.
        lr_norms: learning rate of the norms.
        lr_biases: learning rate of the biases.
        momentum: momentum, or beta1 of the Adam family.
        accumulate: batches per optimizer step.
        backbone: multiple of the three rates for the backbone's layers.
    """

    lr_weights: float
    lr_norms: float
    lr_biases: float
    momentum: float
    accumulate: int
    backbone: float = 1.0

    @property
    def lr(self) -> tuple[float, float, float]:
        """The three rates in the order of the optimizer's groups."""
        return self.lr_weights, self.lr_norms, self.lr_biases

    def by_group(self, scale: float = 1.0) -> dict[str, float]:
        """Return the rates by the name of their group, times a factor; the backbone's only where it has its own."""
        rates = {"weights": self.lr_weights, "norms": self.lr_norms, "biases": self.lr_biases}
        if self.backbone != 1:
            rates["backbone"] = self.lr_weights * self.backbone
        return {name: rate * scale for name, rate in rates.items()}


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Schedule and warmup of a run.

    Attributes:
        options: the options of the schedule.
        optimizer: the optimizer's values.
        epochs: epochs of the run.
        batches: batches per epoch.
        batch: images per batch.
        warmup: length of the warmup, steps.
        schedule: maps an epoch to the multiple of lr0.
        ema_tau: updates over which the decay of the average of the weights rises.
        knows_classes: whether the run starts from trained weights that know all its classes.
    """

    options: ScheduleOptions
    optimizer: OptimizerChoice
    epochs: int
    batches: int
    batch: int
    warmup: int
    schedule: Schedule
    ema_tau: float = PUBLISHED_TAU
    knows_classes: bool = False

    @property
    def steps(self) -> int:
        """Steps of the whole run: batches."""
        return self.epochs * self.batches

    @property
    def weight_decay(self) -> float:
        """Decay of the weights, for the actual number of images per optimizer step."""
        return scaled_weight_decay(self.options.weight_decay, self.batch, self.optimizer.nominal_batch)

    @property
    def accumulate(self) -> int:
        """Batches per optimizer step, after the warmup."""
        return accumulation(self.batch, self.optimizer.nominal_batch)

    @property
    def updates(self) -> int:
        """Optimizer steps of the whole run; leftover batches at its end make none."""
        done, last = 0, -1
        varying = max(self.warmup, self.batches if self.options.warmup == "first-epoch" else 0)
        for step in range(min(varying, self.steps)):
            if step - last >= self.at(step).accumulate:
                done, last = done + 1, step
        return done + max(0, self.steps - 1 - last) // self.accumulate

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user before the run starts, one line each."""
        misfit = describe_misfit(self.options, self.epochs)
        lines = [] if misfit is None else [misfit]
        unset = []
        if self.optimizer.start_mult != 1:
            unset.append(f"{self.optimizer.start_mult:.3g} times the rate of a random start (--lr0-mult)")
        if self.options.warmup not in ("none", "first-epoch") and self.options.warmup_epochs is None:
            unset.append(f"a warmup of {counted(self.warmup, 'step')} (--warmup-epochs)")
        if self.knows_classes and unset:
            lines.append(f"The starting weights know all classes, so the run has {' and '.join(unset)}.")
        elif self.optimizer.start_mult != 1:
            lines.append(f"The starting weights know none of the classes and the run is short, so it has {unset[0]}.")
        if self.updates == 0:
            step, nominal = f"{self.accumulate} batches", self.optimizer.nominal_batch
            lines.append(
                f"Nothing is learned: an optimizer step takes {step} (--nominal-batch {nominal}), and it has "
                f"{self.steps}. Use a smaller --nominal-batch or more --epochs."
            )
        return tuple(lines)

    def at(self, step: int) -> Rates:
        """Rates, momentum and accumulation of a step, counted over the whole run from 0."""
        choice, steps, backbone = self.optimizer, self.warmup, self.options.backbone_lr_mult
        scheduled = choice.lr0 * self.schedule(step // self.batches)
        nominal = self.accumulate
        if self.options.warmup == "gradual" and step < steps:
            rising = ramp(step, steps, 0.0, scheduled)
            falling = ramp(step, steps, choice.warmup_bias_lr, scheduled)
            momentum = ramp(step, steps, self.options.warmup_momentum, choice.momentum)
            accumulate = max(1, round(ramp(step, steps, 1.0, choice.nominal_batch / self.batch)))
            return Rates(rising, rising, falling, momentum, accumulate, backbone)
        rate = scheduled * self._multiplier(step)
        if self.options.warmup == "first-epoch" and step < self.batches:
            nominal = 1
        return Rates(rate, rate, rate, choice.momentum, nominal, backbone)

    def table(self, rows: int = 12) -> str:
        """Describe the plan for people: some steps, including the first, the end of the warmup and the last.

        Steps count from 0, epochs from 1, as on the console.

        Args:
            rows: approximate number of lines.
        """
        even = {round(i * (self.steps - 1) / max(1, rows - 1)) for i in range(rows)}
        groups = self.at(0).by_group()
        lines = [
            f"{'step':>8} {'epoch':>6} {' '.join(f'{name:>10}' for name in groups)} {'momentum':>8} {'accumulate':>10}"
        ]
        for step in sorted(even | {min(self.warmup, self.steps - 1)}):
            r = self.at(step)
            rates = " ".join(f"{rate:>10.3g}" for rate in r.by_group().values())
            lines.append(f"{step:>8} {step // self.batches + 1:>6} {rates} {r.momentum:>8.4f} {r.accumulate:>10}")
        return "\n".join(lines)

    def _multiplier(self, step: int) -> float:
        match self.options.warmup:
            case "constant":
                return constant_warmup(step, self.warmup)
            case "linear":
                return linear_warmup(step, self.warmup, self.steps)
            case "cosine":
                return cosine_warmup(step, self.warmup, self.steps)
            case "first-epoch":
                return first_epoch_warmup(step, self.warmup)
            case _:
                return 1.0


def plan_training(
    options: ScheduleOptions,
    *,
    epochs: int,
    images: int,
    batch: int,
    classes: int,
    trained: bool = False,
    known: float = 1.0,
    replay: float = 0.0,
) -> TrainingPlan:
    """Compute the plan of a run on a data set.

    Args:
        options: the options of the schedule.
        epochs: epochs of the run.
        images: images of the training split.
        batch: images per batch, as requested.
        classes: number of classes.
        trained: the run starts from trained weights.
        known: share of its classes that start from those, 0 to 1.
        replay: share of each batch that are images of an older data set.

    Raises:
        InputError: the warmup is longer than the run, or a batch has no room for an older image.
    """
    replayed = Replay(images, batch, replay)
    batches, images = replayed.batches, replayed.images
    batch = min(batch, images)
    choice = choose_optimizer(
        options.optimizer,
        classes=classes,
        images=images,
        epochs=epochs,
        batch=batch,
        lr0=options.lr0,
        lr0_mult=options.lr0_mult,
        momentum=options.momentum,
        warmup_bias_lr=options.warmup_bias_lr,
        nominal_batch=options.nominal_batch,
        trained=trained,
        known=known,
    )
    knows = trained and known == 1
    warmup = _warmup(options, batches, epochs, knows, anew=trained and not known)
    schedule = build_schedule(options, epochs)
    plan = TrainingPlan(options, choice, epochs, batches, batch, warmup, schedule, knows_classes=knows)
    return replace(plan, ema_tau=resolve_tau(options.ema_tau, plan.updates))


def _warmup(options: ScheduleOptions, batches: int, epochs: int, known: bool = False, anew: bool = False) -> int:
    """Steps of the warmup.

    Raises:
        InputError: it was given, and is longer than the run.
    """
    total = batches * epochs
    if options.warmup == "none":
        return 0
    if options.warmup == "first-epoch":
        return first_epoch_steps(batches)
    if options.warmup_epochs is None:
        usual = round(TRAINED_WARMUP_EPOCHS * batches) if known else warmup_steps(WARMUP_EPOCHS, batches)
        longest = round(total * LONGEST_WARMUP)
        if anew:
            longest = max(longest, min(NEW_CLASSES_STEPS, round(total * NEW_CLASSES_SHARE)))
        return min(usual, longest)
    steps = warmup_steps(options.warmup_epochs, batches)
    if steps > total:
        raise InputError(
            f"The warmup is longer than the run: --warmup-epochs {options.warmup_epochs:g} makes {steps} steps (never "
            f"fewer than 100), and {counted(epochs, 'epoch')} of {counted(batches, 'batch')} are {total}. Use "
            f"more --epochs, a shorter "
            "--warmup-epochs, or --warmup none."
        )
    return steps


COLUMNS = ("step", "epoch", "lr_weights", "lr_norms", "lr_biases", "momentum", "accumulate")
"""Columns of `write_csv`; with a separate rate of the backbone, `lr_backbone` comes after the three."""


def write_csv(plan: TrainingPlan, path: Path) -> None:
    """Write one row per step: step (from 0), epoch (from 1), the rates, momentum and accumulation; atomically.

    Raises:
        InputError: the file cannot be written.
    """
    groups = [f"lr_{name}" for name in plan.at(0).by_group()]
    with (
        atomic_file(path, "Choose another --csv file.") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS[:2], *groups, *COLUMNS[-2:]))
        for step in range(plan.steps):
            r = plan.at(step)
            writer.writerow(
                (step, step // plan.batches + 1, *map(repr, (*r.by_group().values(), r.momentum)), r.accumulate)
            )
