"""Lists of sources in text files: one a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lehr.errors import InputError
from lehr.runtime.reading import MIB, read_file

SUFFIXES = frozenset({".txt", ".streams", ".lst", ".list"})
MAX_BYTES = 64 * MIB
"""Bytes of a list at most, about a million names."""


def read_list(path: Path) -> list[tuple[int, str]]:
    """The names in a list, with their lines, from 1; empty lines and those that begin with # are passed over.

    Raises:
        InputError: it cannot be read, is not text, or holds no name.
    """
    try:
        data = read_file(path, MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}.") from None
    return list(parse_list(data, str(path)))


def parse_list(data: bytes, name: str) -> Iterator[tuple[int, str]]:
    """The names in the text of a list, with their lines.

    Raises:
        InputError: it is not text, or holds no name.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name}:{number}: is not UTF-8. A list of sources is text, one source a line.") from None
    found = False
    for number, line in enumerate(text.split("\n"), 1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            found = True
            yield number, entry
    if not found:
        raise InputError(f"{name}: names no source. A list of sources is text, one source a line.")


def place_of(entry: str, folder: Path) -> str:
    """An entry as a source: a name that exists only next to the list is taken from there.

    Args:
        entry: as the list has it.
        folder: the list's.
    """
    path = Path(entry).expanduser()
    try:
        beside = not path.is_absolute() and not path.exists() and (folder / path).exists()
    except (OSError, ValueError):
        return entry
    return str(folder / path) if beside else entry
