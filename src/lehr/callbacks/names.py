"""Names of callbacks in options and files: those of installed packages, and those that are code."""

from __future__ import annotations

from collections.abc import Sequence


def split_code(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split names of callbacks into those of installed packages, and those that lead to any importable object."""
    listed = (names,) if isinstance(names, str) else tuple(names)
    return tuple(name for name in listed if ":" not in name), tuple(name for name in listed if ":" in name)


def code_notice(file: str, names: Sequence[str]) -> str:
    """Describe callbacks that a file names and that are not imported for that, since the file may come from anybody."""
    given = " ".join(f"--callback {name}" for name in names)
    return f"{file} names callbacks that are code, which a file alone does not get to run. To use them, give {given}."
