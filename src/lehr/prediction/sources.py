"""The images that a user names: files, folders, globs."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from lehr.data.find_images import is_hidden, scan_images
from lehr.data.images import is_image
from lehr.data.images.kinds import read_suffixes, unread
from lehr.data.probing import probe
from lehr.errors import InputError, nearest_names
from lehr.prediction.other_sources import ARCHIVES, VIDEOS, describe_file, describe_name, holds_image
from lehr.sample import Fault, Severity

MOST_KINDS, MOST_BROKEN = 5, 5
"""Endings counted, and broken files named."""
SNIFFED = 20
"""Files of a folder without images whose content is looked at."""
BROKEN = frozenset({"dangling-link", "unreadable-folder"})
"""Kinds of faults of a folder that hide images."""


@dataclass(frozen=True, slots=True)
class FoundImages:
    """The image files of some sources.

    Attributes:
        images: each once, in the order named; those of folders and globs sorted.
        broken: links whose image is missing, and folders that cannot be read.
        left_out: files of the folders and globs that are not read, and that may have been meant.
    """

    images: tuple[Path, ...]
    broken: tuple[Fault, ...] = ()
    left_out: tuple[Fault, ...] = ()


def find_images(sources: Iterable[str]) -> FoundImages:
    """Find the image files of some sources: files, folders with the folders in them, and globs.

    Raises:
        InputError: a source names nothing, is no image file, or holds no image.
    """
    return _joined([_of_source(source) for source in sources])


def check_images(found: FoundImages, skip_broken: bool) -> list[Fault]:
    """Look at the headers and ends of images, before anything is computed.

    Args:
        found: the images.
        skip_broken: do not refuse broken ones, which are found again when they are read.

    Returns:
        Notes on how images will be read.

    Raises:
        InputError: some are broken.
    """
    with ThreadPoolExecutor() as pool:
        faults = [fault for _, own in pool.map(probe, found.images) for fault in own]
    broken = [*found.broken, *(fault for fault in faults if fault.severity is Severity.ERROR)]
    if broken and not skip_broken:
        lines = [f"{fault.path}: {fault.message}" for fault in broken[:MOST_BROKEN]]
        more = [f"... and {len(broken) - MOST_BROKEN} more"] if len(broken) > MOST_BROKEN else []
        count = f"{len(broken)} of {len(found.images) + len(found.broken)} images cannot be read."
        raise InputError("\n".join([*lines, *more, f"{count} Predict without them by --skip-broken."]))
    return [fault for fault in faults if fault.severity is not Severity.ERROR]


def _joined(parts: Iterable[FoundImages]) -> FoundImages:
    """Join what was found in several places, each file once."""
    images: dict[Path, None] = {}
    broken: dict[Path, Fault] = {}
    left_out: dict[Path, Fault] = {}
    for part in parts:
        images |= dict.fromkeys(part.images)
        broken |= {fault.path: fault for fault in part.broken}
        left_out |= {fault.path: fault for fault in part.left_out}
    return FoundImages(tuple(images), tuple(broken.values()), tuple(left_out.values()))


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
    found = _in_folder(folder)
    if found.images:
        return found
    if found.broken:
        first = found.broken[0]
        raise InputError(f"{source}: the folder holds no image that can be read. {first.path} {first.message}")
    held = _list_kinds(path for path in folder.rglob("*") if path.is_file()) or "no files"
    video = next((fault.path for fault in found.left_out if describe_file(fault.path)), None)
    hint = f"{video} {describe_file(video)}" if video else _endings()
    misnamed = next((path for path in sorted(folder.glob("*"))[:SNIFFED] if path.is_file() and holds_image(path)), None)
    if misnamed is not None:
        hint = f"{misnamed} is an image all the same: rename it and its like, or name each file. {_endings()}"
    raise InputError(f"{source}: the folder holds no images; it holds {held}. {hint}")


def _in_folder(folder: Path) -> FoundImages:
    scan = scan_images(folder)
    broken = tuple(fault for fault in scan.faults if fault.kind in BROKEN)
    left_out = tuple(replace(fault, severity=Severity.WARNING) for fault in scan.faults if fault.kind not in BROKEN)
    return FoundImages(tuple(scan.images), broken, left_out)


def _of_glob(path: Path, source: str) -> FoundImages:
    """The images that match a pattern, and those in folders that match."""
    if path.is_symlink():
        raise InputError(f"{source}: is a link to {path.readlink()}, which does not exist. Restore or remove it.")
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 (absolute)
    if not matches:  # brackets may belong to the folder's name
        pattern = str(Path(glob.escape(str(path.parent)), path.name))
        matches = sorted(Path(match) for match in glob.glob(pattern, recursive=True))  # noqa: PTH207
    fixed = next((i for i, part in enumerate(path.parts) if glob.has_magic(part)), len(path.parts))
    matches = [match for match in matches if not any(map(is_hidden, match.parts[fixed:]))]
    found = _joined(_in_folder(match) if match.is_dir() else _of_match(match) for match in matches)
    if found.images:
        return found
    if matches:
        described = [f"{match} {why}" for match in matches if match.is_file() and (why := describe_file(match))]
        hint = described[0] if described else _endings()
        raise InputError(f"{source}: matches no image, only {_list_kinds(matches)}. {hint}")
    only = " Only image files are read." if path.suffix.lower() in VIDEOS | ARCHIVES else ""
    raise InputError(f"{source}: no such image, folder or glob.{only}{_hint(path)}")


def _of_match(path: Path) -> FoundImages:
    """A file that matches a pattern, as an image or as what is not read."""
    if is_image(path):
        return FoundImages((path,))
    why = unread(path.name)
    message = "is no image" if why is None else why.reason
    return FoundImages((), left_out=(Fault("no-image", path, message, severity=Severity.WARNING),))


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
