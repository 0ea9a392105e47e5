"""The course of a run in a notebook: one live output with bar, table and curves, instead of a line after the other."""

from __future__ import annotations

import logging
import time

from lehr.callbacks.callback import Callback
from lehr.callbacks.console import ConsoleCallback
from lehr.callbacks.epoch_progress import EpochProgress
from lehr.callbacks.epoch_table import EpochTable, starred
from lehr.callbacks.events import (
    BatchEnd,
    FitEpochEnd,
    Teardown,
    TrainEpochEnd,
    TrainEpochStart,
    TrainStart,
    ValBatchEnd,
    ValEnd,
    ValStart,
)
from lehr.callbacks.notebook_page import RunPage, page_html, page_text
from lehr.evaluation.class_table import names_kept
from lehr.runtime.console import IN_TABLE, Console
from lehr.runtime.notebook import LiveCell, in_notebook
from lehr.runtime.plain_text import entry

COLUMNS = 100
"""Width of the terminal whose columns the table has."""
REDRAW_SECONDS = 1.0
"""Seconds between two states of the output while an epoch runs."""


class NotebookView(logging.Handler):
    """The live output of a run: what is said goes into it too.

    Args:
        cell: where it is shown; by default the cell that runs.
    """

    def __init__(self, cell: LiveCell | None = None) -> None:
        super().__init__(logging.INFO)
        self.page = RunPage()
        self._cell = cell or LiveCell()
        self._drawn = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Show a line; rows of the table have a place of their own."""
        if not getattr(record, IN_TABLE, False):
            lines = self.page.after if self.page.titles else self.page.before
            lines.append(entry(record.getMessage()))
            self.draw()

    def draw(self, at_once: bool = True) -> None:
        """Show the current state.

        Args:
            at_once: even where the last one was drawn just now.
        """
        now = time.monotonic()
        if at_once or now - self._drawn >= REDRAW_SECONDS:
            self._drawn = now
            self._cell.show(page_html(self.page), page_text(self.page))


class NotebookCallback(Callback):
    """Draws the course of a run into a notebook.

    Args:
        view: where it is drawn.
    """

    def __init__(self, view: NotebookView) -> None:
        self._view = view
        self._page = view.page
        self._progress = EpochProgress()

    def on_train_start(self, event: TrainStart) -> None:
        """Set up the table."""
        table = EpochTable(event.run)
        self._page.titles = [column.title for column in table.columns(COLUMNS)]
        self._page.legend = table.legend
        self._view.draw()

    def on_train_epoch_start(self, event: TrainEpochStart) -> None:
        """Show a bar for the epoch."""
        self._progress = EpochProgress(event)
        self._page.bar = (f"epoch {event.epoch + 1}/{event.run.config.epochs}", 0, event.run.batches, [])
        self._view.draw()

    def on_train_batch_end(self, event: BatchEnd) -> None:
        """Move the bar."""
        done, details = self._progress.count(event)
        if self._page.bar is not None:
            label, _, total, before = self._page.bar
            self._page.bar = (label, done, total, before if details is None else details)
            self._view.draw(at_once=False)

    def on_train_epoch_end(self, event: TrainEpochEnd) -> None:
        """Take the bar away."""
        self._page.bar = None

    def on_val_start(self, event: ValStart) -> None:
        """Show a bar for the validation."""
        epoch = f"epoch {event.epoch + 1}/{event.run.config.epochs}" if event.step else "start"
        self._page.bar = (f"{epoch} validation", 0, event.run.val_images + event.run.older_images, [])
        self._view.draw()

    def on_val_batch_end(self, event: ValBatchEnd) -> None:
        """Move the bar."""
        if self._page.bar is not None:
            label, _, total, details = self._page.bar
            self._page.bar = (label, event.done, total, details)
            self._view.draw(at_once=False)

    def on_val_end(self, event: ValEnd) -> None:
        """Take the bar away."""
        self._page.bar = None

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Add the epoch to table and curves."""
        page, metrics = self._page, event.metrics
        cells = EpochTable(event.run).cells(event)
        page.rows.append([cells.get(title, "-") for title in page.titles])
        page.stars.append(starred(event.best, metrics))
        for part, loss in event.losses.items():
            page.losses.setdefault(part, []).append(loss)
        averages = {"mAP50": metrics.map50, "mAP50-95": metrics.map}
        if event.run.crowded:
            kept = names_kept(event.run.config.run.max_det)
            averages = dict(zip(kept, (metrics.map50_max_det, metrics.map_max_det), strict=True))
        for name, value in averages.items():
            page.averages.setdefault(name, []).append(value)
        self._view.draw()

    def teardown(self, event: Teardown) -> None:
        """Leave the last state without a bar."""
        self._page.bar = None
        self._view.draw()


def notebook_view(verbose: bool) -> NotebookView | None:
    """Return the live output of a run; None if nobody is to see one, or this is not a notebook."""
    return NotebookView() if verbose and in_notebook() else None


def display_callbacks(output: Console) -> list[Callback]:
    """Return the listeners that show the course of a run on an output, and write it to its log."""
    live = [NotebookCallback(output.handler)] if isinstance(output.handler, NotebookView) else []
    return [*live, ConsoleCallback(output)]
