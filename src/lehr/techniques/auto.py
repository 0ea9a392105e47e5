"""Choice of `--optimizer auto`: optimizer, rate, momentum and images per optimizer step, by the length of the run.

The published rule counts iterations of 64 images, `ceil(images / max(batch, 64)) * epochs`: above 10,000 it takes SGD,
else AdamW. Lehr's own addition is for short runs: accumulating to 64 images would leave a run on few images a handful
of optimizer steps, so the nominal batch is halved until there are enough. From trained weights that know all classes,
the rate is reduced; from any trained weights, no biases start above it. A given value always wins.
"""

from __future__ import annotations

from dataclasses import dataclass

from lehr.config import SHAPES_LR0
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique

SGD_ITERATIONS = 10_000
"""Iterations above which `auto` takes SGD."""
NOMINAL_BATCH = 64
"""Batch size of the published values, and the least images of an iteration of the rule."""
MIN_UPDATES = 1_000
"""Optimizer steps that `auto` tries to give a run."""
TRAINED_LR0_MULT = 0.3
"""Multiple of its rate that `auto` takes if the run starts from trained weights that know all its classes."""
NEW_CLASSES_LR0_MULT = 3.0
"""Largest multiple of its rate that `auto` takes if trained weights know none of the classes."""
NEW_CLASSES_UPDATES = 200
"""Optimizer steps from which random classes on trained weights have enough time at the usual rate."""
ADAM_FAMILY = ("Adam", "AdamW", "NAdam", "RAdam")


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """An optimizer with its values.

    Attributes:
        name: SGD, Adam, AdamW, RMSProp, NAdam or RAdam.
        lr0: learning rate after the warmup.
        momentum: momentum, or beta1 of the Adam family.
        warmup_bias_lr: the biases' rate at the start of the warmup.
        nominal_batch: images per optimizer step.
        start_mult: factor on the random-start rate because of trained weights; 1 if lr0 was given.
    """

    name: str
    lr0: float
    momentum: float
    warmup_bias_lr: float
    nominal_batch: int = NOMINAL_BATCH
    start_mult: float = 1.0


def choose_optimizer(
    name: str,
    *,
    classes: int,
    images: int,
    epochs: int,
    batch: int = 16,
    lr0: float | None = None,
    lr0_mult: float | None = None,
    momentum: float | None = None,
    warmup_bias_lr: float | None = None,
    nominal_batch: int | None = None,
    trained: bool = False,
    known: float = 1.0,
) -> OptimizerChoice:
    """Resolve `auto`, and fill in missing values.

    `auto` takes SGD (0.01, momentum 0.9) above 10,000 `published_iterations`, else AdamW with rate
    `0.002 * 5 / (4 + classes)`. The Adam family's steps do not grow with the gradient, so its biases start at rate 0
    instead of SGD's 0.1. From trained weights `auto` takes `start_lr0_mult` times its rate, and no
    biases start above the others.

    Args:
        name: auto, or an optimizer.
        classes: number of classes.
        images: images of the training split.
        epochs: epochs of the run.
        batch: images per batch.
        lr0: given rate, or None.
        lr0_mult: multiple of the rate if none is given; None for that of the start.
        momentum: given momentum, or None.
        warmup_bias_lr: given rate, or None.
        nominal_batch: given images per optimizer step, or None.
        trained: the run starts from trained weights.
        known: share of its classes that start from those, 0 to 1.
    """
    default_momentum, default_nominal, start_mult = 0.937, NOMINAL_BATCH, 1.0
    if name == "auto":
        batches = -(-images // batch) * epochs
        default_momentum, default_nominal = 0.9, nominal_batch_for(batches, batch)
        if trained and lr0 is None and lr0_mult is None:
            updates = steps_with(batches, batch, max(batch, nominal_batch or default_nominal))
            start_mult = start_lr0_mult(known, updates)
        name = "SGD" if published_iterations(images, batch, epochs) > SGD_ITERATIONS else "AdamW"
    default_lr0 = default_rate(name, classes) * (start_mult if lr0_mult is None else lr0_mult)
    default_bias = 0.1 if name == "SGD" and not trained else 0.0
    return OptimizerChoice(
        name,
        default_lr0 if lr0 is None else lr0,
        default_momentum if momentum is None else momentum,
        default_bias if warmup_bias_lr is None else warmup_bias_lr,
        default_nominal if nominal_batch is None else nominal_batch,
        start_mult,
    )


def start_lr0_mult(known: float, updates: float) -> float:
    """Multiple of its rate that `auto` takes for trained weights.

    All classes known: 0.3, so that the knowledge of the weights is kept. Some: 1. None: `200 / updates`, at least 1 and
    at most 3. AdamW moves a weight by at most the rate per step, and class layers that start from random values have as
    far to go in a short run. The values were chosen by experiment (docs/fine-tuning.md).

    Args:
        known: share of the classes that start from the weights, 0 to 1.
        updates: optimizer steps of the run.
    """
    if known:
        return TRAINED_LR0_MULT if known == 1 else 1.0
    return min(NEW_CLASSES_LR0_MULT, max(1.0, NEW_CLASSES_UPDATES / max(updates, 1.0)))


def published_iterations(images: int, batch: int, epochs: int) -> int:
    """Iterations by which `auto` chooses: `ceil(images / max(batch, 64)) * epochs`.

    The 64 stays whatever `--nominal-batch` says, so that switching accumulation keeps the optimizer.

    Args:
        images: images of the training split.
        batch: images per batch.
        epochs: epochs of the run.
    """
    return -(-images // max(batch, NOMINAL_BATCH)) * epochs


def default_rate(name: str, classes: int) -> float:
    """The default learning rate of an optimizer.

    SGD's steps grow with the gradient: 0.01. Those of the Adam family do not: `0.002 * 5 / (4 + classes)`. RMSProp's do
    not either, and its momentum adds up many of them: a tenth of that.

    Args:
        name: the optimizer.
        classes: number of classes.
    """
    if name == "SGD":
        return 0.01
    rate = 0.002 * 5 / (4 + classes)
    return round(rate if name in ADAM_FAMILY else rate / 10, 6)


def steps_with(batches: int, batch: int, nominal: int) -> float:
    """Optimizer steps of a run with a nominal batch: `batches * batch / nominal`.

    Args:
        batches: batches of the whole run.
        batch: images per batch.
        nominal: images per optimizer step.
    """
    return batches * batch / nominal


def nominal_batch_for(batches: int, batch: int) -> int:
    """Images per optimizer step: 64, halved while the run would make fewer than 1,000 of them; never below a batch.

    This rule for short runs is Lehr's own; the published trainers accumulate to 64 in every run.

    Args:
        batches: batches of the whole run.
        batch: images per batch.
    """
    nominal = NOMINAL_BATCH
    while nominal > batch and steps_with(batches, batch, nominal) < MIN_UPDATES:
        nominal //= 2
    return max(nominal, min(batch, NOMINAL_BATCH))


def _without_effect(run: Run) -> dict[str, NoEffect]:
    options, shapes = run.config.schedule, run.config.data.data == "shapes" and run.config.schedule.optimizer == "auto"
    if options.lr0 is None or (shapes and options.lr0 == SHAPES_LR0 * (options.lr0_mult or 1.0)):
        return {}
    return {"lr0_mult": NoEffect(f"--lr0 is {options.lr0:g}")}


def _state(run: Run) -> State:
    choice, asked = run.plan.optimizer, run.config.schedule.optimizer
    why = "named"
    if asked == "auto":
        iterations = published_iterations(run.images, run.plan.batch, run.plan.epochs)
        bound = f"{'above' if iterations > SGD_ITERATIONS else 'not above'} {SGD_ITERATIONS:,}"
        why = f"chosen for {iterations:,} iterations of {max(run.plan.batch, NOMINAL_BATCH)} images, {bound}"
        if choice.start_mult != 1:
            known = "all classes" if run.plan.knows_classes else "none of the classes, and the run is short"
            why += f", and {choice.start_mult:.3g} times its rate since its weights know {known}"
    values = f"lr0 {choice.lr0:g}, momentum {choice.momentum:g}, weight decay {run.plan.weight_decay:g}"
    return State(True, f"{choice.name}, {values}; {why}")


TECHNIQUE = Technique(
    name="optimizer",
    page="optimizers",
    section=Section.COURSE,
    order=10,
    options=("optimizer", "lr0", "lr0_mult", "momentum", "weight_decay"),
    without_effect=_without_effect,
    why="steps that suit the length of the run; only weights decay",
    state=_state,
    switches=(Switch("weight_decay", {"weight_decay": 5e-4}, {"weight_decay": 0.0}),),
    code=("techniques/optimizer.py",),
)
