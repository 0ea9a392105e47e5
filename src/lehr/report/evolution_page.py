"""The page of a search for better hyperparameters: what was found, how sure that is, and how to use it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lehr.plots.scales import percent
from lehr.plots.study import (
    best_of,
    finished,
    plot_courses,
    plot_fitness,
    plot_importances,
    plot_parallel,
    plot_parameters,
)
from lehr.report.numbers import NOTHING, changed, measured, value_text
from lehr.report.page import Page
from lehr.report.pieces import Cell, Column, Command, Figure, Mark, Section, Table, number_cell
from lehr.runtime.atomic_write import make_inner_folder
from lehr.runtime.counted import counted
from lehr.search.records import Record, State, Value

if TYPE_CHECKING:
    from lehr.search.space import Parameter, Space

NEAR_BOUND = 0.02
"""A best value this share of the range from a bound is said to be at it."""
STATES: tuple[State, ...] = ("finished", "pruned", "diverged", "failed", "running", "waiting")
FIGURES = {
    "fitness": (
        "Fitness over the trials",
        "A mark per trial by its state, the best fitness so far as a stepped line, the first trial's as a dashed line.",
        "Hollow marks at the lower edge lie below the axis; trials without a result are there too.",
    ),
    "courses": ("Fitness over the epochs", "A line per trial; lines of pruned trials end early, with a mark.", ""),
    "parameters": (
        "Each parameter against fitness",
        "A panel per parameter with a dot per finished trial: its value on the x-axis, its fitness on the y-axis.",
        "The plus sign is the best trial, the dashed line the value at the start.",
    ),
    "importances": (
        "Which parameters mattered",
        "A bar per parameter: its share of the total importance.",
        "How much the distribution of a parameter among the best trials differs from that among all (PED-ANOVA). With "
        "few trials and many parameters this is a hint, not a finding.",
    ),
    "parallel": (
        "All parameters at once",
        "A line per finished trial across all parameters, from the lowest value tried to the highest.",
        "Darker lines (on a dark page, lighter ones) are fitter; the thick one with plus signs is the best.",
    ),
}
"""Title, description and caption of each plot."""
LUCK = (
    "Each trial is one run, and another seed gives another fitness for the same values. The best of many trials is "
    "partly the luckiest: train the best and the current values with a few seeds each before you rely on a small "
    "difference."
)


def draw_evolution(
    records: Sequence[Record], folder: Path, importance: Mapping[str, float], start: Mapping[str, Value]
) -> tuple[Figure, ...]:
    """Draw all plots of a search as SVG files.

    Args:
        records: the trials.
        folder: where the files go; made if it is not there.
        importance: shares of 1, by parameter; empty if not known.
        start: the values that the search began with.

    Raises:
        InputError: matplotlib is missing, or a file cannot be written.
    """
    make_inner_folder(folder)
    files = {name: folder / f"{name}.svg" for name in FIGURES}
    plot_fitness(records, files["fitness"])
    plot_courses(records, files["courses"])
    plot_parameters(records, files["parameters"], start)
    plot_importances(importance, files["importances"])
    plot_parallel(records, files["parallel"])
    return tuple(Figure(title, files[name], alt, caption) for name, (title, alt, caption) in FIGURES.items())


def evolution_page(
    title: str,
    records: Sequence[Record],
    space: Space,
    *,
    epochs: int,
    importance: Mapping[str, float],
    figures: Sequence[Figure] = (),
    command: str | None = None,
) -> Page:
    """Build the page of a search.

    Args:
        title: the study's name.
        records: its trials, those too that wait.
        space: what it varies, and from where it started.
        epochs: of a whole trial.
        importance: shares of 1, by parameter; empty if not known.
        figures: the plots, e.g. those of `draw_evolution`.
        command: trains with the best values; None if there are none yet.
    """
    result: list[Table | Command] = []
    if command is not None and best_of(records) is not None:
        caption = "Trains with the best values; --epochs is up to you."
        result.append(Command("Use the result", command, caption))
    result.append(_values_table(records, space, importance))
    sections = [
        Section("result", "Result", result),
        *([Section("plots", "Plots", figures)] if figures else []),
        Section("trials", "Trials", [_trials_table(records)]),
    ]
    notes = [*space.notes, *([LUCK] if len(finished(records)) > 1 else [])]
    return Page(title, "lehr evolve", _answers(records), _summary(records, epochs), notes, sections)


def _answers(records: Sequence[Record]) -> list[str]:
    """The result, in words."""
    best = best_of(records)
    if best is None or best.fitness is None:
        return ["No trial has finished yet, so there is nothing to choose from."]
    first = next((record for record in finished(records) if record.slot == 0), None)
    if first is None or first.fitness is None:
        return [
            f"Trial {best.slot} is the best: fitness {best.fitness:.3f}. Trial 0, which has the current values, has "
            "not finished, so there is nothing to compare it with."
        ]
    if best.slot == first.slot:
        others = len(finished(records)) - 1
        rest = f"none of the {counted(others, 'other finished trial')} is better" if others else "no other has finished"
        return [f"The current values (trial 0) are the best so far: fitness {first.fitness:.3f}; {rest}."]
    gain = changed("fitness", best.fitness - first.fitness)
    return [
        f"Trial {best.slot} is the best: fitness {best.fitness:.3f}, {gain} over the current values "
        f"(trial 0, {first.fitness:.3f})."
    ]


def _summary(records: Sequence[Record], epochs: int) -> list[tuple[str, str]]:
    states = Counter(record.state for record in records)
    counts = [(f"Trials {state}", str(states[state])) for state in STATES if states[state] or state != "running"]
    best, first = best_of(records), next((record for record in finished(records) if record.slot == 0), None)
    trained, planned = sum(len(record.course) for record in records), epochs * len(records)
    share = f" ({trained / planned:.0%})" if planned else ""
    hours = sum(record.seconds or 0.0 for record in records) / 3600
    workers = sorted({record.worker for record in records if record.worker})
    return [
        ("Trials", str(len(records))),
        *counts,
        ("Best fitness", measured("fitness", best.fitness if best else None)),
        ("Fitness of the current values", measured("fitness", first.fitness if first else None)),
        ("Epochs trained, of those planned", f"{trained} of {planned}{share}"),
        ("Hours of training", f"{hours:.1f}"),
        ("Workers", f"{len(workers)}: {', '.join(workers)}" if workers else "none yet"),
    ]


def _values_table(records: Sequence[Record], space: Space, importance: Mapping[str, float]) -> Table:
    """The best values next to those at the start."""
    best = best_of(records)
    columns = [
        Column("parameter"),
        Column("at the start", True),
        Column("best", True),
        Column("bounds"),
        Column("importance", True),
        Column("remark"),
    ]
    rows = []
    for name, parameter in space.parameters.items():
        start, found = space.start.get(name), None if best is None else best.params.get(name)
        share = importance.get(name)
        rows.append(
            [
                Cell(name),
                _value_cell(start),
                _value_cell(found),
                Cell(str(parameter)),
                number_cell(NOTHING if share is None else percent(share), share),
                Cell(_remark(parameter, start, found)),
            ]
        )
    caption = "If the best value is at a bound, the optimum may lie beyond it: widen that bound in the next search."
    return Table("The best values" if best else "The parameters", columns, rows, caption, "The search varies nothing.")


def _remark(parameter: Parameter, start: Value | None, best: Value | None) -> str:
    """Remark on a best value: at a bound, or unchanged."""
    parts = []
    if best is not None and not parameter.choices and not isinstance(best, str):
        fraction = _share(float(best), parameter)
        side = "lower" if fraction < NEAR_BOUND else "upper" if fraction > 1 - NEAR_BOUND else ""
        parts += [f"at the {side} bound"] if side else []
    if best is not None and best == start:
        parts.append("unchanged")
    return ", ".join(parts)


def _share(value: float, parameter: Parameter) -> float:
    """Fraction of the way between its bounds at which a value lies, 0 to 1."""
    low, high = parameter.low, parameter.high
    if parameter.log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low) if high > low else 0.5


def _value_cell(value: Value | None) -> Cell:
    number = None if value is None or isinstance(value, str) else float(value)
    return number_cell(NOTHING if value is None else value_text(value), number)


def _trials_table(records: Sequence[Record]) -> Table:
    """Every trial, its values folded away."""
    best = best_of(records)
    columns = [
        Column("trial", True),
        Column("state"),
        *(Column(name, True) for name in ("fitness", "mAP50-95", "mAP50", "epochs", "time", "memory")),
        *(Column(name) for name in ("values", "worker", "attempts", "folder", "note")),
    ]
    rows = []
    for record in sorted(records, key=lambda record: record.slot):
        mark: Mark = "best" if best is not None and record.slot == best.slot else ""
        values = ", ".join(f"{name} {value_text(value)}" for name, value in record.params.items())
        rows.append(
            [
                Cell(str(record.slot), record.slot, word="best" if mark else "", mark=mark),
                Cell(record.state),
                _measured_cell("fitness", record.fitness),
                *(_measured_cell(metric, record.metrics.get(metric)) for metric in ("map", "map50")),
                number_cell(str(len(record.course)), len(record.course)),
                _measured_cell("seconds", record.seconds),
                _measured_cell("memory", record.memory),
                Cell(counted(len(record.params), "value"), folded=values) if values else Cell(NOTHING),
                *(Cell(text or NOTHING) for text in (record.worker, str(record.attempts), record.folder, record.note)),
            ]
        )
    caption = "Metrics are those of each trial's best epoch. Trial 0 has the current values."
    return Table("All trials", columns, rows, caption, "No trial has started yet.")


def _measured_cell(metric: str, value: float | None) -> Cell:
    return number_cell(measured(metric, value), value)
