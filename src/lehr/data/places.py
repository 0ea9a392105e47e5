"""Places of the paths of a data YAML: one order of places, and a message if it was not the first.

An entry is taken from the first of these places that has it:

1. the folder that `path` names; without `path`, the folder of the data YAML;
2. the folder of the data YAML;
3. for an entry that begins with `../`, as exports of Roboflow write it: the folder of the data YAML, without the `../`;
4. the working folder.

If none has it as written, the same places are searched for it in another spelling (slashes for backslashes, other
case), and then for the end of it, as of a path of another machine.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lehr.data.folder_index import DEPTH, LONGEST, FolderIndex, cleaned, expanded, is_folder, is_there, parts_of
from lehr.errors import InputError

PATTERN = frozenset("*?[")
MOST_DEEP = 2
"""Parts of a pattern, `**`, that stand for folders of any depth."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which paths are looked for.

    Attributes:
        folder: the folder.
        name: as people call it, e.g. "the folder of data.yaml".
    """

    folder: Path
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """A path that was looked for.

    Attributes:
        paths: the file or folder; several files where a pattern was given.
        how: how it was found, for a message; empty if it is as written, in the first place.
        moved: whether only its end is that of what was written.
    """

    paths: tuple[Path, ...]
    how: str = ""
    moved: bool = False


class Places:
    """An order of places, and the prefix of another machine that all their paths have."""

    def __init__(self, places: Sequence[Place], index: FolderIndex | None = None) -> None:
        """Take places in the order in which they are searched; a folder that comes twice counts once."""
        seen: set[str] = set()
        self.places: list[Place] = []
        for place in places:
            real = os.path.realpath(place.folder)
            if real not in seen:
                seen.add(real)
                self.places.append(place)
        self.index = index or FolderIndex()
        self._moved: tuple[tuple[str, ...], Path] | None = None
        self._as_written = False

    def find(self, text: str, where: str, may_move: bool = True) -> Found | None:
        """Look for a path.

        Args:
            text: as written.
            where: file and line, for messages.
            may_move: whether the end of a path of another machine will do.

        Raises:
            InputError: two files or folders could be meant.
        """
        if len(text) > LONGEST:
            return None
        found = self._exactly(text, where) or self._spelled_otherwise(text, where)
        if found is not None:
            self._as_written = True
            return found
        return self._moved_here(text) if may_move else None

    def _exactly(self, text: str, where: str) -> Found | None:
        if Path(text).is_absolute():
            found = _existing(Path(text))
            return Found(found) if found else None
        for number, place in enumerate(self.places):
            found = _existing(place.folder / text)
            inner = text.removeprefix("../") if text.startswith("../") else None
            beside = _existing(self._own_folder() / inner) if inner is not None and number == 0 else None
            if found and beside and not _same(found, beside):
                raise InputError(
                    f"{where}: '{text}' could be {_shown(found)} or, as Roboflow writes it, {_shown(beside)}. Write "
                    f"the one that is meant, e.g. {beside[0].resolve()}."
                )
            if found:
                return Found(found, "" if number == 0 else f"in {place.name}")
            if beside:
                return Found(beside, "in the folder of the data YAML, as Roboflow means '../'")
        return None

    def _own_folder(self) -> Path:
        return next((each.folder for each in self.places if each.name.startswith("the folder of")), Path())

    def _spelled_otherwise(self, text: str, where: str) -> Found | None:
        clean = expanded(cleaned(text), where)
        if clean != text:
            found = self._exactly(clean, where)
            if found is not None:
                return found if "$" in text or text.startswith("~") else Found(found.paths, found.how or f"as {clean}")
        if Path(clean).is_absolute():
            found_alike = self.index.alike("/", clean)
            return self._only(found_alike, text, where)
        for relative in (clean, *([clean[3:]] if clean.startswith("../") else [])):
            for place in self.places:
                found_one = self._only(self.index.alike(str(place.folder), relative), text, where)
                if found_one is not None:
                    return found_one
        return None

    def _only(self, found: list[str], text: str, where: str) -> Found | None:
        if len(found) > 1:
            raise InputError(f"{where}: '{text}' could be {' or '.join(found[:3])}. Write the one that is meant.")
        return Found((Path(found[0]),), f"as {found[0]}") if found and is_there(found[0]) else None

    def _moved_here(self, text: str) -> Found | None:
        """Look for the longest end of a path that is in one of the places; all paths must have the same prefix."""
        absolute, parts = parts_of(cleaned(text))
        if self._moved is not None:
            prefix, folder = self._moved
            if tuple(parts[: len(prefix)]) != prefix:
                return None
            found = _existing(folder.joinpath(*parts[len(prefix) :]))
            return _moved(found) if found else None
        if self._as_written and not absolute:
            return None  # the others are there as written, so this one is missing
        for first in range(max(0 if absolute or ".." in text else 1, len(parts) - DEPTH), len(parts)):
            rest = parts[first:]
            for place in self.places:
                whole = first and parts[first - 1] == place.folder.resolve().name
                if not absolute and len(rest) == 1 and not whole and "." not in rest[0]:
                    continue
                found = _existing(place.folder.joinpath(*rest))
                if found:
                    self._moved = (tuple(parts[:first]), place.folder)
                    return _moved(found)
        return None


def _moved(found: Sequence[Path]) -> Found:
    return Found(tuple(found), f"by the end of that path, {_shown(found)}", moved=True)


def _existing(path: Path) -> tuple[Path, ...]:
    """The file or folder, or the files that a pattern matches."""
    try:
        if is_there(path):
            return (path,)
        pattern = re.sub(r"(?:\*\*/)+", "**/", str(path))  # each would multiply what is searched
        if PATTERN & set(pattern) and pattern.count("**") <= MOST_DEEP:
            return tuple(Path(each) for each in sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
    except (OSError, ValueError, RecursionError):
        pass
    return ()


def _same(first: Sequence[Path], second: Sequence[Path]) -> bool:
    return {os.path.realpath(path) for path in first} == {os.path.realpath(path) for path in second}


def _shown(paths: Sequence[Path]) -> str:
    return str(paths[0]) + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def root_folder(
    text: str, where: str, own: Place, exists_in: Callable[[Path], bool], index: FolderIndex | None = None
) -> tuple[Path | None, str]:
    """The folder that `path` of a data YAML names.

    Args:
        text: as written.
        where: file and line, for messages.
        own: the folder of the data YAML.
        exists_in: whether a folder has what `train` and `val` name.
        index: of folders that were listed already.

    Returns:
        The folder, None if there is none, and how it was found; empty if it is as written.

    Raises:
        InputError: two folders could be meant.
    """
    working = Place(Path(), "the working folder")
    places = Places([own, working], index)
    if not Path(text).is_absolute():
        both = [place.folder / text for place in places.places if is_folder(place.folder / text)]
        if len(both) == 2 and not _same(both[:1], both[1:]) and text.strip("./"):
            usable = [folder for folder in both if exists_in(folder)]
            if len(usable) == 2:
                raise InputError(
                    f"{where}: 'path' could be {both[0].resolve()} or {both[1].resolve()}, and both hold what 'train' "
                    "and 'val' name. Write the one that is meant."
                )
            if usable == both[1:]:
                return both[1], "in the working folder"
        if both:
            return both[0], "" if both[0] == own.folder / text else "in the working folder"
    found = places.find(text, where, may_move=False)
    if found is not None and is_folder(found.paths[0]):
        return found.paths[0], found.how
    absolute, parts = parts_of(cleaned(text))
    bases = [own.folder, own.folder.resolve().parent, Path()]
    tails = [Path(*parts[first:]) for first in range(max(0 if absolute else 1, len(parts) - DEPTH), len(parts))]
    for folder in [*(base / tail for tail in tails for base in bases), own.folder]:
        if is_folder(folder) and exists_in(folder):
            return folder, f"is not there, so {folder.resolve()} is taken, which holds what 'train' and 'val' name"
    return None, ""
