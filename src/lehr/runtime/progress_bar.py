"""A bar of one line for work that takes a while, shown on a terminal and gone when the work is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions
from rich.live import Live
from rich.text import Text

SHORTEST, LONGEST = 10, 40
"""Cells of the bar itself."""


class ProgressBar:
    """Label, bar, count and details in one line, as many details as the terminal's width has room for.

    Args:
        console: the terminal.
        label: what is being done, e.g. "epoch 12/100".
        total: how many there are to do.
    """

    def __init__(self, console: RichConsole, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._details: tuple[str, ...] = ()
        self._live = Live(self, console=console, transient=True, refresh_per_second=4)

    def start(self) -> None:
        """Show the bar."""
        self._live.start()

    def move(self, done: int, details: Sequence[str] | None = None) -> None:
        """Set how many are done.

        Args:
            done: from 0 to the total.
            details: short texts, the most important first; None keeps the last ones.
        """
        self._done = min(done, self._total)
        if details is not None:
            self._details = tuple(details)

    def stop(self) -> None:
        """Take the bar away."""
        self._live.stop()

    def line(self, width: int, plain: bool = False) -> Text:
        """Return the line for a terminal of some columns.

        Args:
            width: columns; one is left free, where the cursor stands.
            plain: in ASCII.
        """
        count = f"{self._done:>{len(str(self._total))}}/{self._total}"
        room = width - 1 - len(self._label) - len(count) - 2
        details, taken = "", SHORTEST
        for each in self._details:
            if taken + len(details) + 2 + len(each) > room:
                break
            details += f"  {each}"
        cells = max(0, min(room - len(details), LONGEST))
        filled = round(cells * self._done / self._total) if self._total else cells
        full, empty = ("#", "-") if plain else ("━", "─")
        line = Text(f"{self._label} ", no_wrap=True, overflow="crop")
        if cells >= SHORTEST:
            line.append(full * filled, style="green").append(empty * (cells - filled), style="dim").append(" ")
        line.append(count).append(details)
        return line

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> Iterator[Text]:
        yield self.line(options.max_width, options.ascii_only)
