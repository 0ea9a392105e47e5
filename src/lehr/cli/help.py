"""`--help` and `--help-all`: of the program, of a command, and of one that has commands itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cyclopts import App

from lehr.cli.commands import OVERVIEWS, Commands
from lehr.cli.layout import entry, heading, paragraph, plain, usage

if TYPE_CHECKING:
    from rich.text import Text

ALL = "--help-all"
FLAGS = frozenset({"--help", "-h", ALL})
WIDEST = 120
"""Columns that are used at most: longer lines are hard to read."""


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Return whether a command line asks for help instead of work."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return not FLAGS.isdisjoint(before) or list(arguments[:1]) == ["help"]


def show_help(arguments: Sequence[str], app: App) -> None:
    """Print the help of a command.

    Args:
        arguments: the command line that asks for it.
        app: the program.
    """
    from lehr.runtime.console import terminal

    words = [word for word in arguments if word not in FLAGS and word != "help"]
    chain, apps, _ = app.parse_commands(words)
    name = " ".join(chain)
    width = min(shutil.get_terminal_size().columns, WIDEST)
    if name in OVERVIEWS:
        lines = overview(name, apps[-1].help, OVERVIEWS[name], width)
    else:
        from lehr.cli.command_help import command_help

        lines = command_help(name, apps[-1], width, None if ALL in arguments else ALL)
    console = terminal()
    for line in lines:
        console.print(line)


def overview(name: str, text: str, commands: Commands, width: int) -> Iterator[Text]:
    """The commands of a program by heading, with examples."""
    program = f"lehr {name}".strip()
    about, *rest = text.split("\n\n")
    yield from (usage(f"{program} COMMAND [OPTIONS]"), plain(), *paragraph(about, width), plain())
    yield heading("Examples")
    yield from (plain(f"  {line}") for part in rest for line in part.split("\n"))
    for title, group in commands.items():
        yield from (plain(), heading(title))
        for each in group:
            yield from entry(each.name, [each.summary], width, 12)
    more = "" if name else " `lehr --version` prints the version."
    yield from (plain(), *paragraph(f"`{program} COMMAND --help` shows the options of a command.{more}", width))
