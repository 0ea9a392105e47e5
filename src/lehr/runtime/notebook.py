"""Output in a notebook: one part of a cell's output, replaced in place, that stays when the notebook is saved."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook; IPython in a terminal is none."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else getattr(ipython, "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class LiveCell:
    """A part of a cell's output; nothing that goes wrong with it ends anything."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, html: str, text: str) -> None:
        """Put something in place of what the part shows.

        Args:
            html: for notebooks.
            text: for what shows no HTML, as consoles do.
        """
        content = {"text/html": html, "text/plain": text}
        with contextlib.suppress(Exception):
            if self._handle is None:
                display: Any = importlib.import_module("IPython.display").display
                self._handle = display(content, raw=True, display_id=True)
            else:
                self._handle.update(content, raw=True)
