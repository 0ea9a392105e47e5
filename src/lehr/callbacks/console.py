"""The course of a run on the console: a row per epoch, and on a terminal a bar for the epoch that is running.

Rows go to the logger, and so to `train.log` too, with all columns; a terminal shows those that it has room for. Where
the output is a file, there is no bar, and no control codes.
"""

from __future__ import annotations

from rich.text import Text

from lehr.callbacks.callback import Callback
from lehr.callbacks.epoch_progress import EpochProgress
from lehr.callbacks.epoch_table import EpochTable, starred, styled
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
from lehr.callbacks.outcome import after_epoch, comparison_lines, end_lines, learned, on_older
from lehr.evaluation.class_table import class_table
from lehr.runtime.console import Console
from lehr.runtime.line_width import fold
from lehr.runtime.progress_bar import ProgressBar

HEADER_ROWS = 20
"""Rows on a terminal after which the names of the columns are repeated."""
INDENT = "  "


class ConsoleCallback(Callback):
    """Reports the course of a run.

    Args:
        output: where it is reported.
    """

    def __init__(self, output: Console) -> None:
        self._output = output
        self._bar: ProgressBar | None = None
        self._progress = EpochProgress()
        self._table: EpochTable | None = None
        self._header = ""
        self._rows = 0
        self._legend_due = True

    def on_train_start(self, event: TrainStart) -> None:
        """Print the names of the columns."""
        self._table = EpochTable(event.run)
        self._print_header(self._table)

    def on_train_epoch_start(self, event: TrainEpochStart) -> None:
        """Show a bar for the epoch."""
        self._open(f"epoch {event.epoch + 1}/{event.run.config.epochs}", event.run.batches)
        self._progress = EpochProgress(event)

    def on_train_batch_end(self, event: BatchEnd) -> None:
        """Move the bar, with the time left, the speed and the mean losses behind it."""
        if self._bar is not None:
            self._bar.move(*self._progress.count(event))

    def on_train_epoch_end(self, event: TrainEpochEnd) -> None:
        """Take the bar away."""
        self._close()

    def on_val_start(self, event: ValStart) -> None:
        """Show a bar for the validation."""
        epoch = f"epoch {event.epoch + 1}/{event.run.config.epochs}" if event.step else "start"
        self._open(f"{epoch} validation", event.run.val_images + event.run.older_images)

    def on_val_batch_end(self, event: ValBatchEnd) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.move(event.done)

    def on_val_end(self, event: ValEnd) -> None:
        """Take the bar away."""
        self._close()

    def on_start_evaluated(self, event: StartEvaluated) -> None:
        """Print the row of the weights that the run starts from."""
        table = self._table or EpochTable(event.run)
        self._print_row(table, table.start(event), table.start(event, self._output.width))
        self._explain_star(table, starred(True, event.metrics))
        self._output.say(*on_older("The start", event.run, event.older))

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Print the epoch's row, and what was skipped or replaced in it."""
        table = self._table or EpochTable(event.run)
        self._print_row(table, table.epoch(event), table.epoch(event, self._output.width))
        self._explain_star(table, starred(event.best, event.metrics))
        self._output.say(*after_epoch(event))

    def on_train_end(self, event: TrainEnd) -> None:
        """Print the numbers of the best epoch."""
        self._output.say(*end_lines(event))
        if learned(event):
            width = self._output.width
            rows = class_table(event.metrics).split("\n")
            shown = class_table(event.metrics, None if width is None else width - len(INDENT)).split("\n")
            for row, each in zip(rows, shown, strict=True):  # indented, since a class's name begins it
                self._output.say_row(f"{INDENT}{row}", Text(f"{INDENT}{each}"))
        self._output.say(*comparison_lines(event))

    def teardown(self, event: Teardown) -> None:
        """Leave no bar behind."""
        self._close()

    def _print_header(self, table: EpochTable) -> None:
        self._header, self._rows = table.header(self._output.width), 0
        self._output.say_row(table.header(), styled(self._header, header=True), of_epochs=True)

    def _print_row(self, table: EpochTable, row: str, shown: str) -> None:
        """Print a row, on a terminal after the names of its columns where they differ or have scrolled away."""
        if self._output.is_terminal and (self._rows >= HEADER_ROWS or table.header(self._output.width) != self._header):
            self._header, self._rows = table.header(self._output.width), 0
            self._output.show_line(styled(self._header, header=True))
        self._rows += 1
        self._output.say_row(row, styled(shown), of_epochs=True)

    def _explain_star(self, table: EpochTable, star: bool) -> None:
        if star and self._legend_due:
            self._legend_due = False
            self._output.say_row(f"      {table.legend}", Text(fold(f"      {table.legend}", self._output.width)), True)

    def _open(self, label: str, total: int) -> None:
        self._close()
        if self._output.is_terminal:
            self._bar = ProgressBar(self._output.console, label, total)
            self._bar.start()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
