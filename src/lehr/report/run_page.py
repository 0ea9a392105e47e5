"""The page of a run: was training healthy, how good is the detector, which mistakes to mend first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lehr.report.numbers import NOTHING, count, measured
from lehr.report.page import Page, write_page
from lehr.report.pieces import Cell, Column, Section, Table
from lehr.report.run_files import RunFiles, read_run
from lehr.report.sections.curves import curves_section

PAGE = "report.html"


def build_page(folder: Path) -> Path:
    """Write the page of a run into its folder.

    Args:
        folder: the run's folder.

    Returns:
        The page's file.

    Raises:
        InputError: it is no folder of a run, or the page cannot be written.
    """
    path = folder / PAGE
    write_page(run_page(read_run(folder)), path)
    return path


def run_page(run: RunFiles, *, live: bool = False) -> Page:
    """Build the page of a run.

    Args:
        run: what its files say.
        live: whether the page is served, and asks for news.
    """
    sections = [curves_section(run), _options_section(run.options)]
    return Page(run.folder.absolute().name, "lehr train", _answers(run), _summary(run), run.notes, sections, live)


def _answers(run: RunFiles) -> list[str]:
    """The result, in words."""
    best, last = run.best, run.epochs[-1] if run.epochs else None
    if last is None:
        return ["No epoch has finished yet."]
    planned = run.options.get("epochs")
    done = f"{int(last['epoch'])} of {planned} epochs are done" if planned else f"{int(last['epoch'])} epochs are done"
    if best is None:
        return [f"{done}; none was validated."]
    where = f"Epoch {int(best['epoch'])}" if best["epoch"] else "The start"
    scores = f"mAP50-95 {best['val/map']:.3f}, mAP50 {best['val/map50']:.3f}"
    if {"val/precision", "val/recall"} <= best.keys():
        scores += f", precision {best['val/precision']:.3f}, recall {best['val/recall']:.3f}"
    return [f"{where} is the best: {scores}.", f"{done}."]


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
        ("Images a second", f"{speeds[len(speeds) // 2]:.0f} (median)" if speeds else None),
        ("Seed", options.get("seed")),
    ]
    return [(label, str(value)) for label, value in entries if value not in (None, "", NOTHING)]


def _options_section(options: Mapping[str, Any]) -> Section:
    rows: Sequence[Sequence[Cell]] = [[Cell(name), Cell(_text(value))] for name, value in sorted(options.items())]
    caption = f"{count(len(rows), 'option')} of config.yaml, which repeats the run: lehr train --config FILE."
    return Section(
        "options", "Options", [Table("All options", [Column("option"), Column("value")], rows, caption, folded=True)]
    )


def _text(value: object) -> str:
    return "unset" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
