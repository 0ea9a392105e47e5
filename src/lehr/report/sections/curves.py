"""Curves of a run: losses, metrics, rates, speed, memory and gradients, with marks for its turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lehr.checkpoint.run_log import (
    BestLine,
    MosaicCloseLine,
    RollbackLine,
    StartLine,
    StepLine,
    WarmupEndLine,
)
from lehr.report.pieces import Chart, Marker, Note, Piece, Section, Series
from lehr.report.run_files import Row, RunFiles
from lehr.runtime.counted import counted

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
LATE = 0.1
"""A best epoch in this last share of a run says that longer training may help."""
RISE = 0.05
"""Share by which the validation loss must have risen above its lowest to be called overfitting."""
FEWEST = 10
"""Epochs from which a run is judged by these."""
MEAN = "mean per image"
GRADIENT = "Norm of the gradient before clipping"
Values = Callable[[StepLine], Mapping[str, float | None]]


def curves_section(run: RunFiles) -> Section:
    """Build the section of curves.

    Args:
        run: what the run's files say.
    """
    if not run.epochs and not run.log.steps:
        return Section("curves", "Curves", [Note("There are no curves yet: no epoch has finished.")])
    pieces: list[Piece | None] = [*_of_epochs(run), *_of_steps(run)]
    return Section("curves", "Curves", [piece for piece in pieces if piece is not None], _answers(run))


def _of_epochs(run: RunFiles) -> list[Chart | None]:
    rows, marks = run.rows, _epoch_marks(run)
    metrics = [name for name in ("val/map50", "val/map", "val/map75") if _has(rows, name)]
    shares = [name for name in ("val/precision", "val/recall", "val/f1") if _has(rows, name)]
    at_best_f1 = "Precision, recall and F1 at the confidence of best F1"
    charts = [
        _chart(rows, _columns(rows, "train/"), "train-losses", "Training losses", MEAN, marks),
        _chart(rows, _columns(rows, "val/", NAMES), "val-losses", "Validation losses", MEAN, marks),
        _chart(rows, metrics, "metrics", "Average precision on the validation split", "AP", marks, ends=(0, 1)),
        _chart(rows, shares, "precision-recall-f1", at_best_f1, "share", marks, ends=(0, 1)),
        _chart(rows, ["images_per_second"], "speed", "Speed of training", "images/s", marks, from_zero=True),
    ]
    memory: list[Row] = [
        {"epoch": line.epoch + 1, "memory": line.memory} for line in run.log.epochs if line.memory is not None
    ]
    charts.append(_chart(memory, ["memory"], "memory", "Peak memory", "MiB", marks, from_zero=True))
    if not run.log.steps:
        charts += [
            _chart(rows, _columns(rows, "lr/"), "rates", "Learning rates by group of parameters", "rate", marks),
            _chart(
                rows, ["grad/norm"], "gradient-norm", "Norm of the gradient before clipping", "norm", marks, log=True
            ),
        ]
    return charts


def _of_steps(run: RunFiles) -> list[Chart | None]:
    log = run.log
    steps, marks = log.steps, _step_marks(run)
    if not steps:
        return []

    def chart(
        name: str, title: str, y: str, values: Callable[[StepLine], Mapping[str, float | None]], **more: bool
    ) -> Chart | None:
        return _step_chart(steps, values, name, title, y, marks, **more)

    return [
        chart("step-losses", "Training losses step by step", MEAN, lambda line: line.losses),
        chart("gradient-norm", GRADIENT, "norm", lambda line: {"gradient": line.norm}, log=True),
        chart("rates", "Learning rates by group of parameters", "rate", lambda line: line.rates),
        chart("momentum", "Momentum", "momentum, or beta1", lambda line: {"momentum": line.momentum}),
        chart("accumulation", "Accumulation", "batches per step", lambda line: {"batches": line.accumulate}),
        chart("loss-scale", "Loss scale", "factor", lambda line: {"loss scale": line.loss_scale}, log=True),
    ]


def _step_chart(
    steps: Sequence[StepLine],
    values: Values,
    name: str,
    title: str,
    y: str,
    markers: Sequence[Marker],
    *,
    log: bool = False,
) -> Chart | None:
    """Return a chart of values over the steps; None if no step has any."""
    found = [values(line) for line in steps]
    names = dict.fromkeys(name for each in found for name, value in each.items() if value is not None)
    if not names:
        return None
    x = [line.step + 1 for line in steps]
    series = [Series(each, x, [given.get(each) for given in found]) for each in names]
    positive = log and all(value > 0 for each in series for value in each.y if value is not None)
    every = max(line.batches for line in steps)
    caption = f"Batches counted over the run; a value stands for up to {every} of them." if every > 1 else ""
    alt = f"{title} over the batches: {', '.join(names)}."
    return Chart(name, title, "batch", y, series, alt, caption, markers=markers, log_y=positive)


def _chart(
    rows: Sequence[Row],
    columns: Sequence[str],
    name: str,
    title: str,
    y: str,
    markers: Sequence[Marker],
    *,
    ends: tuple[float, float] | None = None,
    log: bool = False,
    from_zero: bool = False,
) -> Chart | None:
    """Return a chart of columns over the epochs; None if no row has any of them."""
    series = []
    for column in columns:
        if _has(rows, column):
            found = [row for row in rows if row["epoch"] > 0 or column in row]
            label = NAMES.get(column, column.partition("/")[2] or column.replace("_", " "))
            series.append(Series(label, [row["epoch"] for row in found], [row.get(column) for row in found]))
    if not series:
        return None
    values = [value for each in series for value in each.y if value is not None]
    if from_zero:
        ends = (0.0, 1.1 * max(values) or 1.0)
    alt = f"{title} over the epochs: {', '.join(each.name for each in series)}."
    positive = log and min(values) > 0
    return Chart(name, title, "epoch", y, series, alt, markers=markers, log_y=positive, y_range=ends)


def _columns(rows: Sequence[Row], prefix: str, known: Mapping[str, str] | None = None) -> list[str]:
    """Return the columns of a prefix, in the order of the file, without those of `known`."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name.startswith(prefix) and name not in (known or {})]


def _has(rows: Sequence[Row], name: str) -> bool:
    return any(name in row for row in rows)


def _epoch_marks(run: RunFiles) -> list[Marker]:
    """Return the turns of a run over its epochs; without a log the best epoch alone."""
    start, best = run.log.start, run.best
    if start is not None and start.batches:
        return [Marker(mark.x / start.batches, mark.label) for mark in _step_marks(run)]
    return [] if best is None or not run.learned else [Marker(best["epoch"], "best epoch")]


def _step_marks(run: RunFiles) -> list[Marker]:
    """Return the turns of a run over its steps."""
    marks, log = [], run.log
    bests = log.of(BestLine)
    for line in log.lines:
        if isinstance(line, WarmupEndLine):
            marks.append(Marker(line.step, "warmup ends"))
        elif isinstance(line, MosaicCloseLine):
            marks.append(Marker(line.step, "mosaic closes"))
        elif isinstance(line, RollbackLine):
            marks.append(Marker(line.from_step, f"rollback to batch {line.step}"))
        elif isinstance(line, StartLine) and line.resumed:
            marks.append(Marker(line.step, "resumed"))
        elif bests and line is bests[-1] and run.learned:
            marks.append(Marker(line.step, "best epoch"))
    return list(dict.fromkeys(marks))


def _answers(run: RunFiles) -> list[str]:
    """Signs of a healthy or an unhealthy course, in words."""
    said = []
    skipped = sum(int(row.get("skipped", 0)) for row in run.epochs)
    rollbacks = len(run.log.of(RollbackLine))
    if skipped or rollbacks:
        said.append(
            f"{counted(skipped, 'optimizer step')} skipped as not finite, {counted(rollbacks, 'rollback')}: look at "
            "the norm of the gradient before them."
        )
    elif run.epochs:
        said.append("All steps were finite.")
    best, planned = run.best, run.options.get("epochs")
    if run.epochs and not run.learned:
        said.append(
            "Nothing was learned yet: mAP is 0 in every epoch, so none is the best. Where the losses fall, train "
            "longer; check the labels (lehr data check), and the training images below."
        )
        return said
    if len(run.epochs) < FEWEST or best is None:
        return said
    if best["epoch"] > (1 - LATE) * run.epochs[-1]["epoch"] and run.epochs[-1]["epoch"] == planned:
        said.append("The best epoch is among the last ones: longer training may help.")
    overfit = _overfitting(run.epochs)
    if overfit is not None:
        said.append(
            f"The validation loss was lowest in epoch {overfit} and has risen since, while the training loss fell: a "
            "sign of overfitting. More data or stronger augmentation help, shorter training costs nothing."
        )
    return said


def _overfitting(rows: Sequence[Row]) -> int | None:
    """Return the epoch of the lowest validation loss where that has risen since and the training loss fallen."""
    trained, validated = ([_total(row, prefix) for row in rows] for prefix in ("train/", "val/"))
    known = [(value, index) for index, value in enumerate(validated) if value is not None]
    if not known:
        return None
    lowest, index = min(known)
    first, last, after = trained[index], trained[-1], validated[-1]
    if first is None or last is None or after is None or index >= len(rows) - 1:
        return None
    return int(rows[index]["epoch"]) if after > lowest * (1 + RISE) and last < first else None


def _total(row: Row, prefix: str) -> float | None:
    """Return the sum of a row's losses; None if it has none."""
    losses = [value for name, value in row.items() if name.startswith(prefix) and name not in NAMES]
    return sum(losses) if losses else None
