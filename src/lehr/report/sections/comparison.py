"""Several runs side by side: results with their differences from the first, overlaid curves, what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lehr.analysis.record import DetectionRecord
from lehr.comparison.describe import STAGES, describe_place, option_flag
from lehr.comparison.difference import Difference
from lehr.errors import InputError
from lehr.evaluation.bootstrap import Comparison, Interval, compare
from lehr.evaluation.matching import MatchRecord
from lehr.evaluation.metrics import measure
from lehr.report.numbers import NOTHING, changed, interval, measured
from lehr.report.pieces import Cell, Chart, Column, Mark, Note, Piece, Section, Series, Table, number_cell
from lehr.report.run_files import Row, RunFiles
from lehr.runtime.counted import counted

SHOWN = {
    "val/map": ("map", "mAP50-95 on the validation split", "mAP50-95"),
    "val/map50": ("map50", "mAP50 on the validation split", "mAP50"),
    "val/precision": ("precision", "Precision at the confidence of best F1", "share"),
    "val/recall": ("recall", "Recall at the confidence of best F1", "share"),
    "lr/weights": ("rate", "Learning rate of the weights", "rate"),
    "grad/norm": ("gradient-norm", "Norm of the gradient before clipping, mean of an epoch", "norm"),
    "images_per_second": ("speed", "Speed of training", "images/s"),
}
"""Name and title of the chart of a column, and what its vertical axis is."""
METRICS = ("val/map", "val/map50", "val/precision", "val/recall")
MARKS: Mapping[str, Mark] = {"better": "good", "worse": "bad", "no difference": "even"}
PLACES = frozenset({"name", "project", "begun_in"})
"""Options that say where a run is, and nothing of what it is."""
NAMED, MAX_LOSSES = 5, 24


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One of several runs.

    Attributes:
        name: to distinguish it from the others.
        run: what its files say.
        record: what its best weights found; None if it has left none.
        difference: from the first run; None for that one, and where it could not be found.
        trouble: why something of it could not be compared; empty if all could.
    """

    name: str
    run: RunFiles
    record: DetectionRecord | None = None
    difference: Difference | None = None
    trouble: str = ""


def results_section(runs: Sequence[ComparedRun]) -> Section:
    """Build the section with the results of the best epoch of each run, and their differences from the first.

    The intervals are those of a paired bootstrap over the validation images (`lehr.evaluation.bootstrap`).

    Args:
        runs: two or more.
    """
    matches = None if runs[0].record is None else _matches(runs[0].record)
    compared = [None, *(_compared(runs[0], each, matches) for each in runs[1:])]
    rows, answers, notes = [], [], []
    for each, found in zip(runs, compared, strict=True):
        comparison = found if isinstance(found, Comparison) else None
        best = each.run.best or {}
        cells = [Cell(each.name), number_cell(_epoch(best), best.get("epoch"))]
        cells += [number_cell(measured(column, best.get(column)), best.get(column)) for column in METRICS]
        of_map, of_map50 = (None, None) if comparison is None else (comparison.map, comparison.map50)
        rows.append([*cells, _difference(of_map), _difference(of_map50)])
        if comparison is not None:
            described = comparison.describe(runs[0].name)
            answers.append(f"{each.name}{': ' if comparison.verdict == 'no difference' else ' is '}{described}.")
        elif isinstance(found, str):
            notes.append(Note(f"{each.name}: {found}"))
    first = f"minus {runs[0].name}"
    columns = [Column("run"), Column("best epoch", True)]
    columns += [Column(name, True) for name in ("mAP50-95", "mAP50", "precision", "recall")]
    columns += [Column(f"mAP50-95 {first}", True), Column(f"mAP50 {first}", True)]
    caption = (
        "Of the best epoch of each run. Differences have a 95% interval from a paired bootstrap over the validation "
        "images: if it excludes 0, the run is better or worse than the first on images like these. It says nothing "
        "about other seeds."
    )
    return Section("results", "Results", [Table("Best epochs", columns, rows, caption), *notes], answers)


def overlaid_section(runs: Sequence[ComparedRun]) -> Section:
    """Build the section with the overlaid curves of the runs.

    Args:
        runs: two or more.
    """
    columns = dict.fromkeys(name for each in runs for row in each.run.rows for name in row)
    losses = [name for name in columns if name.startswith(("train/", "val/")) and not _is_metric(name)]
    charts: list[Piece] = []
    for column in (*SHOWN, *sorted(losses[:MAX_LOSSES], key=lambda name: name.startswith("val/"))):
        chart = _overlaid(runs, column)
        if chart is not None:
            charts.append(chart)
    return Section("curves", "Curves of all runs", charts or [Note("No run has finished an epoch yet.")])


def differences_section(runs: Sequence[ComparedRun]) -> Section:
    """Build the section with the options that differ, and where each run parts from the first.

    Args:
        runs: two or more.
    """
    options = [each.run.options for each in runs]
    names = dict.fromkeys(name for given in options for name in given if name not in PLACES)
    differing = [name for name in names if len({_text(given.get(name)) for given in options}) > 1]
    rows = [[Cell(option_flag(name)), *(Cell(_text(given.get(name))) for given in options)] for name in differing]
    table = Table("Options that differ", [Column("option"), *(Column(each.name) for each in runs)], rows, empty="None.")
    return Section("differences", "What differs", [table, _partings(runs)])


def _partings(runs: Sequence[ComparedRun]) -> Table:
    rows = []
    for each in runs[1:]:
        found = each.difference
        if found is None:
            rows.append([Cell(each.name), Cell(each.trouble or NOTHING), Cell(NOTHING), Cell(NOTHING)])
            continue
        parting = found.course.parting
        data = (
            counted(len(found.data.images), "image differs", "images differ")
            if found.data.images
            else _same_data(found.data.same)
        )
        where = "none" if parting is None else f"{describe_place(parting)}: {STAGES[parting.stage]}"
        rows.append([Cell(each.name), Cell(data), Cell(where), Cell(_cause(found))])
    columns = [Column("run"), Column("data"), Column("first difference"), Column("likely cause")]
    caption = f"Each run next to {runs[0].name}; `lehr diff` says more, and `lehr train --digests` makes it exact."
    return Table("Where the runs diverge", columns, rows, caption)


def _same_data(same: bool | None) -> str:
    return {True: "the same", False: "differ", None: "not recorded"}[same]


def _cause(found: Difference) -> str:
    if found.cause is None:
        return NOTHING
    if not found.culprits:
        return {"arithmetic": "different arithmetic", "unknown": "different pixels, or different arithmetic"}.get(
            found.cause, found.cause
        )
    named = [option_flag(each) if found.cause == "options" else each for each in found.culprits[:NAMED]]
    more = ", ..." if len(found.culprits) > NAMED else ""
    kind = {"options": "", "data": "image "}.get(found.cause, "different arithmetic: ")
    return f"{kind}{', '.join(named)}{more}"


def _compared(first: ComparedRun, other: ComparedRun, matches: MatchRecord | None) -> Comparison | str:
    """The comparison of two runs' best weights, or why there is none; `matches` are those of the first."""
    if first.record is None or other.record is None:
        return "no interval, since one of the runs has no detections of its best epoch."
    if first.record.names != other.record.names:
        return "no interval, since its classes differ."
    try:
        return compare(matches or _matches(first.record), _matches(other.record))
    except InputError as error:
        return f"no interval. {error}"


def _matches(record: DetectionRecord) -> MatchRecord:
    found = measure(record.samples, record.names, record.detections, record.max_det, record=True)[1]
    assert found is not None
    return found


def _difference(found: Interval | None) -> Cell:
    if found is None:
        return Cell(NOTHING)
    small = interval("", found.low, found.high)
    return Cell(changed("", found.difference), found.difference, small, found.verdict, MARKS[found.verdict])


def _epoch(best: Row) -> str:
    return str(int(best["epoch"])) if "epoch" in best else NOTHING


def _is_metric(name: str) -> bool:
    prefix, _, rest = name.partition("/")
    known = {column.partition("/")[2] for column in SHOWN} | {"f1", "map75", "map50_max_det", "map_max_det"}
    return prefix == "val" and (rest in known or rest == "false_positives_per_image")


def _overlaid(runs: Sequence[ComparedRun], column: str) -> Chart | None:
    """A chart of a column, a line per run; None if no run has it."""
    series = []
    for each in runs:
        rows = [row for row in each.run.rows if column in row]
        if rows:
            series.append(Series(each.name, [row["epoch"] for row in rows], [row[column] for row in rows]))
    if not series:
        return None
    kind, _, part = column.partition("/")
    split = {"train": "Training", "val": "Validation"}.get(kind, kind)
    name, title, unit = SHOWN.get(column, (f"{kind}-{part}", f"{split} loss, {part}", "mean per image"))
    ends = (0.0, 1.0) if column in METRICS else None
    alt = f"{title} over the epochs, a line for each of {', '.join(each.name for each in series)}."
    return Chart(_plain(name), title, "epoch", unit, series, alt, y_range=ends)


def _plain(name: str) -> str:
    """A name for a figure's files: small letters, digits and hyphens."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return "-".join(word for word in kept.split("-") if word) or "chart"


def _text(value: Any) -> str:
    return "unset" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
