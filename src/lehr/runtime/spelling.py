"""Spelling of options in messages: `--imgsz 640` for users of the shell, `imgsz=640` for users of Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SHELL: ContextVar[bool] = ContextVar("lehr_shell", default=False)


def speaks_shell() -> bool:
    """Return whether a command of the shell is running, so that messages spell options its way."""
    return _SHELL.get()


@contextmanager
def shell_spelling() -> Iterator[None]:
    """Have messages spell options as the shell does, while entered."""
    token = _SHELL.set(True)
    try:
        yield
    finally:
        _SHELL.reset(token)
