"""The page of a run: was training healthy, how good is the detector, which mistakes to fix first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from lehr.analysis.record_file import load_record
from lehr.checkpoint.run_folder import DETECTIONS, PAGE, PLOTS
from lehr.checkpoint.run_log import EndLine
from lehr.errors import InputError
from lehr.report.analysis_page import Findings
from lehr.report.drawing import draw_sections
from lehr.report.numbers import NOTHING, measured
from lehr.report.page import Page, write_page
from lehr.report.pieces import Cell, Column, Note, Section, Table
from lehr.report.run_files import RunFiles, read_run
from lehr.report.sections.curves import curves_section
from lehr.report.sections.data import data_section
from lehr.runtime.counted import counted

LATE = "There was no time for this at the end of the training: build the page again by `lehr report`."


def build_page(
    folder: Path,
    *,
    plot_kinds: Sequence[str] = (".png",),
    seconds: float = math.inf,
    plot_seconds: float = math.inf,
) -> tuple[Path, list[str]]:
    """Write the page of a run into its folder, and its figures into the folder `plots` there.

    Args:
        folder: the run's folder.
        plot_kinds: endings of the figures' files; none draws none.
        seconds: after which no further section is begun.
        plot_seconds: after which no further figure is begun.

    Returns:
        The page's file, and the names of figures that were not drawn: there was no time, or there is no matplotlib.

    Raises:
        InputError: it is not a folder of a run, or a file cannot be written.
    """
    path = folder / PAGE
    page = run_page(read_run(folder), seconds=seconds)
    write_page(page, path)
    return path, draw_sections(page.sections, folder / PLOTS, kinds=plot_kinds, seconds=plot_seconds)


def run_page(run: RunFiles, *, live: bool = False, seconds: float = math.inf) -> Page:
    """Build the page of a run.

    Args:
        run: what its files say.
        live: whether the page is served, and asks for news.
        seconds: after which no further section is begun.
    """
    path = run.folder / DETECTIONS
    findings = Findings(lambda: load_record(path) if path.exists() else None)
    builders: list[tuple[str, str, Callable[[], Section | None]]] = [
        ("curves", "Curves", lambda: curves_section(run)),
        ("quality", "Quality", findings.quality),
        ("mistakes", "Mistakes", findings.mistakes),
        ("suspects", "Suspected label errors", findings.suspects),
        ("data", "Data", lambda: data_section(run.folder)),
        ("options", "Options", lambda: _options_section(run.options)),
    ]
    end, sections = monotonic() + seconds, []
    for name, title, build in builders:
        section = _guarded(name, title, build) if monotonic() < end else _without(name, title, LATE)
        if section is not None:
            sections.append(section)
    return Page(run.folder.absolute().name, "lehr train", _answers(run), _summary(run), run.notes, sections, live)


def _guarded(name: str, title: str, build: Callable[[], Section | None]) -> Section | None:
    """Build a section; where its input cannot be read, a note says why in its place."""
    try:
        return build()
    except InputError as error:
        return _without(name, title, str(error))


def _without(name: str, title: str, reason: str) -> Section:
    return Section(name, title, [Note(reason)])


def _answers(run: RunFiles) -> list[str]:
    """The result, in words."""
    best, last = run.best, run.epochs[-1] if run.epochs else None
    if last is None:
        return ["No epoch has finished yet."]
    planned = run.options.get("epochs")
    done = (
        f"{int(last['epoch'])} of {planned} epochs are done"
        if planned
        else f"{counted(int(last['epoch']), 'epoch is', 'epochs are')} done"
    )
    if best is None:
        return [f"{done}; none was validated."]
    where = f"Epoch {int(best['epoch'])}" if best["epoch"] else "The start"
    scores = f"mAP50-95 {best['val/map']:.3f}, mAP50 {best['val/map50']:.3f}"
    if {"val/precision", "val/recall"} <= best.keys():
        scores += f", precision {best['val/precision']:.3f}, recall {best['val/recall']:.3f}"
    return [f"{where} is the best: {scores}.", f"{done}{_ended(run)}."]


def _ended(run: RunFiles) -> str:
    """Describe how the run ended, if its log says so, as the rest of a sentence."""
    ends = run.log.of(EndLine)
    said = {
        "stopped-early": "stopped early, since none of the last ones was better (--patience)",
        "diverged": "diverged",
    }
    said |= {"stopped": "stopped; lehr train --resume continues", "failed": "failed"}
    reason = said.get(ends[-1].reason, "") if ends and run.log.lines[-1] is ends[-1] else ""
    return f"; {reason}" if reason else ""


def _summary(run: RunFiles) -> list[tuple[str, str]]:
    options, last = run.options, run.epochs[-1] if run.epochs else {}
    seconds = last.get("seconds")
    speeds = sorted(row["images_per_second"] for row in run.epochs if "images_per_second" in row)
    entries: list[tuple[str, Any]] = [
        ("Model", options.get("model")),
        ("Start", options.get("weights") or "random weights"),
        ("Data", options.get("data")),
        ("Image size", options.get("imgsz")),
        ("Batch", options.get("batch")),
        ("Epochs", f"{int(last.get('epoch', 0))} of {options.get('epochs', '?')}"),
        ("Time", measured("seconds", seconds)),
        ("Images per second", f"{speeds[len(speeds) // 2]:.0f} (median)" if speeds else None),
        ("Seed", options.get("seed")),
    ]
    return [(label, str(value)) for label, value in entries if value not in (None, "", NOTHING)]


def _options_section(options: Mapping[str, Any]) -> Section:
    rows: Sequence[Sequence[Cell]] = [[Cell(name), Cell(_text(value))] for name, value in sorted(options.items())]
    caption = f"{counted(len(rows), 'option')} of config.yaml, which repeats the run: lehr train --config FILE."
    return Section(
        "options", "Options", [Table("All options", [Column("option"), Column("value")], rows, caption, folded=True)]
    )


def _text(value: object) -> str:
    return "unset" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
