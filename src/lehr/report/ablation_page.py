"""The page of an ablation: which technique helped, by how much, how sure that is, and every run behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lehr.plots.ablation import BAD, GOOD, label_of, plot_effects
from lehr.report.effects_table import answers, effect_of, legend_of, sign_of, techniques_of
from lehr.report.numbers import NOTHING, changed, interval, measured
from lehr.report.page import Page
from lehr.report.pieces import Cell, Column, Figure, Mark, Section, Table, number_cell
from lehr.runtime.atomic_write import make_inner_folder
from lehr.runtime.counted import counted
from lehr.search.records import Record

if TYPE_CHECKING:
    from lehr.search.effects import Effect

CHANCE = 0.05
"""Probability that a 95% interval misses the truth."""


@dataclass(frozen=True, slots=True)
class AblationRun:
    """One run of an ablation.

    Attributes:
        record: how it went.
        on: the techniques that were on.
        seed: of the run.
    """

    record: Record
    on: tuple[str, ...]
    seed: int


def draw_ablation(effects: Mapping[str, Sequence[Effect]], folder: Path) -> tuple[Figure, ...]:
    """Draw the effects as an SVG file.

    Args:
        effects: by metric.
        folder: where the file goes; made if it is not there.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    make_inner_folder(folder)
    path = folder / "effects.svg"
    plot_effects(effects, path)
    alt = "A panel per metric with a row per technique: the mean difference as a mark, its 95% interval as a bar."
    caption = (
        "Change with the technique on. A triangle pointing up helps or saves, one pointing down hurts or costs; a "
        "circle shows no difference. Small dots are single seeds; an arrow marks an interval that continues."
    )
    return (Figure("Effects", path, alt, caption),)


def ablation_page(
    title: str,
    runs: Sequence[AblationRun],
    effects: Mapping[str, Sequence[Effect]],
    *,
    needed: Sequence[tuple[float, int]] = (),
    figures: Sequence[Figure] = (),
    metric: str = "map",
) -> Page:
    """Build the page of an ablation.

    Args:
        title: the study's name.
        runs: all of them, those too that wait.
        effects: by metric, e.g. `fitness`, `map50`, `map`, `seconds`, `memory`.
        needed: sizes of a difference, and how many seeds show it.
        figures: the plots, e.g. that of `draw_ablation`.
        metric: which one the sentences at the top are about, and the sizes in `needed`.
    """
    said = answers(effects, metric) or ["No pair of runs has finished yet, so no technique can be judged."]
    found: list[Table | Figure] = [_effects_table(effects), *figures]
    if needed:
        found.append(_needed_table(needed, metric))
    sections = [Section("effects", "Effects", found), Section("runs", "Runs", [_runs_table(runs)])]
    return Page(title, "lehr ablate", said, _summary(runs, effects), _notes(effects), sections)


def _summary(runs: Sequence[AblationRun], effects: Mapping[str, Sequence[Effect]]) -> list[tuple[str, str]]:
    states = Counter(run.record.state for run in runs)
    hours = sum(run.record.seconds or 0.0 for run in runs) / 3600
    others = [(f"Runs {state}", str(total)) for state, total in sorted(states.items()) if state != "finished"]
    workers = sorted({run.record.worker for run in runs if run.record.worker})
    return [
        ("Techniques", str(len(techniques_of(effects)))),
        ("Seeds", str(len({run.seed for run in runs}))),
        ("Runs finished", f"{states['finished']} of {len(runs)}"),
        *others,
        ("Hours of training", f"{hours:.1f}"),
        ("Workers", f"{len(workers)}: {', '.join(workers)}" if workers else "none yet"),
    ]


def _notes(effects: Mapping[str, Sequence[Effect]]) -> list[str]:
    """Note on multiple comparisons at a level of 95%; none if there is one comparison at most."""
    comparisons = max(
        (sum(effect.low is not None for effect in of_metric) for of_metric in effects.values()), default=0
    )
    if comparisons < 2:
        return []
    return [
        "Each interval covers the truth 95% of the time: about one in twenty misses it by chance. With "
        f"{comparisons} techniques, at least one does in about {1 - (1 - CHANCE) ** comparisons:.0%} of such studies, "
        "for each metric. Trust a surprising effect only after more seeds confirm it."
    ]


def _effects_table(effects: Mapping[str, Sequence[Effect]]) -> Table:
    metrics = [metric for metric, of_metric in effects.items() if of_metric]
    columns = [Column("technique"), *(Column(label_of(metric), True) for metric in metrics)]
    rows = [
        [Cell(name), *(_effect_cell(effect_of(effects, name, metric)) for metric in metrics)]
        for name in techniques_of(effects)
    ]
    caption = (
        "Mean change of each metric with the technique on, between runs of the same seed that differ in nothing else; "
        f"below it the 95% interval. {legend_of(effects)}"
    )
    return Table("What each technique changed", columns, rows, caption, "Nothing has been measured yet.")


def _effect_cell(effect: Effect | None) -> Cell:
    if effect is None:
        return number_cell(NOTHING, None)
    mark: Mark = "good" if effect.verdict in GOOD else "bad" if effect.verdict in BAD else ""
    plain = number_cell(changed(effect.metric, effect.difference), effect.difference)
    within = interval(effect.metric, effect.low, effect.high)
    return Cell(plain.text, plain.sort, within, effect.verdict, mark, sign=sign_of(effect.verdict))


def _needed_table(needed: Sequence[tuple[float, int]], metric: str) -> Table:
    columns = [Column(f"true difference of {label_of(metric)}", True), Column("seeds needed", True)]
    rows = [[number_cell(measured(metric, size), size), number_cell(str(seeds), seeds)] for size, seeds in needed]
    caption = "Seeds needed to detect a true difference of this size, given the noise of this study."
    return Table("Seeds needed", columns, rows, caption)


def _runs_table(runs: Sequence[AblationRun]) -> Table:
    columns = [
        Column("run", True),
        Column("techniques on"),
        Column("seed", True),
        Column("state"),
        *(Column(name, True) for name in ("fitness", "mAP50", "mAP50-95", "time", "memory")),
        *(Column(name) for name in ("folder", "note")),
    ]
    rows = []
    for run in sorted(runs, key=lambda run: run.record.slot):
        record = run.record
        values = {
            "fitness": record.fitness,
            "map50": record.metrics.get("map50"),
            "map": record.metrics.get("map"),
            "seconds": record.seconds,
            "memory": record.memory,
        }
        rows.append(
            [
                number_cell(str(record.slot), record.slot),
                Cell(", ".join(run.on) or "none"),
                number_cell(str(run.seed), run.seed),
                Cell(record.state),
                *(number_cell(measured(metric, value), value) for metric, value in values.items()),
                *(Cell(text or NOTHING) for text in (record.folder, record.note)),
            ]
        )
    caption = f"{counted(len(runs), 'run')}; metrics are those of each run's best epoch."
    return Table("All runs", columns, rows, caption, "No run has started yet.")
