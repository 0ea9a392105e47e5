"""Paths of the images of a list: many paths looked up together, by folders that are listed once."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lehr.data.folder_index import DEPTH, LONGEST, FolderIndex, fold, parts_of
from lehr.data.images import is_image
from lehr.errors import InputError


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image that was found otherwise than as written.

    Attributes:
        path: the file.
        how: how, for a message, e.g. "without '/home/me/data'"; empty if only quotes and slashes differ.
    """

    path: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class _Move:
    """A prefix of paths that stands for another folder here."""

    prefix: tuple[str, ...]
    base: str


@cache
def _is_image_suffix(suffix: str) -> bool:
    return is_image(Path(f"a{suffix}"))


def has_image_suffix(name: str) -> bool:
    """Return whether a name ends as those of image files."""
    return _is_image_suffix(os.path.splitext(name)[1])


class ListedPaths:
    """The paths of a list, found in an order of folders."""

    def __init__(self, places: Sequence[Path], own: Path, index: FolderIndex) -> None:
        """Set the folders that names are relative to, in order, and the folder of the list, which is the second."""
        self.index = index
        self.own = str(own)
        self.first = _distinct([*places[:1], own])
        self.bases = _distinct([*places[:1], own, *places[1:], Path()])
        self._folders: dict[str, list[str]] = {}
        self._stems: dict[str, Mapping[str, list[str]]] = {}
        self._by_name: Mapping[str, list[str]] | None = None

    def as_written(self, name: str, where: str) -> str | None:
        """The image of a name as written; None if it is in none of the places, or no image.

        Args:
            name: a path, absolute or relative.
            where: file and line, for messages.

        Raises:
            InputError: it is in two places, as two files.
        """
        if not has_image_suffix(name):
            return None
        file = name[name.rfind("/") + 1 :]
        folder = name[: len(name) - len(file)]
        if folder not in self._folders:
            self._folders[folder] = self._candidates(folder)
        found = [each for each in self._folders[folder] if file in self.index.names(each)]
        if len(found) > 1 and os.path.realpath(os.path.join(found[0], file)) != os.path.realpath(
            os.path.join(found[1], file)
        ):
            raise InputError(
                f"{where}: '{name}' could be {os.path.join(found[0], file)} or {os.path.join(found[1], file)}. Write "
                "./ before it for the list's own folder, or the whole path."
            )
        return os.path.join(found[0], file) if found else None

    def _candidates(self, folder: str) -> list[str]:
        """The folders that a list's folder could be, of those that are there, best first."""
        if os.path.isabs(folder):
            return [folder]
        if folder.startswith("./"):
            return [os.path.join(self.own, folder)]
        candidates = [os.path.join(base, folder) for base in self.first]
        return [each for each in candidates if self.index.names(each)]

    def otherwise(self, names: Sequence[str]) -> list[FoundImage | str]:
        """Find images that are in no place as written.

        Args:
            names: paths with slashes, without quotes.

        Returns:
            For each the image, or why there is none.
        """
        split = [os.path.split(name if len(name) <= LONGEST else "") for name in names]
        by_folder: dict[str, list[int]] = defaultdict(list)
        for i, (folder, _) in enumerate(split):
            by_folder[folder].append(i)
        found: dict[int, FoundImage | str] = {}
        for folder, those in by_folder.items():
            here = self._here(folder)
            for i in those:
                one = next((hit for each, how in here for hit in self._image(each, split[i][1], how)), None)
                if one is not None:
                    found[i] = one
        open_folders = {
            folder: [i for i in those if i not in found]
            for folder, those in by_folder.items()
            if not any(i in found for i in those)
        }
        self._move(open_folders, split, found)
        self._find_bare([i for i, (folder, _) in enumerate(split) if not folder and i not in found], split, found)
        return [found.get(i) or self._why_missing(name) for i, name in enumerate(names)]

    def _here(self, folder: str) -> list[tuple[str, str]]:
        """The folders here that a listed one could be, as written or spelled otherwise, and how."""
        if os.path.isabs(folder):
            return [(each, "" if each == folder else f"as {each}") for each in self.index.alike("/", folder)]
        here = []
        for base in self.bases:
            plain = os.path.normpath(os.path.join(base, folder))
            for each in self.index.alike(base, folder):
                how = "" if base in self.first else f"from {os.path.abspath(base)}"
                here.append((each, how if os.path.normpath(each) == plain else f"as {os.path.normpath(each)}"))
        return here

    def _image(self, folder: str, name: str, how: str) -> list[FoundImage]:
        """The image in a folder that a name stands for: in other case, without its suffix, or by its label file."""
        names = self.index.names(folder)
        if has_image_suffix(name) and name in names:
            return [FoundImage(os.path.join(folder, name), how)]
        stems = self._by_stem(folder)
        alike = [each for each in stems.get(fold(os.path.splitext(name)[0]), ()) if fold(each) == fold(name)]
        if alike:
            return [FoundImage(os.path.join(folder, alike[0]), how or "in other letters")] if len(alike) == 1 else []
        stem, suffix = os.path.splitext(name)
        if suffix.lower() == ".txt":
            return self._of_label(folder, stem)
        if not has_image_suffix(name):
            hits = stems.get(fold(name), ())
            if len(hits) == 1:
                return [FoundImage(os.path.join(folder, hits[0]), how or "with the suffix of the image")]
        return []

    def _of_label(self, folder: str, stem: str) -> list[FoundImage]:
        """The image of a label file, in the folder next to `labels` or in the same."""
        parts = folder.split("/")
        for i in range(len(parts) - 1, -1, -1):
            if parts[i] == "labels":
                parts[i] = "images"
                break
        for each in dict.fromkeys(("/".join(parts), folder)):
            hits = self._by_stem(each).get(fold(stem), ())
            if len(hits) == 1:
                return [FoundImage(os.path.join(each, hits[0]), "as the images of the label files that it names")]
        return []

    def _by_stem(self, folder: str) -> Mapping[str, list[str]]:
        if folder not in self._stems:
            stems: dict[str, list[str]] = defaultdict(list)
            for name in sorted(self.index.names(folder)):
                if has_image_suffix(name):
                    stems[fold(os.path.splitext(name)[0])].append(name)
            self._stems[folder] = stems
        return self._stems[folder]

    def _move(
        self,
        open_folders: Mapping[str, list[int]],
        split: Sequence[tuple[str, str]],
        found: dict[int, FoundImage | str],
    ) -> None:
        """Find images under other prefixes: each time the one that finds most, until none finds any."""
        waiting = {folder: those for folder, those in open_folders.items() if folder}
        while waiting:
            hits: Counter[_Move] = Counter()
            for folder, those in waiting.items():
                for move, here in self._moves(folder):
                    count = sum(bool(self._image(here, split[i][1], "")) for i in those)
                    if count:
                        hits[move] += count
            if not hits:
                return
            # The longest end of the paths, of those that find most.
            best = min(hits, key=lambda move: (-hits[move], len(move.prefix)))
            for folder, those in list(waiting.items()):
                moved = dict(self._moves(folder)).get(best)
                if moved is None:
                    continue
                shown = ("/" if os.path.isabs(folder) else "") + "/".join(best.prefix)
                how = f"with {os.path.abspath(best.base)} for {shown}"
                ones = {i: self._image(moved, split[i][1], how) for i in those}
                found |= {i: one[0] for i, one in ones.items() if one}
                if any(ones.values()):
                    del waiting[folder]

    def _moves(self, folder: str) -> list[tuple[_Move, str]]:
        """The prefixes that a listed folder could lose, and where it would then be."""
        absolute, parts = parts_of(folder)
        moves = []
        for first in range(max(0 if absolute else 1, len(parts) - DEPTH), len(parts) + 1):
            for base in self.bases:
                here = os.path.join(base, *parts[first:])
                if self.index.names(here):
                    moves.append((_Move(tuple(parts[:first]), base), here))
        return moves

    def _find_bare(
        self, those: list[int], split: Sequence[tuple[str, str]], found: dict[int, FoundImage | str]
    ) -> None:
        """Find images that are listed by their bare names, below the places."""
        if not those:
            return
        by_name = self._images_below()
        hits = {i: by_name.get(split[i][1], []) for i in those}
        folders = Counter(os.path.dirname(path) for paths in hits.values() for path in paths)
        whole = [folder for folder, count in folders.items() if count == len(those)]
        for i, paths in hits.items():
            if len(whole) == 1:
                path = os.path.join(whole[0], split[i][1])
            elif len(paths) == 1:
                path = paths[0]
            elif paths:
                found[i] = f"could be {' or '.join(paths[:3])}. Write the folder too"
                continue
            else:
                continue
            found[i] = FoundImage(path, f"by its bare name, in {os.path.dirname(path)}")

    def _images_below(self) -> Mapping[str, list[str]]:
        if self._by_name is None:
            by_name: dict[str, list[str]] = defaultdict(list)
            seen: set[str] = set()
            for base in self.first:
                for folder, folders, files in os.walk(base):
                    folders.sort()
                    real = os.path.realpath(folder)
                    if real in seen:
                        folders.clear()
                        continue
                    seen.add(real)
                    for file in files:
                        if has_image_suffix(file):
                            by_name[file].append(os.path.join(folder, file))
            self._by_name = by_name
        return self._by_name

    def _why_missing(self, name: str) -> str:
        whole = name if os.path.isabs(name) else os.path.join(self.bases[0], name)
        if os.path.isdir(whole):
            return "is a folder. Name its images, or the folder itself in the data YAML"
        if not has_image_suffix(name) and os.path.exists(whole):
            return "is not an image file"
        folder, file = os.path.split(name)
        label = os.path.splitext(file)[0] + ".txt"
        for _, here in self._moves(folder):
            for labels in (here, here.replace("images", "labels")):
                if label in self.index.names(labels):
                    return f"its label file is in {labels}, but there is no image. Copy it there, or export it too"
        looked = ", ".join(dict.fromkeys(os.path.abspath(base) for base in self.first))
        return f"there is no such image (looked for in {looked}). Restore it, or correct or remove the line"


def _distinct(folders: Sequence[Path]) -> list[str]:
    """Folders, each once, under the first of its names."""
    by_real: dict[str, str] = {}
    for folder in folders:
        by_real.setdefault(os.path.realpath(folder), str(folder))
    return list(by_real.values())
