"""The page of several runs side by side: which is better and how sure that is, curves, and what made them differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lehr.analysis.record import DetectionRecord
from lehr.analysis.record_file import load_record
from lehr.checkpoint.run_folder import DETECTIONS
from lehr.comparison.difference import difference_of
from lehr.comparison.sides import Side, read_side
from lehr.errors import InputError
from lehr.report.drawing import draw_sections
from lehr.report.page import Page, write_page
from lehr.report.run_files import read_run
from lehr.report.sections.comparison import ComparedRun, differences_section, overlaid_section, results_section

COMPARISON = "comparison.html"
MAX_RUNS = 20


def build_comparison(
    folders: Sequence[Path], path: Path, *, plot_kinds: Sequence[str] = (".png",), plot_seconds: float = math.inf
) -> tuple[Path, list[str]]:
    """Write the page of several runs, and its figures into a folder next to it.

    Args:
        folders: of the runs; the others are compared with the first.
        path: the HTML file.
        plot_kinds: endings of the figures' files; none draws none.
        plot_seconds: after which no further figure is begun.

    Returns:
        The page's file, and the names of figures that were not drawn: there was no time, or there is no matplotlib.

    Raises:
        InputError: one is not a folder of a run, or a file cannot be written.
    """
    page = comparison_page(folders)
    write_page(page, path)
    return path, draw_sections(
        page.sections, path.with_name(f"{path.stem}-plots"), kinds=plot_kinds, seconds=plot_seconds
    )


def comparison_page(folders: Sequence[Path]) -> Page:
    """Build the page of several runs.

    Args:
        folders: of the runs; the others are compared with the first.

    Raises:
        InputError: one is not a folder of a run, they are too many, or one is named twice.
    """
    if len(folders) > MAX_RUNS:
        raise InputError(f"{len(folders)} runs: a page compares up to {MAX_RUNS}. Name fewer.")
    places = [folder.resolve() for folder in folders]
    if len(set(places)) < len(places):
        raise InputError(f"{next(each for each in folders if places.count(each.resolve()) > 1)}: is named twice.")
    runs, first, notes = [], _side(folders[0]), []
    for name, folder in zip(run_names(places), folders, strict=True):
        run, other = read_run(folder), _side(folder)
        record, trouble = _record(folder)
        notes += [f"{name}: {note}" for note in (*run.notes, *([trouble] if trouble else []))]
        found = difference_of(first, other) if isinstance(first, Side) and isinstance(other, Side) else None
        reasons = [each for each in (first, other) if isinstance(each, str)]
        runs.append(ComparedRun(name, run, record, found, reasons[0] if reasons else ""))
    results = results_section(runs)
    sections = [replace(results, answers=()), overlaid_section(runs), differences_section(runs)]
    title = f"{runs[0].name} and {', '.join(each.name for each in runs[1:])}"
    answers = results.answers or ["The runs cannot be compared image by image; their curves are below."]
    return Page(title, "lehr report", answers, [("Runs", str(len(runs)))], notes, sections)


def run_names(places: Sequence[Path]) -> list[str]:
    """Return a name for each run: that of its folder; with the one above, or the whole path, where several are alike.

    Args:
        places: the folders, each another.
    """
    choices = [place.name for place in places], [f"{place.parent.name}/{place.name}" for place in places]
    return next((names for names in choices if len(set(names)) == len(names)), [str(place) for place in places])


def _side(folder: Path) -> Side | str:
    """A run as `lehr diff` reads it, or why it cannot be."""
    try:
        return read_side(folder)
    except InputError as error:
        return str(error)


def _record(folder: Path) -> tuple[DetectionRecord | None, str]:
    """The detections of a run's best weights, and why there are none if that is worth a word."""
    path = folder / DETECTIONS
    if not (path.exists() or path.is_symlink()):
        return None, ""
    try:
        return load_record(path), ""
    except InputError as error:
        return None, str(error)
