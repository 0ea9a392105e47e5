"""Output of runs and studies: through the logger `lehr`, to the terminal and to a file."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console as RichConsole
from rich.text import Text

from lehr.errors import InputError
from lehr.runtime.line_width import fold, line_width
from lehr.runtime.plain_text import MARGIN, entry, printable
from lehr.runtime.reading import NotRegular, open_append
from lehr.runtime.standard_streams import SafeStream

LOGGER = logging.getLogger("lehr")
"""All that Lehr reports goes through it."""
SHOWN = "lehr_shown"
"""Attribute of a record that holds what terminals show in place of its message."""
IN_TABLE = "lehr_in_table"
"""Attribute of a record that is a part of the table of epochs."""


def terminal(silent: bool = False) -> RichConsole:
    """Return the standard output as a console; printing to it never fails.

    Bars and tables move only on a terminal that a person looks at: not in a file or a pipe, even where FORCE_COLOR is
    set, not on a dumb terminal, and not in continuous integration (CI), whose log would keep every state of a bar.

    Args:
        silent: print nothing.
    """
    output: Any = SafeStream("stdout")
    watched = output.isatty() and os.environ.get("CI", "").lower() in ("", "0", "false")
    return RichConsole(
        file=output,
        highlight=False,
        soft_wrap=True,
        quiet=silent,
        emoji=False,
        force_jupyter=False,  # where there is one cell for a run
        force_interactive=None if watched else False,
    )


class TerminalHandler(logging.Handler):
    """Prints records on a console; a closed terminal ends nothing.

    Args:
        output: where to print, and how wide that is.
    """

    def __init__(self, output: Console) -> None:
        super().__init__(logging.INFO)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record's message, or what it has for terminals instead, without its traceback."""
        shown = getattr(record, SHOWN, None)
        with contextlib.suppress(OSError):
            text = shown if isinstance(shown, Text) else Text(fold(entry(record.getMessage()), self._output.width))
            self._output.console.print(text)


class LogFileHandler(logging.Handler):
    """Appends records to a file, with their tracebacks; a full disk ends nothing.

    Args:
        path: the file; nothing is written where it cannot be opened.

    Raises:
        InputError: the file is a link, or no regular file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(logging.INFO)
        self._file: TextIO | None = None
        try:
            self._file = io.TextIOWrapper(open_append(path), encoding="utf-8", errors="backslashreplace")
        except NotRegular as error:
            raise InputError(f"{path}: {error.strerror}. Remove it, or put a copy in its place.") from None
        except OSError:
            pass

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record's message and traceback, and flush."""
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):
                self._file.write(entry(self.format(record)) + "\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        super().close()


class Console:
    """Sends lines to the logger `lehr`; while entered, the logger hands them to the terminal and to a file.

    Neither a closed terminal nor a full disk ends anything: what cannot be written is dropped.

    Args:
        log: the file.
        console: where to print; by default the standard output.
        silent: send nothing at all: another process does.
        verbose: print; else only the file and the user's own handlers of the logger have it.
        handler: shows the lines in place of a terminal.
    """

    def __init__(
        self,
        log: Path,
        console: RichConsole | None = None,
        silent: bool = False,
        verbose: bool = True,
        handler: logging.Handler | None = None,
    ) -> None:
        self.console = console or terminal(silent or not verbose)
        self._own_console = console is None
        self.handler = handler or TerminalHandler(self)
        self._log = log
        self._silent = silent
        self._verbose = verbose
        self._handlers: list[logging.Handler] = []
        self._level = LOGGER.level

    @property
    def is_terminal(self) -> bool:
        """True when lines are seen on a terminal, where bars and tables can move."""
        return self.console.is_terminal and self.console.is_interactive and not self.console.quiet

    @property
    def width(self) -> int | None:
        """Columns of the terminal at this moment; None where lines may be of any length."""
        return line_width(self.console.file) if self._own_console else self.console.width

    def __enter__(self) -> Self:
        if not self._silent:
            self._handlers = [LogFileHandler(self._log)]
            if self._verbose:
                self._handlers.append(self.handler)
            self._level = LOGGER.level
            if LOGGER.getEffectiveLevel() > logging.INFO:
                LOGGER.setLevel(logging.INFO)
            for handler in self._handlers:
                LOGGER.addHandler(handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handler in self._handlers:
            LOGGER.removeHandler(handler)
            handler.close()
        if not self._silent:
            LOGGER.setLevel(self._level)
        self._handlers = []

    def say(self, *entries: str) -> None:
        """Send entries, usually of one line each; what further lines one has are indented."""
        if not self._silent:
            for text in entries:
                LOGGER.info("%s", entry(text))

    def say_row(self, row: str, shown: Text, of_epochs: bool = False) -> None:
        """Send a row of a table.

        Args:
            row: the whole row, for files.
            shown: what a terminal shows of it, as wide as that is; made of numbers and printable text.
            of_epochs: the table is that of epochs, which a notebook shows by other means.
        """
        if not self._silent:
            LOGGER.info("%s", entry(row), extra={SHOWN: shown, IN_TABLE: of_epochs})

    def show_line(self, shown: Text) -> None:
        """Print a line on the terminal alone."""
        with contextlib.suppress(OSError):
            self.console.print(shown)


def complain(message: str) -> None:
    """Print an error on the standard error output."""
    output = SafeStream("stderr")
    width = line_width(output)
    for number, line in enumerate(printable(message).splitlines()):
        output.write(fold(f"{'lehr: ' if number == 0 else MARGIN}{line}", width) + "\n")
    output.flush()


def duration(seconds: float) -> str:
    """Seconds for people: 0:07, 3:05 or 2:03:20."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
