"""Image files of a COCO JSON: next to it, in the usual folders around it, or under another prefix."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from lehr.data.find_images import images_in
from lehr.data.formats.coco_files import SPLIT_FOLDERS
from lehr.data.groups import content_digest
from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.sample import Fault, Severity

UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""Put before file names by Label Studio."""


@dataclass(slots=True)
class Found:
    """Image files of a JSON.

    Attributes:
        paths: one for each record; if there is no such file, where it was expected.
        unlisted: other files in each folder that holds some of them, by name.
        ambiguous: positions of records whose name stands for several files.
        faults: how they were found, if it is not as the JSON says.
    """

    paths: list[Path]
    unlisted: dict[Path, frozenset[str]] = field(default_factory=dict)
    ambiguous: set[int] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)


def name_of(record: dict[str, Any]) -> str | None:
    """The name of an image's file, as a JSON gives it; LVIS has only the end of an address."""
    given = next((record[key] for key in ("file_name", "coco_url") if record.get(key)), None)
    return given if isinstance(given, str) else None


def find_images(json_path: Path, split: str, names: Sequence[str]) -> Found:
    """Find the files that a JSON names.

    Names are looked up in the JSON's folder, in `images`, `data`, `train2017` and the like in it and above it: one
    folder for all of them where it has most. A name that is not there is found by its longest end that is: without
    the folders of another machine, an address, a query, `%20`, or Label Studio's prefix.

    Args:
        json_path: the JSON.
        split: its split.
        names: (m,) as given.

    Raises:
        InputError: two folders hold all these names, with different files.
    """
    folders = _Folders(json_path, split)
    groups: dict[str, list[int]] = defaultdict(list)
    tails: list[str] = []
    for position, name in enumerate(names):
        head, slash, tail = name.rpartition("/")
        groups[head or slash].append(position)
        tails.append(tail)
    relative = {head: positions for head, positions in groups.items() if not head.startswith("/")}
    held: dict[Path, list[int]] = {}
    for base in folders.bases:
        wanted = groups if base == folders.bases[0] else relative
        listings = ((folders.listing(base, head), positions) for head, positions in wanted.items())
        held[base] = [i for listing, positions in listings if listing for i in positions if tails[i] in listing]
    order = sorted((base for base in held if held[base]), key=lambda base: -len(held[base]))
    base_of: list[Path | None] = [None] * len(names)
    for base in reversed(order):
        for position in held[base]:
            base_of[position] = base
    found = Found([(base or json_path.parent) / name for base, name in zip(base_of, names, strict=True)])
    for base in {base for base in base_of if base is not None}:
        for head, positions in groups.items():
            listing = folders.listing(base, head)
            if listing:
                found.unlisted[base / head] = listing.difference(tails[position] for position in positions)
    if len(order) > 1:
        found.faults += _several_folders(json_path, order, held, base_of, names)
    missing = [position for position, base in enumerate(base_of) if base is None]
    if len(missing) > len(names) / 2:  # else they are lost, and files of their names elsewhere are others
        _find_by_ends(json_path, folders, missing, names, found)
    return found


def _parts(name: str) -> list[str]:
    """Split a name into folders and file: of a path of any system, or of an address."""
    text = name.strip()
    if "://" in text or "/local-files/?" in text:
        address = urlsplit(text)
        behind = parse_qs(address.query).get("d")  # Label Studio's /data/local-files/?d=folder/image.jpg
        text = behind[0] if behind else address.path
    parts = [part for part in re.split(r"[\\/]+", text) if part not in ("", ".", "..")]
    return parts[1:] if parts and re.fullmatch(r"[A-Za-z]:", parts[0]) else parts


class _Folders:
    """Folders around a JSON in which its images may be, each listed at most once."""

    def __init__(self, json_path: Path, split: str) -> None:
        self.json_path = json_path
        others = [name for other, names in SPLIT_FOLDERS.items() if other != split for name in names]
        self._others = re.compile(rf"(?i)^({'|'.join(others)})[\W\d_]*$")
        self._listed: dict[str, frozenset[str]] = {}
        folder, above = json_path.parent, json_path.parent.parent
        stem = json_path.name.split(".")[0]
        subset = re.sub(r"^(instances|person_keypoints|annotations?|lvis_v\d(\.\d)?)_", "", stem)
        named = [split, *({"val": ["valid", "validation"], "train": ["training"]}.get(split, []))]
        subfolders = ["", "images", split, f"images/{split}", subset, f"images/{subset}", "JPEGImages", "data"]
        subfolders += [f"{where}{name}" for name in named[1:] for where in ("", "images/")]
        subfolders += [f"{name}/images" for name in dict.fromkeys((*named, subset))]
        bases = dict.fromkeys(base / sub for base in (folder, above) for sub in subfolders)
        self.bases = [base for base in bases if base.is_dir()]
        self.own_bases = [base for base in self.bases if not self.is_other(base)]

    def holds(self, base: Path, name: str) -> bool:
        """Return whether a folder holds a file of this name, which may begin with further folders."""
        head, slash, tail = name.rpartition("/")
        return tail in self.listing(base, head or slash)

    def listing(self, base: Path, below: str) -> frozenset[str]:
        """The names of the files in a folder below another."""
        folder = below if below.startswith("/") else f"{base}/{below}"
        listed = self._listed.get(folder)
        if listed is None:
            try:
                with os.scandir(folder) as entries:
                    listed = frozenset(entry.name for entry in entries if not entry.is_dir())
            except (OSError, ValueError):
                listed = frozenset()
            self._listed[folder] = listed
        return listed

    def is_other(self, folder: Path) -> bool:
        """Return whether a folder below the root is that of another split, by its name or those above."""
        try:
            parts = folder.relative_to(self.root).parts
        except ValueError:
            parts = (folder.name,)
        return any(self._others.match(part) for part in parts)

    @cached_property
    def root(self) -> Path:
        """The data set's folder: the JSON's, or the one above where that holds only annotations."""
        folder = self.json_path.parent
        own = re.fullmatch(r"(?i)annotations?|labels?|json|coco|train(ing)?|val(id(ation)?)?|test(ing)?", folder.name)
        return folder.parent if own else folder

    @cached_property
    def by_name(self) -> dict[str, list[Path]]:
        """All image files below the root, by their name in lower case; none below the root of a disk or a home."""
        files: dict[str, list[Path]] = defaultdict(list)
        root = self.root.resolve()
        if root != Path(root.anchor) and not (root / ".bashrc").exists():
            for path in images_in(self.root):
                files[_folded(path.name)].append(path)
        return files

    def ending_in(self, parts: list[str]) -> list[Path]:
        """The image files whose paths end in some folders and a name; if there is none, but for upper case."""
        known = self.by_name.get(_folded(parts[-1]), [])
        known = [
            path for path in known if len(path.parts) > len(parts) and not self.is_other(path.parents[len(parts) - 1])
        ]
        exact = [path for path in known if list(path.parts[-len(parts) :]) == parts]
        folded = [_folded(part) for part in parts]
        return exact or [path for path in known if [_folded(part) for part in path.parts[-len(parts) :]] == folded]


def _folded(name: str) -> str:
    """A name without what may differ between systems: upper case, and how accents are written."""
    return unicodedata.normalize("NFC", name).casefold()


def _several_folders(
    json_path: Path,
    order: list[Path],
    held: dict[Path, list[int]],
    base_of: list[Path | None],
    names: Sequence[str],
) -> Iterable[Fault]:
    """Say where images are in several folders, or stop where two hold all of them, and not the same.

    Raises:
        InputError: they do.
    """
    first, second = order[:2]
    if len(held[first]) == len(held[second]) and held[first] == held[second]:
        pairs = [(first / names[position], second / names[position]) for position in held[first]]
        if all(one.samefile(other) for one, other in pairs):
            return []
        for name in dict.fromkeys(names[position] for position in held[first]):
            if not _same_content(first / name, second / name):
                raise InputError(
                    f"{json_path}: both {first} and {second} hold its images, and {name} is not the same in both. "
                    "Remove or rename the wrong folder, or write the folder into the JSON's 'file_name'."
                )
        message = f"its images are in {first}, and the same once more in {second}; the first is taken"
        return [Fault("other-place", json_path, message, severity=Severity.NOTE)]
    others = Counter(base for base in base_of if base not in (None, first))
    if not others:
        return []
    where = ", ".join(f"{count} in {base}" for base, count in others.items())
    message = f"{len(held[first])} of its images are in {first}; of those that are not there, {where}"
    return [Fault("other-place", json_path, message, severity=Severity.WARNING)]


def _same_content(one: Path, other: Path) -> bool:
    try:
        if one.samefile(other):
            return True
        return one.stat().st_size == other.stat().st_size and content_digest(one) == content_digest(other)
    except OSError:
        return False


def _find_by_ends(json_path: Path, folders: _Folders, positions: list[int], names: Sequence[str], found: Found) -> None:
    """Find files by the longest end of their names that exists; those with several equally long are ambiguous."""
    moved: list[tuple[str, Path]] = []
    for position in positions:
        matches = _longest_end(folders, _parts(names[position]))
        if len(matches) == 1:
            found.paths[position] = matches[0]
            moved.append((names[position], matches[0]))
        elif matches:
            found.ambiguous.add(position)
            shown = " and ".join(str(match) for match in matches[:2])
            message = (
                f"the image '{names[position]}' is not where {json_path.name} says, and its name fits {shown}: it is "
                "skipped. Write the right one into 'file_name'"
            )
            found.faults.append(Fault("ambiguous-image", json_path, message))
    if moved:
        name, path = moved[0]
        message = (
            f"{len(moved)} of {counted(len(names), 'image is', 'images are')} not where the JSON says, and are "
            f"found by the end of their name "
            f"('{name}' as {path})"
        )
        found.faults.append(Fault("other-place", json_path, message, severity=Severity.WARNING))


def _longest_end(folders: _Folders, parts: list[str]) -> list[Path]:
    """The files whose path has the longest end in common with a name; several where they are equally long."""
    for variant in _variants(parts):
        for start in range(len(variant)):
            end = "/".join(variant[start:])
            held = [base / end for base in folders.own_bases if folders.holds(base, end)]
            matches = list({os.path.realpath(path): path for path in held}.values())
            matches = matches or folders.ending_in(variant[start:])
            if matches:
                return matches
    return []


def _variants(parts: list[str]) -> Iterable[list[str]]:
    """Yield a name unchanged, then decoded, without a query, and without Label Studio's prefix."""
    if not parts:
        return
    yield parts
    decoded = [unquote(part) for part in parts]
    if decoded != parts:
        yield decoded
    cut = [*decoded[:-1], decoded[-1].partition("?")[0].partition("#")[0]]
    if cut != decoded:
        yield cut
    if UPLOAD_PREFIX.match(cut[-1]):
        yield [*cut[:-1], UPLOAD_PREFIX.sub("", cut[-1])]
