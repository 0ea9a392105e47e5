"""Progress of work that takes more than a moment: in a notebook, and on a terminal where a command asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape

from lehr.runtime.console import terminal
from lehr.runtime.notebook import LiveCell, in_notebook
from lehr.runtime.progress_bar import ProgressBar

QUICK_SECONDS = 1.0
"""Work that takes no longer than this shows nothing."""
REDRAW_SECONDS = 0.5
"""Seconds between two states of a bar in a notebook."""
Move = Callable[[int], None]

_ON_TERMINAL: ContextVar[bool] = ContextVar("lehr_progress_on_terminal", default=False)


@contextmanager
def progress_on_terminal() -> Iterator[None]:
    """Show progress on the terminal while the block runs, as commands do; Python programs print nothing unasked."""
    token = _ON_TERMINAL.set(True)
    try:
        yield
    finally:
        _ON_TERMINAL.reset(token)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Move]:
    """Show how far the work of a block has come, where somebody can see it.

    Args:
        label: what is being done, e.g. "validation".
        total: how many there are to do; None if that is not known.

    Yields:
        What takes how many are done.
    """
    if in_notebook():
        bar = NotebookBar(label, total)
        yield bar.move
        bar.end()
    elif _ON_TERMINAL.get() and total and (console := terminal()).is_terminal and console.is_interactive:
        line = ProgressBar(console, label, total)
        line.start()
        try:
            yield line.move
        finally:
            line.stop()
    else:
        yield lambda done: None


class NotebookBar:
    """A bar in a notebook; what it ends with stays.

    Args:
        label: what is being done.
        total: how many there are to do; None if that is not known.
    """

    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total, self._done = label, total, 0
        self._cell: LiveCell | None = None
        self._started = self._shown = time.monotonic()

    def move(self, done: int) -> None:
        """Set how many are done."""
        self._done = done
        now = time.monotonic()
        if now - self._started >= QUICK_SECONDS and now - self._shown >= REDRAW_SECONDS:
            self._shown = now
            self._draw(now - self._started)

    def end(self) -> None:
        """Leave the last state, if there was one to see."""
        if self._cell is not None:
            self._draw(time.monotonic() - self._started)

    def _draw(self, seconds: float) -> None:
        self._cell = self._cell or LiveCell()
        details = [f"{self._done / max(seconds, 1e-9):.1f} images/s"]
        self._cell.show(bar_html(self._label, self._done, self._total, details), f"{self._label} {self._done}")


def bar_html(label: str, done: int, total: int | None, details: list[str]) -> str:
    """Return a bar as HTML, in colours for light and dark pages."""
    count = f"{done}" if total is None else f"{done}/{total}"
    share = 0.0 if not total else 100 * min(done / total, 1)
    bar = (
        ""
        if total is None
        else f'<span style="flex:0 1 16em;height:.5em;border-radius:.25em;background:#8884;overflow:hidden">'
        f'<span style="display:block;height:100%;width:{share:.1f}%;background:#2e9e6b"></span></span>'
    )
    texts = "".join(f"<span>{escape(each)}</span>" for each in (count, *details))
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:.4em 1em;align-items:center;font-variant-numeric:tabular-nums">'
        f"<span>{escape(label)}</span>{bar}{texts}</div>"
    )
