"""Telling a course to the terminal, or whatever the output is, and to a file; runs and studies do."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console as RichConsole


class Terminal(RichConsole):
    """A console that falls silent when nobody reads it any more, instead of ending the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def terminal(silent: bool = False) -> RichConsole:
    """The standard output as a console.

    Args:
        silent: print nothing.
    """
    return Terminal(highlight=False, soft_wrap=True, quiet=silent)


class Console:
    """Tells lines to the terminal, or whatever the output is, and to a file.

    Neither a closed terminal nor a full disk ends anything: what cannot be told is left untold.

    Args:
        log: the file.
        console: where to print; by default the standard output.
        silent: tell nothing: another process does.
    """

    def __init__(self, log: Path, console: RichConsole | None = None, silent: bool = False) -> None:
        self._log: TextIO | None = None
        if not silent:
            with contextlib.suppress(OSError):
                self._log = log.open("a", encoding="utf-8")
        self._console = console or terminal(silent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            with contextlib.suppress(OSError):
                self._log.close()

    def say(self, text: str) -> None:
        """A line, or several."""
        with contextlib.suppress(OSError):
            self._console.print(text, markup=False)
        if self._log is not None:
            with contextlib.suppress(OSError):
                self._log.write(text + "\n")
                self._log.flush()


def complain(message: str) -> None:
    """Tells an error on the standard error output."""
    for number, line in enumerate(message.splitlines()):
        sys.stderr.write(f"{'lehr: ' if number == 0 else '      '}{line}\n")


def duration(seconds: float) -> str:
    """Seconds for people: 0:07, 3:05 or 2:03:20."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
