"""Curves of a run: losses, metrics, rates and speed over its epochs."""

from __future__ import annotations

from collections.abc import Sequence

from lehr.report.pieces import Chart, Marker, Note, Piece, Section, Series
from lehr.report.run_files import Row, RunFiles

NAMES = {
    "val/map50": "mAP50",
    "val/map75": "mAP75",
    "val/map": "mAP50-95",
    "val/precision": "precision",
    "val/recall": "recall",
    "val/f1": "F1",
    "val/map50_max_det": "mAP50, all detections",
    "val/map_max_det": "mAP50-95, all detections",
}
"""Metrics by column of results.csv."""


def curves_section(run: RunFiles) -> Section:
    """Build the section of curves.

    Args:
        run: what the run's files say.
    """
    if not run.epochs:
        return Section("curves", "Curves", [Note("There are no curves yet: no epoch has finished.")])
    rows, marks = run.rows, _markers(run)
    pieces: list[Piece | None] = [
        _chart(rows, _columns(rows, "train/"), "train-losses", "Training losses", "loss, mean of an image", marks),
        _chart(rows, _columns(rows, "val/", NAMES), "val-losses", "Validation losses", "loss, mean of an image", marks),
        _chart(
            rows,
            [name for name in ("val/map50", "val/map", "val/map75") if _has(rows, name)],
            "metrics",
            "Average precision on the validation split",
            "AP",
            marks,
            share=True,
        ),
        _chart(
            rows,
            [name for name in ("val/precision", "val/recall", "val/f1") if _has(rows, name)],
            "precision-recall-f1",
            "Precision, recall and F1 at the confidence of best F1",
            "share",
            marks,
            share=True,
        ),
        _chart(rows, _columns(rows, "lr/"), "rates", "Learning rates by group of parameters", "learning rate", marks),
        _chart(rows, ["grad/norm"], "gradient-norm", "Norm of the gradient before clipping", "norm", marks, log=True),
        _chart(rows, ["images_per_second"], "speed", "Images a second in training", "images/s", marks, zero=True),
    ]
    return Section("curves", "Curves", [piece for piece in pieces if piece is not None])


def _columns(rows: Sequence[Row], prefix: str, known: dict[str, str] | None = None) -> list[str]:
    """Return the columns of a prefix, in the order of the file, those of `known` left out."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name.startswith(prefix) and name not in (known or {})]


def _has(rows: Sequence[Row], name: str) -> bool:
    return any(name in row for row in rows)


def _chart(
    rows: Sequence[Row],
    columns: Sequence[str],
    name: str,
    title: str,
    y: str,
    markers: Sequence[Marker],
    *,
    share: bool = False,
    log: bool = False,
    zero: bool = False,
) -> Chart | None:
    """Return a chart of columns over the epochs; None where no row has any of them."""
    series = []
    for column in columns:
        found = [row for row in rows if row["epoch"] > 0 or column in row]
        if _has(rows, column):
            label = NAMES.get(column, column.partition("/")[2] or column.replace("_", " "))
            series.append(Series(label, [row["epoch"] for row in found], [row.get(column) for row in found]))
    if not series:
        return None
    listed = ", ".join(each.name for each in series)
    values = [value for each in series for value in each.y if value is not None]
    ends = (0.0, 1.0) if share else (0.0, 1.1 * max(values) or 1.0) if zero else None
    positive = log and min(values) > 0
    return Chart(
        name,
        title,
        "epoch",
        y,
        series,
        f"{title} over the epochs: {listed}.",
        markers=markers,
        log_y=positive,
        y_range=ends,
    )


def _markers(run: RunFiles) -> list[Marker]:
    best = run.best
    return [] if best is None else [Marker(best["epoch"], "best epoch")]
