"""The course of a run on the console: a row an epoch, and on a terminal a bar for the epoch that runs.

Rows go to the logger, and so to `train.log` too. Where the output is a file, there is no bar, and no control codes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lehr.callbacks.callback import Callback
from lehr.callbacks.events import (
    BatchEnd,
    FitEpochEnd,
    StartEvaluated,
    Teardown,
    TrainEnd,
    TrainEpochEnd,
    TrainEpochStart,
    TrainStart,
    ValBatchEnd,
    ValEnd,
    ValStart,
)
from lehr.callbacks.run_info import Run
from lehr.evaluation.against_start import describe_older
from lehr.evaluation.background import describe_false_positives
from lehr.evaluation.metrics import ClassMetrics, Metrics
from lehr.runtime.console import Console, duration
from lehr.runtime.plain_text import one_line

TEXT_SECONDS = 1.0
"""Seconds between two texts behind the bar."""


class ConsoleCallback(Callback):
    """Tells the course of a run.

    Args:
        output: where it is told.
    """

    def __init__(self, output: Console) -> None:
        self._output = output
        self._bar: Progress | None = None
        self._sums: dict[str, float] = {}
        self._images = 0
        self._done = 0
        self._started = self._told = 0.0
        self._live = output.is_terminal

    def on_train_start(self, event: TrainStart) -> None:
        """Tell the names of the columns."""
        losses = " ".join(f"{part:>7}" for part in event.run.parts)
        config, crowded = event.run.config, ""
        if event.run.crowded:
            crowded = "".join(f"{name} " for name in _names_kept(config.run.max_det))
        self._output.say(
            f"{'epoch':>9} {losses} {'instances':>9} {'size':>5} {'images/s':>8} {'P':>6} {'R':>6} {'mAP50':>6} "
            f"{'mAP50-95':>8} {crowded}{'remaining':>9}"
        )

    def on_train_epoch_start(self, event: TrainEpochStart) -> None:
        """Show a bar for the epoch."""
        self._open(f"epoch {event.epoch + 1}/{event.run.config.epochs}", event.run.batches)
        self._done = event.run.batches - event.batches

    def on_train_batch_end(self, event: BatchEnd) -> None:
        """Move the bar, with the mean losses behind it."""
        if self._bar is None:
            return
        self._done += 1
        if event.finite and all(map(math.isfinite, event.losses.values())):
            self._images += event.images
            for part, loss in event.losses.items():
                self._sums[part] = self._sums.get(part, 0.0) + loss
        now, task = time.monotonic(), self._bar.tasks[0].id
        self._bar.update(task, completed=self._done)
        if now - self._told >= TEXT_SECONDS and self._images:
            self._told = now
            speed = self._images / max(now - self._started, 1e-9)
            left = (event.run.batches - self._done) * event.run.config.batch / speed
            losses = "  ".join(f"{part} {total / self._images:.3f}" for part, total in self._sums.items())
            self._bar.update(task, tail=f"{losses}  {speed:.1f} images/s  {duration(left)} left")

    def on_train_epoch_end(self, event: TrainEpochEnd) -> None:
        """Take the bar away."""
        self._close()

    def on_val_start(self, event: ValStart) -> None:
        """Show a bar for the validation."""
        self._open("validation", event.run.val_images + event.run.older_images)

    def on_val_batch_end(self, event: ValBatchEnd) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._bar.tasks[0].id, completed=event.done)

    def on_val_end(self, event: ValEnd) -> None:
        """Take the bar away."""
        self._close()

    def on_start_evaluated(self, event: StartEvaluated) -> None:
        """Tell the row of the weights that the run starts from."""
        losses = " ".join(f"{'-':>7}" for _ in event.run.parts)
        numbers = _numbers(event.run, event.metrics)
        self._output.say(
            f"{'start':>9} {losses} {'-':>9} {event.run.config.imgsz:>5} {'-':>8} {numbers}{'-':>9} *",
            *_on_older("The start", event.run, event.older),
        )

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Tell the epoch's row, and what was left out or replaced in it."""
        m, config = event.metrics, event.run.config
        losses = " ".join(f"{loss:7.3f}" for loss in event.losses.values())
        self._output.say(
            f"{event.epoch + 1:>4}/{config.epochs:<4} {losses} {event.instances:>9} {config.imgsz:>5} "
            f"{event.images_per_second:8.1f} {_numbers(event.run, m)}{duration(event.remaining):>9}"
            f"{' *' if event.best else ''}",
            *_on_older(f"Epoch {event.epoch + 1}", event.run, event.older),
        )
        if not m.instances:
            self._output.say(f"Epoch {event.epoch + 1}: {describe_false_positives(m)}")
        for column, what in (("skipped", "optimizer step{} skipped"), ("replaced", "sample{} replaced")):
            if count := int(event.row[column] or 0):
                self._output.say(f"Epoch {event.epoch + 1}: {count} {what.format('' if count == 1 else 's')}.")

    def on_train_end(self, event: TrainEnd) -> None:
        """Tell the numbers of the best epoch."""
        if event.stopped_early:
            patience = event.run.config.schedule.patience
            self._output.say(f"No better result for {patience} epochs: stopped early (--patience).")
        best = "The start is best" if event.best_epoch < 0 else f"Best epoch {event.best_epoch + 1}"
        self._output.say(
            "",
            f"Trained in {duration(event.seconds)}. {best}, on the validation split:",
            *(f"  {line}" for line in class_table(event.metrics).split("\n")),  # begun by a class's name
        )
        if event.against_start is not None:
            self._output.say(event.against_start.describe())
        if event.older_against_start is not None:
            self._output.say(event.older_against_start.describe_on(str(event.run.config.data.keep_val)))

    def teardown(self, event: Teardown) -> None:
        """Leave no bar behind."""
        self._close()

    def _open(self, label: str, total: int) -> None:
        self._close()
        if not self._live:
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[tail]}"),
        )
        self._bar = Progress(*columns, console=self._output.console, transient=True, refresh_per_second=4)
        self._bar.add_task(label, total=total, tail="")
        self._bar.start()
        self._sums, self._images, self._done = {}, 0, 0
        self._started = self._told = time.monotonic()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _numbers(run: Run, metrics: Metrics) -> str:
    """The numbers of an evaluation under the names of the columns, with a space behind each."""
    m, crowded = metrics, ""
    numbers = " ".join(_number(value) for value in (m.precision, m.recall, m.map50))
    if run.crowded:
        pairs = zip(_names_kept(m.max_det), (m.map50_max_det, m.map_max_det), strict=True)
        crowded = "".join(f"{_number(value, len(name))} " for name, value in pairs)
    return f"{numbers} {_number(m.map, 8)} {crowded}"


def _on_older(what: str, run: Run, older: Metrics | None) -> list[str]:
    """The line of an evaluation on older data, where there are some."""
    if older is None:
        return []
    return [describe_older(what, str(run.config.data.keep_val), older)]


def class_table(metrics: Metrics) -> str:
    """Each class's numbers, a line each, under all together.

    The averages over all detections that were kept have columns where they are not COCO's.
    """
    classes = [(one_line(name), each) for name, each in metrics.classes.items()]
    every: list[tuple[str, Metrics | ClassMetrics]] = [("all", metrics), *classes]
    coco = {"mAP50": [each.map50 for _, each in every], "mAP50-95": [each.map for _, each in every]}
    averages = [each.map50_max_det for _, each in every], [each.map_max_det for _, each in every]
    kept = dict(zip(_names_kept(metrics.max_det), averages, strict=True))
    numbers = {
        "P": [each.precision for _, each in every],
        "R": [each.recall for _, each in every],
        "F1": [each.f1 for _, each in every],
        **coco,
        **({} if _texts(kept) == _texts(coco) else kept),
    }
    width = max([5, *(len(name) for name, _ in classes)])
    rows = [f"{'class':>{width}} {'instances':>9} {' '.join(f'{title:>6}' for title in numbers)}"]
    for place, (name, each) in enumerate(every):
        values = " ".join(_number(column[place], max(6, len(title))) for title, column in numbers.items())
        rows.append(f"{name:>{width}} {each.instances:>9} {values}")
    return "\n".join(rows)


def _texts(columns: Mapping[str, Sequence[float | None]]) -> list[list[str]]:
    """The numbers of some columns as they are shown."""
    return [[_number(value) for value in column] for column in columns.values()]


def _names_kept(max_det: int) -> tuple[str, str]:
    """Names of the averages over all detections that were kept."""
    return f"mAP50_{max_det}", f"mAP50-95_{max_det}"


def _number(value: float | None, width: int = 6) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.3f}"
