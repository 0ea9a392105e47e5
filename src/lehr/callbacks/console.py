"""What a run shows while it trains: a row an epoch, and on a terminal a bar for the epoch that runs.

The same rows go to `train.log`. Where the output is a file, there is no bar, and no control codes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lehr.evaluation.metrics import Metrics
from lehr.runtime.console import Console, duration


@dataclass(frozen=True, slots=True)
class EpochSummary:
    """What is told of an epoch.

    Attributes:
        epoch: from 0.
        losses: mean of each part of the loss, an image.
        instances: objects seen.
        images_per_second: of the training loop, validation left out.
        metrics: of the validation.
        remaining: seconds to the end of the run, estimated.
        best: whether it is the best epoch so far.
    """

    epoch: int
    losses: Sequence[float]
    instances: int
    images_per_second: float
    metrics: Metrics
    remaining: float
    best: bool


class RunConsole(Console):
    """Tells a run's course to the terminal, or whatever the output is, and to a file.

    Args:
        log: the file, e.g. `train.log`.
        epochs: epochs of the run.
        imgsz: image size shown, pixels.
        console: where to print; by default the standard output.
        silent: tell nothing: another process of the run does.
    """

    def __init__(
        self, log: Path, epochs: int, imgsz: int, console: RichConsole | None = None, silent: bool = False
    ) -> None:
        super().__init__(log, console, silent)
        self._epochs = epochs
        self._imgsz = imgsz

    def header(self, parts: Sequence[str]) -> None:
        """The names of the columns.

        Args:
            parts: names of the parts of the loss.
        """
        losses = " ".join(f"{part:>7}" for part in parts)
        self.say(
            f"{'epoch':>9} {losses} {'instances':>9} {'size':>5} {'images/s':>8} {'P':>6} {'R':>6} {'mAP50':>6} "
            f"{'mAP50-95':>8} {'remaining':>9}"
        )

    def epoch_done(self, summary: EpochSummary) -> None:
        """The row of a finished epoch."""
        m = summary.metrics
        losses = " ".join(f"{loss:7.3f}" for loss in summary.losses)
        numbers = " ".join(_number(value) for value in (m.precision, m.recall, m.map50))
        self.say(
            f"{summary.epoch + 1:>4}/{self._epochs:<4} {losses} {summary.instances:>9} {self._imgsz:>5} "
            f"{summary.images_per_second:8.1f} {numbers} {_number(m.map, 8)} {duration(summary.remaining):>9}"
            f"{' *' if summary.best else ''}"
        )

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Bar]:
        """A bar that goes away when its work is done; nothing where the output is no terminal."""
        if not self._console.is_terminal or self._console.quiet:
            yield Bar(None)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[tail]}"),
        )
        with Progress(*columns, console=self._console, transient=True, refresh_per_second=4) as progress:
            progress.add_task(label, total=total, tail="")
            yield Bar(progress)


class Bar:
    """A bar on the terminal, or nothing.

    Attributes:
        due: whether a second has passed since the last text: measuring it may cost, so it is not done each step.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for a new text."""
        return self._progress is not None and time.monotonic() - self._last >= 1

    def advance(self, done: int, text: str | None = None) -> None:
        """Moves the bar to a count, with a new text behind it if given."""
        if self._progress is None:
            return
        task = self._progress.tasks[0].id
        if text is None:
            self._progress.update(task, completed=done)
        else:
            self._last = time.monotonic()
            self._progress.update(task, completed=done, tail=text)


def class_table(metrics: Metrics) -> str:
    """Each class's numbers, a line each, under all together."""
    width = max([5, *(len(name) for name in metrics.classes)])
    rows = [f"{'class':>{width}} {'instances':>9} {'P':>6} {'R':>6} {'F1':>6} {'mAP50':>6} {'mAP50-95':>8}"]
    every = ("all", metrics.instances, metrics.precision, metrics.recall, metrics.f1, metrics.map50, metrics.map)
    each = [(n, c.instances, c.precision, c.recall, c.f1, c.map50, c.map) for n, c in metrics.classes.items()]
    for name, instances, precision, recall, f1, map50, average in [every, *each]:
        numbers = " ".join(_number(value) for value in (precision, recall, f1, map50))
        rows.append(f"{name:>{width}} {instances:>9} {numbers} {_number(average, 8)}")
    return "\n".join(rows)


def _number(value: float | None, width: int = 6) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.3f}"
