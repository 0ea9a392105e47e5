"""Messages about an epoch and the end of a run, in addition to the table of epochs."""

from __future__ import annotations

from lehr.callbacks.epoch_table import LEARNED
from lehr.callbacks.events import FitEpochEnd, TrainEnd
from lehr.callbacks.run_info import Run
from lehr.evaluation.against_start import describe_older
from lehr.evaluation.background import describe_false_positives
from lehr.evaluation.metrics import Metrics
from lehr.runtime.console import duration
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line

FEW_STEPS = 1000
"""Steps below which a detector that starts from nothing has usually found nothing yet."""


def after_epoch(event: FitEpochEnd) -> list[str]:
    """Return the lines that follow an epoch's row: older data, false positives, what was skipped or replaced."""
    epoch = f"Epoch {event.epoch + 1}"
    lines = on_older(epoch, event.run, event.older)
    if not event.metrics.instances:
        lines.append(f"{epoch}: {describe_false_positives(event.metrics)}")
    for column, what in (("skipped", "optimizer step"), ("replaced", "sample")):
        if count := int(event.row[column] or 0):
            lines.append(f"{epoch}: {counted(count, what)} {column}.")
    return lines


def on_older(what: str, run: Run, older: Metrics | None) -> list[str]:
    """Return the line of an evaluation on older data, where there are some."""
    return [] if older is None else [describe_older(what, str(run.config.data.keep_val), older)]


def learned(event: TrainEnd) -> bool:
    """Return whether a run has a best epoch, or start, whose numbers say something."""
    return not event.metrics.instances or event.metrics.fitness >= LEARNED or event.best_epoch < 0


def end_lines(event: TrainEnd) -> list[str]:
    """Return the lines at the end of a run, before the table of classes."""
    lines = []
    if event.stopped_early:
        patience = event.run.config.schedule.patience
        lines.append(f"No better result for {counted(patience, 'epoch')}: stopped early (--patience).")
    took = f"Trained in {duration(event.seconds)}."
    if not learned(event):
        return [*lines, "", f"{took} {nothing_learned(event)}"]
    best = "The start is best" if event.best_epoch < 0 else f"Best epoch {event.best_epoch + 1}"
    if not event.metrics.instances and event.best_epoch >= 0:
        best = f"Epoch {event.best_epoch + 1}, the last, counts as the best"
    return [*lines, "", f"{took} {best}, on the validation split:"]


def comparison_lines(event: TrainEnd) -> list[str]:
    """Return the lines that compare a run with its start, where that was evaluated."""
    lines = []
    if event.against_start is not None:
        lines.append(event.against_start.describe())
    if event.older_against_start is not None:
        lines.append(event.older_against_start.describe_on(str(event.run.config.data.keep_val)))
    return lines


def nothing_learned(event: TrainEnd) -> str:
    """Say that a run has not found a single object yet, and what to look at, the likeliest first."""
    config, folder = event.run.config, one_line(str(event.run.folder))
    steps = counted(event.step, "step")
    epochs = "the only epoch" if event.epochs == 1 else f"all {event.epochs} epochs"
    boxes = f", and the training images with their boxes in {folder}/report.html" if config.run.report else ""
    reasons = [
        f"Labels: `lehr data check {one_line(str(config.data.data))}`{boxes}.",
        f"Losses: where they rise or are nan in {folder}/results.csv, lower --lr0. Where they fall, train longer.",
        f"Objects smaller than about 8 pixels at --imgsz {config.imgsz}: raise --imgsz, or cut the images with --tile.",
    ]
    if event.step < FEW_STEPS:
        start = "" if config.model.weights is not None else ", or start from trained --weights"
        reasons.insert(0, f"Length: a detector needs more than {steps}; give more --epochs{start}.")
    numbered = "".join(f"\n      {number}. {reason}" for number, reason in enumerate(reasons, 1))
    return f"Nothing was learned yet: mAP is 0 in {epochs}, so none is the best. What to look at:{numbered}"
