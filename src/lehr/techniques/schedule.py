"""Learning-rate schedules: the course of the rate over the run, as a multiple of lr0.

Each is a pure function of the epoch, so that it can be plotted, tested and resumed without bookkeeping, and torch's
`LambdaLR` can carry it: `LambdaLR(optimizer, partial(cosine, epochs=300, lrf=0.01))`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from lehr.options import ScheduleOptions
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique

Schedule = Callable[[float], float]
"""Function from the epoch to the multiple of lr0."""
USUAL_PERIOD = 10.0
"""Default length, in epochs, that the first cycle of `restarts` is fitted to."""
ROUNDING = 1e-6
"""Epochs within which two ends are the same."""


def linear(epoch: float, epochs: float, lrf: float) -> float:
    """A straight line from 1 at the start to `lrf` at the end: `(1 - x/E)(1 - lrf) + lrf`.

    Args:
        epoch: x, 0 to `epochs`.
        epochs: E, the length of the run.
        lrf: the last multiple, 0 to 1.
    """
    return (1 - epoch / epochs) * (1 - lrf) + lrf


def cosine(epoch: float, epochs: float, lrf: float) -> float:
    """One half wave from 1 to `lrf`: `(1 - cos(pi x/E))/2 (lrf - 1) + 1` (He et al., "Bag of Tricks", 2019).

    Args:
        epoch: x, 0 to `epochs`.
        epochs: E, the length of the run.
        lrf: the last multiple, 0 to 1.
    """
    return (1 - math.cos(math.pi * epoch / epochs)) / 2 * (lrf - 1) + 1


def restarts(epoch: float, lrf: float, period: float, factor: float = 2.0) -> float:
    """Cosine annealing with warm restarts: `lrf + (1 - lrf)(1 + cos(pi t/T))/2` (Loshchilov & Hutter, "SGDR", 2017).

    Each course falls from 1 to `lrf`; then the rate jumps back to 1 and the next course is `factor` times longer.

    Args:
        epoch: x, 0 or more; t is its part in the current cycle of length T.
        lrf: the lowest multiple, 0 to 1.
        period: length of the first course, epochs, above 0.
        factor: how many times longer each further course is, 1 or more.
    """
    since, length = epoch, period
    if factor == 1:
        since %= period
    while since >= length:
        since -= length
        length *= factor
    return lrf + (1 - lrf) * (1 + math.cos(math.pi * since / length)) / 2


def fitted_period(epochs: float, factor: float = 2.0) -> float:
    """Length of the first course of `restarts` with which the last one ends with the run: `E / (1 + F + F^2 + ...)`.

    Of the numbers of courses, two or more, the one whose first course is nearest to 10 epochs, as a ratio, is taken. A
    run that is too short for two courses of an epoch or more gets one.

    Args:
        epochs: E, length of the run.
        factor: F, how many times longer each further course is, 1 or more.
    """
    periods: list[float] = []
    sizes = length = 1.0
    while not periods or epochs / sizes >= 1:
        periods.append(epochs / sizes)
        length *= factor
        sizes += length
    return min(periods[1:] or periods, key=lambda period: abs(math.log(period / USUAL_PERIOD)))


def course_ends_around(epochs: float, period: float, factor: float) -> tuple[float, float]:
    """Epochs of the last end of a course of `restarts` within the run, 0 if there is none, and of the next one.

    Args:
        epochs: length of the run.
        period: length of the first course, epochs.
        factor: how many times longer each further course is.
    """
    if factor == 1:
        whole = math.floor((epochs + ROUNDING) / period)
        return whole * period, (whole + 1) * period
    before, after, length = 0.0, period, period
    while after <= epochs + ROUNDING:
        length *= factor
        before, after = after, after + length
    return before, after


def exponential(epoch: float, epochs: float, lrf: float) -> float:
    """The same factor each epoch: `lrf^(x/E)`, a straight line on a logarithmic scale.

    Args:
        epoch: x, 0 to `epochs`.
        epochs: E, the length of the run.
        lrf: the last multiple, above 0, to 1.
    """
    return math.pow(lrf, epoch / epochs)


def constant(epoch: float) -> float:
    """Always 1: lr0 from the first epoch to the last."""
    return 1.0


def build_schedule(options: ScheduleOptions, epochs: int) -> Schedule:
    """Build the schedule that the options name, as a function of the epoch alone.

    Args:
        options: --lr-schedule and its values; --cos-lr is the familiar name of one.
        epochs: length of the run.
    """
    period = _period(options, epochs)
    courses: dict[str, Schedule] = {
        "linear": partial(linear, epochs=epochs, lrf=options.lrf),
        "cosine": partial(cosine, epochs=epochs, lrf=options.lrf),
        "restarts": partial(restarts, lrf=options.lrf, period=period, factor=options.restart_factor),
        "exponential": partial(exponential, epochs=epochs, lrf=options.lrf),
        "constant": constant,
    }
    return courses[schedule_name(options)]


def schedule_name(options: ScheduleOptions) -> str:
    """Name of the schedule that the options choose."""
    return options.lr_schedule or ("cosine" if options.cos_lr else "linear")


def _period(options: ScheduleOptions, epochs: int) -> float:
    """Length of the first course of `restarts`, epochs."""
    return options.restart_epochs or fitted_period(epochs, options.restart_factor)


def describe_misfit(options: ScheduleOptions, epochs: int) -> str | None:
    """Describe that the courses of `restarts` do not end with the run, and what would fit; None if they do.

    Args:
        options: the schedule and its values.
        epochs: length of the run.
    """
    if schedule_name(options) != "restarts" or options.restart_epochs is None:
        return None
    ends = course_ends_around(epochs, options.restart_epochs, options.restart_factor)
    if any(abs(end - epochs) < 1 for end in ends):
        return None
    fitting = " or ".join(str(math.ceil(end - ROUNDING)) for end in ends if end > 0)
    last = build_schedule(options, epochs)(epochs - 1)
    return (
        f"--lr-schedule restarts: the run ends within a course, at {last:.2g} of lr0. Courses of --restart-epochs "
        f"{options.restart_epochs:g} and --restart-factor {options.restart_factor:g} end with --epochs {fitting}; "
        "without --restart-epochs they are fitted to the run."
    )


def course(options: ScheduleOptions, epochs: int) -> tuple[float, ...]:
    """Compute the multiples of lr0 of all epochs of a run, to 9 digits."""
    schedule = build_schedule(options, epochs)
    return tuple(round(schedule(epoch), 9) for epoch in range(epochs))


def _without_effect(run: Run) -> dict[str, NoEffect]:
    options, epochs, name = run.config.schedule, run.plan.epochs, schedule_name(run.config.schedule)

    def changes(**given: object) -> bool:
        return course(options.model_copy(update=given), epochs) != course(options, epochs)

    found = {}
    if epochs == 1 or options.lrf == 1:
        why = "the run has one epoch, and rates change between epochs" if epochs == 1 else "--lrf is 1"
        found = dict.fromkeys(("lr_schedule", "cos_lr", "restart_epochs", "restart_factor"), NoEffect(why))
    elif name != "restarts":
        found = dict.fromkeys(("restart_epochs", "restart_factor"), NoEffect(f"--lr-schedule is {name}"))
    elif options.restart_epochs is not None and not changes(restart_factor=options.restart_factor + 1):
        found["restart_factor"] = NoEffect(f"there is no second restart within {epochs} epochs")
    if options.lr_schedule is not None:
        found["cos_lr"] = NoEffect(f"--lr-schedule is {options.lr_schedule}")
    if not changes(lrf=0.5 if options.lrf > 0.75 else 1.0):
        length = "" if name == "constant" else f" in {epochs} epochs" if epochs > 1 else " in one epoch"
        found["lrf"] = NoEffect(f"--lr-schedule {name} stays at lr0{length}")
    return found


def _state(run: Run) -> State:
    options, lr0, epochs = run.config.schedule, run.plan.optimizer.lr0, run.plan.epochs
    name = schedule_name(options)
    value = f"{name}, from {lr0:g} to {lr0 * options.lrf:g}"
    if name == "restarts":
        value += (
            f", a first course of {_period(options, epochs):.3g} epochs, each further {options.restart_factor:g} times"
        )
    return State(name != "constant", value)


TECHNIQUE = Technique(
    name="schedule",
    page="schedules",
    section=Section.COURSE,
    order=20,
    options=("lr_schedule", "cos_lr", "lrf", "restart_epochs", "restart_factor"),
    without_effect=_without_effect,
    why="large steps first, small ones to settle",
    state=_state,
    switches=(
        Switch("schedule", {"lr_schedule": "linear"}, {"lr_schedule": "constant"}, in_all=False),
        Switch("cos_lr", {"lr_schedule": "cosine"}, {"lr_schedule": "linear"}, one_of_several=True),
    ),
)
