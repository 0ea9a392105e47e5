"""The images that a user names: files, folders, globs."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lehr.data.find_images import is_hidden
from lehr.data.images import ImageFault, is_image, probe_image, read_image
from lehr.data.images.kinds import read_suffixes
from lehr.errors import InputError, nearest_names
from lehr.prediction.other_sources import describe_file, describe_name, may_be_meant

FIRST, MOST_KINDS, MOST_BROKEN = 3, 5, 5
"""Files named of those that are left out, endings counted, and broken files named."""


@dataclass(frozen=True, slots=True)
class FoundImages:
    """The image files of some sources.

    Attributes:
        images: each once, in the order named; those of folders and globs sorted.
        left_out: files of the folders and globs that are not read, and that may have been meant.
    """

    images: tuple[Path, ...]
    left_out: tuple[Path, ...] = ()


def find_images(sources: Iterable[str]) -> FoundImages:
    """Find the image files of some sources: files, folders with the folders in them, and globs.

    Raises:
        InputError: a source names nothing, is no image file, or holds no image.
    """
    images: list[Path] = []
    left_out: list[Path] = []
    for source in sources:
        found = _of_source(source)
        images += found.images
        left_out += found.left_out
    return FoundImages(tuple(dict.fromkeys(images)), tuple(dict.fromkeys(left_out)))


def describe_left_out(paths: Sequence[Path]) -> str:
    """Count and name files that are not read, in one line."""
    places = ", ".join(map(str, paths[:FIRST])) + (", ..." if len(paths) > FIRST else "")
    what = "1 file that is" if len(paths) == 1 else f"{len(paths)} files that are"
    return f"Not read: {what} of no image format that is known here ({_list_kinds(paths)}): {places}"


def refuse_broken(images: Sequence[Path]) -> None:
    """Stop before anything is computed when images are broken, as far as their headers and ends show it.

    Raises:
        InputError: some are.
    """
    with ThreadPoolExecutor() as pool:
        broken = [fault for fault in pool.map(_fault, images) if fault is not None]
    if broken:
        more = f"\n... and {len(broken) - MOST_BROKEN} more" if len(broken) > MOST_BROKEN else ""
        raise InputError(
            "\n".join(map(str, broken[:MOST_BROKEN]))
            + f"{more}\n{len(broken)} of {len(images)} images cannot be read. Predict without them by --skip-broken."
        )


def _fault(path: Path) -> ImageFault | None:
    """Probe an image, and only if that fails decode it: prediction takes whatever can be decoded."""
    try:
        probe_image(path)
    except ImageFault:
        try:
            read_image(path)
        except ImageFault as error:
            return error
    return None


def _of_source(source: str) -> FoundImages:
    """The images of a file, a folder or a glob."""
    path = Path(source).expanduser()
    try:
        is_folder, exists = bool(source) and path.is_dir(), bool(source) and path.exists()
    except (OSError, ValueError) as error:  # too long, or with a zero byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{source[:60]}: {describe_name(source) or f'is no name of a file ({reason}).'}") from None
    if is_folder:
        return _of_folder(path, source)
    described = describe_file(path) if exists else describe_name(source)
    if described is not None:
        raise InputError(f"{source}: {described}")
    return FoundImages((path,)) if exists else _of_glob(path, source)


def _of_folder(folder: Path, source: str) -> FoundImages:
    """The images in a folder and the folders in it."""
    found = _sorted_out(_files_in(folder))
    if found.images:
        return found
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputError(f"{source}: the folder cannot be read. Check its permissions.")
    held = _list_kinds(_files_in(folder)) or "no files"
    video = next((path for path in found.left_out if describe_file(path)), None)
    hint = f"{video}: {describe_file(video)}" if video else _endings()
    raise InputError(f"{source}: the folder holds no images; it holds {held}. {hint}")


def _files_in(folder: Path) -> list[Path]:
    """The files in a folder and the folders in it, links followed, hidden ones passed over."""
    files: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        known = Path(root).stat()
        if (known.st_dev, known.st_ino) in seen:  # links that lead in a circle
            folders.clear()
            continue
        seen.add((known.st_dev, known.st_ino))
        folders[:] = [name for name in folders if not is_hidden(name)]
        files += [Path(root, name) for name in names if not is_hidden(name)]
    return sorted(files)


def _sorted_out(files: Iterable[Path]) -> FoundImages:
    """The images among files, and those that are not read but may have been meant."""
    images: list[Path] = []
    left_out: list[Path] = []
    for path in files:
        if is_image(path):  # a link whose file is gone, too, so that it is named as broken
            images.append(path)
        elif may_be_meant(path):
            left_out.append(path)
    return FoundImages(tuple(images), tuple(left_out))


def _of_glob(path: Path, source: str) -> FoundImages:
    """The images that match a pattern, and those in folders that match."""
    if path.is_symlink():
        raise InputError(f"{source}: is a link to {path.readlink()}, which does not exist. Restore or remove it.")
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 (absolute)
    if not matches:  # brackets may belong to the folder's name
        pattern = str(Path(glob.escape(str(path.parent)), path.name))
        matches = sorted(Path(match) for match in glob.glob(pattern, recursive=True))  # noqa: PTH207
    images: list[Path] = []
    left_out: list[Path] = []
    for match in matches:
        found = _sorted_out(_files_in(match)) if match.is_dir() else _sorted_out([match])
        images += found.images
        left_out += found.left_out or ([match] if not found.images and not match.is_dir() else [])
    if images:
        return FoundImages(tuple(images), tuple(left_out))
    if matches:
        raise InputError(f"{source}: matches no image, only {_list_kinds(matches)}. {_endings()}")
    raise InputError(f"{source}: no such image, folder or glob.{_hint(path)}")


def _hint(path: Path) -> str:
    """Say what a name that is not there may have been meant for."""
    slashed = Path(str(path).replace("\\", "/"))
    if "\\" in str(path) and slashed.exists():
        return f" Write slashes: {slashed}"
    bare = Path(str(path).strip(" '\""))
    if bare != path and str(bare) and bare.exists():
        return f" Without quotes and blanks it exists: {bare}"
    if not path.parent.is_dir():
        return f" There is no folder {path.parent}."
    try:
        near = nearest_names(path.name, (each.name for each in path.parent.iterdir()))
    except OSError:
        near = []
    return f" There: {', '.join(str(path.parent / name) for name in near)}" if near else ""


def _endings() -> str:
    return f"Images end in {', '.join(f'.{suffix}' for suffix in sorted(read_suffixes()))}."


def _list_kinds(paths: Iterable[Path]) -> str:
    """List endings and how many files have them, the most frequent first."""
    counted = Counter(path.suffix.lower() for path in paths).most_common(MOST_KINDS)
    return ", ".join(f"{count} {kind or 'without ending'}" for kind, count in counted)
