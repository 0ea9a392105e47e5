"""The names in folders, each folder listed once: to look up many paths, also under other spellings."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Set
from urllib.parse import unquote

from lehr.errors import InputError

DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")
"""The drive that an absolute path of Windows begins with."""


DEPTH = 32
"""Folders at the end of a path of another machine that are looked for."""
LONGEST = 4096
"""Characters of the longest path that systems have."""


class FolderIndex:
    """The names in folders, listed when first asked for."""

    def __init__(self) -> None:
        self._names: dict[str, Set[str]] = {}
        self._folded: dict[str, Mapping[str, list[str]]] = {}

    def names(self, folder: str) -> Set[str]:
        """The names in a folder; none if it is not a folder, or cannot be read."""
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder or "."))
            except (OSError, ValueError):
                self._names[folder] = frozenset()
        return self._names[folder]

    def holds(self, path: str) -> bool:
        """Return whether there is such a file or folder."""
        folder, name = os.path.split(path)
        if name in ("", ".", ".."):
            return os.path.isdir(path)
        return name in self.names(folder)

    def alike(self, folder: str, relative: str) -> list[str]:
        """The paths in a folder that differ from a relative one only in case, blanks, or Unicode's composition."""
        found = [folder]
        for part in relative.split("/"):
            if part in ("", "."):
                continue
            if part == "..":
                found = [os.path.join(each, part) for each in found]
                continue
            found = [os.path.join(each, name) for each in found for name in self._named(each, part)]
        return found

    def _named(self, folder: str, part: str) -> list[str]:
        if part in self.names(folder):
            return [part]
        if folder not in self._folded:
            by_fold: dict[str, list[str]] = defaultdict(list)
            for name in sorted(self.names(folder)):
                by_fold[fold(name)].append(name)
            self._folded[folder] = by_fold
        return self._folded[folder].get(fold(part), [])


def fold(name: str) -> str:
    """A name without case, blanks around it, and the two ways in which Unicode composes letters."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def cleaned(text: str) -> str:
    """Normalize a path: without blanks, quotes and `file://`, and with slashes for backslashes."""
    text = text.strip().strip("'\"").strip()
    if text.lower().startswith("file://"):
        text = unquote(text[7:])
    return text.replace("\\", "/")


def parts_of(text: str) -> tuple[bool, list[str]]:
    """Return whether a path with slashes is absolute on any system, and its parts without drive, `.` and `..`."""
    absolute = text.startswith("/") or DRIVE.match(text) is not None
    parts = DRIVE.sub("", text, count=1).split("/")
    return absolute, [part for part in parts if part not in ("", ".", "..")]


def is_there(path: str | os.PathLike[str]) -> bool:
    """Return whether there is such a file or folder; False also where its name is too long, or no name."""
    return os.path.exists(path)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether there is such a folder; False also where its name is too long, or no name."""
    return os.path.isdir(path)


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether there is such a file; False also where its name is too long, or no name."""
    return os.path.isfile(path)


def with_home_and_variables(text: str) -> str:
    """A path with `~` and the environment variables that are set put in."""
    return os.path.expanduser(os.path.expandvars(text))


def expanded(text: str, place: str) -> str:
    """A path with `~` and environment variables put in.

    Args:
        text: as written.
        place: file and line, for the message.

    Raises:
        InputError: a variable is not set.
    """
    found = with_home_and_variables(text)
    missing = re.search(r"\$\{?(\w+)\}?", found)
    if missing and missing[0] in text:
        raise InputError(f"{place}: '{text}': the environment variable {missing[1]} is not set. Set it.")
    return found
