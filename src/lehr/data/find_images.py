"""Image files in a folder, and files that look like images but are not read.

Links are followed, to files and to folders, each folder once, so that cyclic links end. Hidden files and folders, and
files left behind by systems (`._a.jpg`, `__MACOSX`, `.ipynb_checkpoints`, `@eaDir`), are passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lehr.data.images.files import PULL
from lehr.data.images.kinds import read_suffixes, suffix_of, unread
from lehr.sample import Fault, Severity

PASSED_OVER = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
"""Folders of systems, which hold copies and previews."""

DEEPEST = 200
"""Maximum depth of nested folders."""
MANY = 100
"""Number of paths in a folder above which listing it is faster."""


@dataclass(slots=True)
class ImageScan:
    """The images of a folder and the folders in it.

    Attributes:
        images: the files that are read, sorted.
        faults: files that look like images and are not read, links whose target is missing, folders that cannot be
            read.
    """

    images: list[Path] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


@dataclass(slots=True)
class _Folder:
    """A folder: its images and other files by name, its folders, and links to folders."""

    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: dict[str, _Folder] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)


def images_in(folder: Path, faults: list[Fault] | None = None) -> list[Path]:
    """Find all image files below a folder, sorted.

    Args:
        folder: where to look.
        faults: receives files that look like images but are not read.
    """
    found = scan_images(folder)
    if faults is not None:
        faults += found.faults
    return found.images


def scan_images(folder: Path) -> ImageScan:
    """Find all image files below a folder, and files that look like images."""
    found = ImageScan()
    seen: set[tuple[int, int]] = set()
    root = _list(str(folder), seen, found.faults)
    _follow(str(folder), root, seen, found.faults)
    _collect(str(folder), root, found)
    return found


def paths_in(folder: Path) -> dict[str, Path]:
    """List the entries of a folder by name, much faster than building each path; empty if it cannot be read."""
    try:
        return {path.name: path for path in folder.iterdir()}
    except OSError:
        return {}


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or left behind by a system, by its name."""
    return name.startswith(".") or name in PASSED_OVER


def unread_faults(names: Iterable[str], images: Iterable[str], folder: str = "") -> Iterator[Fault]:
    """Faults of files that look like images and are not read.

    A still image is an error, as it may well be labelled; a video, a drawing, or a raw photograph with its JPEG next to
    it is only a warning.

    Args:
        names: the files.
        images: those of the same place that are read.
        folder: theirs.
    """
    stems: set[str] | None = None
    for name in names:
        why = unread(name)
        if why is None:
            continue
        if stems is None:
            stems = {image.rpartition(".")[0] for image in images}
        path = Path(folder, name)
        if not why.is_image:
            yield Fault("no-image", path, why.reason, severity=Severity.WARNING)
        elif name.rpartition(".")[0] in stems:
            message = f"{why.reason} The image of the same name next to it is used."
            yield Fault("unread-image", path, message, severity=Severity.WARNING)
        else:
            yield Fault("unread-image", path, why.reason)


def _list(path: str, seen: set[tuple[int, int]], faults: list[Fault]) -> _Folder:
    """List a folder and the folders in it, without following links to folders."""
    folder = _Folder()
    suffixes = read_suffixes()
    if path.count(os.sep) > DEEPEST:
        message = f"is nested more than {DEEPEST} folders deep. Move the images up."
        faults.append(Fault("unreadable-folder", Path(path), message))
        return folder
    try:
        status = Path(path).stat()
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if is_hidden(name):
                    continue
                is_folder, is_file = _kind(entry)
                if is_folder and entry.is_symlink():
                    folder.links.append(name)
                elif is_folder:
                    folder.folders[name] = _list(entry.path, seen, faults)
                elif not is_file:
                    if suffix_of(name) in suffixes or unread(name):
                        faults.append(_no_file(entry))
                else:
                    (folder.images if suffix_of(name) in suffixes else folder.others).append(name)
    except OSError as error:
        message = f"cannot be read ({error.strerror}). Fix its permissions, or remove it."
        faults.append(Fault("unreadable-folder", Path(path), message))
    return folder


def _no_file(entry: os.DirEntry[str]) -> Fault:
    """The fault of what is named like an image and is not a file: a link to nothing, a device, a named pipe."""
    path = Path(entry.path)
    if path.exists():
        message = "is a device, a named pipe or a socket, or a link to one: no image. Remove it."
        return Fault("unreadable-image", path, message)
    return Fault("dangling-link", path, f"is a link to {path.readlink()}, which is not there. {PULL}.")


def _kind(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Return whether an entry is a folder, and whether it is a file; a link counts as what it leads to."""
    try:
        return entry.is_dir(), entry.is_file()
    except OSError:  # links that lead to each other
        return False, False


def _follow(path: str, folder: _Folder, seen: set[tuple[int, int]], faults: list[Fault]) -> None:
    """List the targets of links to folders, each folder once."""
    for name, inner in folder.folders.items():
        _follow(f"{path}/{name}", inner, seen, faults)
    for name in sorted(folder.links):
        target = f"{path}/{name}"
        try:
            status = Path(target).stat()
        except OSError:  # it is missing or not accessible
            continue
        if (status.st_dev, status.st_ino) not in seen:
            inner = folder.folders[name] = _list(target, seen, faults)
            _follow(target, inner, seen, faults)


def _collect(path: str, folder: _Folder, found: ImageScan) -> None:
    """Gather images in the order of their paths' parts."""
    known = paths_in(Path(path)) if len(folder.images) > MANY else {}
    for name in sorted([*folder.images, *folder.folders]):
        inner = folder.folders.get(name)
        if inner is None:
            found.images.append(known.get(name) or Path(path, name))
        else:
            _collect(f"{path}/{name}", inner, found)
    found.faults += unread_faults(sorted(folder.others), folder.images, path)
