"""The command `lehr` within the process of the tests: its text, its exit code, what it leaves."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cyclopts.argument import _collection

from lehr.cli import arguments
from lehr.cli.app import main


def remember(module: Any, name: str) -> None:
    """Have a function of one argument, or whose others are always the same, answer once for each."""
    read, answers = getattr(module, name), {}

    def answered(first: Any, *others: Any, **named: Any) -> Any:
        if id(first) not in answers:
            answers[id(first)] = first, read(first, *others, **named)
        return answers[id(first)][1]

    setattr(module, name, answered)


# What a command takes and its docstrings tell, which costs each command a tenth of a second, and its help half of one.
remember(arguments, "_options_of")
remember(_collection, "_resolve_groups_from_callable")
remember(_collection, "extract_docstring_help")


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended.

    Attributes:
        returncode: its exit code.
        stdout: what it printed.
        stderr: what it printed of errors.
    """

    returncode: int
    stdout: str
    stderr: str


def lehr(*arguments: str | Path, cwd: Path, code: int = 0) -> Done:
    """Does a command as the entry point does it; its exit code must be the one expected, without a traceback.

    Args:
        arguments: of the command.
        cwd: where it works.
        code: the exit code.
    """
    done = lehr_code(*arguments, cwd=cwd)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def lehr_code(*arguments: str | Path, cwd: Path) -> Done:
    """Does a command as the entry point does it, without a traceback, whatever its exit code.

    Args:
        arguments: of the command.
        cwd: where it works.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main(list(map(str, arguments)))
    done = Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())
    assert "Traceback" not in done.stdout + done.stderr
    return done
