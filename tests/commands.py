"""The command `lehr` within the process of the tests: its text, its exit code, what it leaves."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from lehr.cli.app import main


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
