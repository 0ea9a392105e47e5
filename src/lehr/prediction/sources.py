"""Sources that users name: images, folders, globs, videos, addresses, cameras, lists, the standard input."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Self

from lehr.data.find_images import is_hidden, scan_images
from lehr.data.images import is_image
from lehr.data.images.kinds import VIDEO_SUFFIXES, read_suffixes, suffix_of, unread
from lehr.data.probing import probe
from lehr.errors import InputError, nearest_names
from lehr.prediction import list_files, standard_input
from lehr.prediction.addresses import HTTP, STREAMS, scheme_of, shown
from lehr.prediction.other_sources import ARCHIVES, CAMERAS, VIDEOS, describe_file, describe_name, holds_image, is_video
from lehr.prediction.video import has_av, probe_video
from lehr.runtime.installing import how_to_install
from lehr.sample import Fault, Severity

MOST_KINDS, MOST_BROKEN = 5, 5
"""Endings counted, and broken files named."""
NEEDS_AV = f"is a video, for which PyAV is missing. {how_to_install('video')}"
SNIFFED = 20
"""Files of a folder without images whose content is looked at."""
BROKEN = frozenset({"dangling-link", "unreadable-folder"})
"""Kinds of faults of a folder that hide images."""


class Kind(Enum):
    """Kinds of sources."""

    IMAGE = "image"
    VIDEO = "video"
    WEB = "web"
    """An address of http or https: an image, a video or a stream."""
    STREAM = "stream"
    CAMERA = "camera"
    STANDARD_INPUT = "standard input"
    GROWING_FOLDER = "growing folder"


@dataclass(frozen=True, slots=True)
class Source:
    """One source.

    Attributes:
        kind: what it is.
        name: as the user named it, e.g. its address or a camera's number.
        path: its file or folder; None if it is none.
        piped: the standard input, of which the first bytes have been read.
    """

    kind: Kind
    name: str
    path: Path | None = None
    piped: standard_input.PipedInput | None = None


@dataclass(frozen=True, slots=True)
class FoundSources:
    """Sources that were named, folders, globs and lists resolved.

    Attributes:
        sources: each once, in the order named; those of folders and globs sorted.
        broken: links whose image is missing, folders that cannot be read, and lines of lists that name nothing.
        left_out: files of the folders and globs that are not read, and that may have been meant.
    """

    sources: tuple[Source, ...]
    broken: tuple[Fault, ...] = ()
    left_out: tuple[Fault, ...] = ()

    @property
    def images(self) -> tuple[Path, ...]:
        """The image files."""
        return tuple(each.path for each in self.sources if each.kind is Kind.IMAGE and each.path is not None)

    @property
    def is_endless(self) -> bool:
        """True if a source has no end, judged by its name."""
        return any(each.kind in (Kind.STREAM, Kind.CAMERA, Kind.GROWING_FOLDER) for each in self.sources)

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Join what was found in several places, each file once."""
        sources: dict[object, Source] = {}
        broken: dict[tuple[Path, int | None], Fault] = {}
        left_out: dict[Path, Fault] = {}
        for part in parts:
            for source in part.sources:
                sources.setdefault(source.path or source.name, source)
            broken |= {(fault.path, fault.line): fault for fault in part.broken}
            left_out |= {fault.path: fault for fault in part.left_out}
        return cls(tuple(sources.values()), tuple(broken.values()), tuple(left_out.values()))


def names_endless(name: str) -> bool:
    """Return whether a name is that of a camera or a stream."""
    return scheme_of(name) in STREAMS or (CAMERAS.fullmatch(name) is not None and not Path(name).is_file())


def find_sources(names: Iterable[str], *, watch: bool = False) -> FoundSources:
    """Find what names stand for: image and video files, folders with the folders in them, globs, addresses, cameras.

    Args:
        names: as the user gave them.
        watch: take folders as they grow, instead of what they hold now.

    Raises:
        InputError: a source names nothing, cannot be read, or holds neither image nor video.
    """
    return FoundSources.joined([_of_name(name, watch) for name in names])


def check_sources(found: FoundSources, skip_broken: bool) -> list[Fault]:
    """Look at the headers and ends of images, and the headers of videos, before anything is computed.

    Args:
        found: the sources.
        skip_broken: do not refuse broken ones, which are found again when they are read.

    Returns:
        Notes on how images will be read.

    Raises:
        InputError: some are broken.
    """
    with ThreadPoolExecutor() as pool:
        faults = [fault for own in pool.map(_check, found.sources) for fault in own]
    broken = [*found.broken, *(fault for fault in faults if fault.severity is Severity.ERROR)]
    if broken and not skip_broken:
        lines = [f"{fault.place}: {fault.message}" for fault in broken[:MOST_BROKEN]]
        more = [f"... and {len(broken) - MOST_BROKEN} more"] if len(broken) > MOST_BROKEN else []
        what = "images" if len(found.images) == len(found.sources) else "sources"
        count = f"{len(broken)} of {len(found.sources) + len(found.broken)} {what} cannot be read."
        raise InputError("\n".join([*lines, *more, f"{count} Predict without them by --skip-broken."]))
    return [fault for fault in faults if fault.severity is not Severity.ERROR]


def _check(source: Source) -> list[Fault]:
    """The faults of a file; none of what is not a file."""
    if source.path is None or source.kind is Kind.GROWING_FOLDER:
        return []
    if source.kind is Kind.IMAGE:
        return probe(source.path)[1]
    try:
        probe_video(source.path)
    except InputError as error:
        return [Fault("unreadable-video", source.path, str(error).removeprefix(f"{source.path}: "))]
    return []


def _of_name(name: str, watch: bool, in_list: bool = False) -> FoundSources:
    """Sources of one name."""
    if name in standard_input.NAMES:
        return _of_standard_input(in_list)
    path = Path(name).expanduser()
    try:
        is_folder, exists = bool(name) and path.is_dir(), bool(name) and path.exists()
    except (OSError, ValueError) as error:  # too long, or with a zero byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{name[:60]}: {describe_name(name) or f'is not a name of a file ({reason}).'}") from None
    if is_folder:
        return FoundSources((Source(Kind.GROWING_FOLDER, name, path),)) if watch else _of_folder(path, name)
    if not exists or (CAMERAS.fullmatch(name) and not path.is_file()):
        elsewhere = _of_no_file(name)
        return _of_glob(path, name) if elsewhere is None else FoundSources((elsewhere,))
    if path.suffix.lower() in list_files.SUFFIXES and path.is_file() and not holds_image(path):
        if in_list:
            raise InputError(f"{name}: is a list in a list. Name its entries, or the list itself as a source.")
        return _of_list(path)
    described = describe_file(path)
    if described is not None:
        raise InputError(f"{name}: {described}")
    return FoundSources((Source(Kind.VIDEO if is_video(path) else Kind.IMAGE, name, path),))


def _of_no_file(name: str) -> Source | None:
    """An address or a camera; None if the name may be a pattern."""
    described = describe_name(name)
    if described is not None:
        raise InputError(f"{shown(name)}: {described}")
    scheme = scheme_of(name)
    if scheme in HTTP:
        return Source(Kind.WEB, name)
    if scheme in STREAMS:
        return Source(Kind.STREAM, name)
    if CAMERAS.fullmatch(name):
        return Source(Kind.CAMERA, re.sub(r"[^0-9]", "", name) or "0")
    return None


def _of_standard_input(in_list: bool) -> FoundSources:
    """The standard input, or what it names."""
    if in_list:
        raise InputError("the standard input is not an entry of a list")
    piped = standard_input.open_standard_input()
    if not piped.holds_names():
        return FoundSources((Source(Kind.STANDARD_INPUT, piped.name, piped=piped),))
    return of_entries(list_files.parse_list(piped.names(), piped.name), Path(piped.name))


def _of_list(path: Path) -> FoundSources:
    """Sources that a list names; lines that name nothing are broken."""
    return of_entries(list_files.read_list(path), path)


def of_entries(entries: Iterable[tuple[int, str]], path: Path) -> FoundSources:
    """Sources of the entries of a list.

    Args:
        entries: with their lines, from 1.
        path: the list; names that exist only next to it are taken from there.

    Raises:
        InputError: none of them names anything.
    """
    parts: list[FoundSources] = []
    for line, entry in entries:
        try:
            parts.append(_of_name(list_files.place_of(entry, path.parent), watch=False, in_list=True))
        except InputError as error:
            fault = Fault("no-source", path, str(error).partition("\n")[0], line)
            parts.append(FoundSources((), (fault,)))
    found = FoundSources.joined(parts)
    if not found.sources:
        first = found.broken[0]
        lines = f"none of its {len(found.broken)} lines names a source"
        raise InputError(f"{path}: {lines}; line {first.line}: {first.message}")
    return found


def _of_folder(folder: Path, source: str) -> FoundSources:
    """The images and videos in a folder and the folders in it."""
    found = _in_folder(folder)
    if found.sources:
        return found
    if found.broken:
        first = found.broken[0]
        raise InputError(f"{source}: the folder holds nothing that can be read. {first.path} {first.message}")
    held = _list_kinds(path for path in folder.rglob("*") if path.is_file()) or "no files"
    hint = _endings()
    misnamed = next((path for path in sorted(folder.glob("*"))[:SNIFFED] if path.is_file() and holds_image(path)), None)
    if misnamed is not None:
        hint = f"{misnamed} is an image all the same: rename it and its like, or name each file. {_endings()}"
    raise InputError(f"{source}: the folder holds no images and no videos; it holds {held}. {hint}")


def _in_folder(folder: Path) -> FoundSources:
    """The images and videos of a folder, sorted, none if it holds none."""
    scan = scan_images(folder)
    broken = tuple(fault for fault in scan.faults if fault.kind in BROKEN)
    others = [_unread(fault) for fault in scan.faults if fault.kind not in BROKEN]
    videos = [fault.path for fault in others if suffix_of(fault.path.name) in VIDEO_SUFFIXES and has_av()]
    paths = [*((path, Kind.IMAGE) for path in scan.images), *((path, Kind.VIDEO) for path in videos)]
    if videos:
        paths.sort(key=lambda each: each[0].parts)
    sources = tuple(Source(kind, str(path), path) for path, kind in paths)
    return FoundSources(sources, broken, tuple(fault for fault in others if fault.path not in set(videos)))


def _unread(fault: Fault) -> Fault:
    """The note on a file of a folder that is not read."""
    if suffix_of(fault.path.name) in VIDEO_SUFFIXES:
        fault = replace(fault, message=NEEDS_AV)
    return replace(fault, severity=Severity.WARNING)


def _of_glob(path: Path, source: str) -> FoundSources:
    """The images and videos that match a pattern, and those in folders that match."""
    if path.is_symlink():
        raise InputError(f"{source}: is a link to {path.readlink()}, which does not exist. Restore or remove it.")
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 (absolute)
    if not matches:  # brackets may belong to the folder's name
        pattern = str(Path(glob.escape(str(path.parent)), path.name))
        matches = sorted(Path(match) for match in glob.glob(pattern, recursive=True))  # noqa: PTH207
    fixed = next((i for i, part in enumerate(path.parts) if glob.has_magic(part)), len(path.parts))
    matches = [match for match in matches if not any(map(is_hidden, match.parts[fixed:]))]
    found = FoundSources.joined(_in_folder(match) if match.is_dir() else _of_match(match) for match in matches)
    if found.sources:
        return found
    if matches:
        described = [f"{match} {why}" for match in matches if match.is_file() and (why := describe_file(match))]
        hint = described[0] if described else _endings()
        raise InputError(f"{source}: matches no image or video, only {_list_kinds(matches)}. {hint}")
    only = " Archives are not read." if path.suffix.lower() in ARCHIVES else ""
    what = "video" if path.suffix.lower() in VIDEOS else "image"
    raise InputError(f"{source}: no such {what}, folder or glob.{only}{_hint(path)}")


def _of_match(path: Path) -> FoundSources:
    """A file that matches a pattern, as an image or as what is not read."""
    if is_image(path):
        return FoundSources((Source(Kind.IMAGE, str(path), path),))
    if suffix_of(path.name) in VIDEO_SUFFIXES and has_av():
        return FoundSources((Source(Kind.VIDEO, str(path), path),))
    why = unread(path.name)
    message = "is neither an image nor a video" if why is None else why.reason
    return FoundSources((), left_out=(_unread(Fault("no-image", path, message)),))


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
    images, videos = (", ".join(f".{suffix}" for suffix in sorted(each)) for each in (read_suffixes(), VIDEO_SUFFIXES))
    return f"Images end in {images}; videos in {videos}."


def _list_kinds(paths: Iterable[Path]) -> str:
    """List endings and how many files have them, the most frequent first."""
    counted = Counter(path.suffix.lower() for path in paths).most_common(MOST_KINDS)
    return ", ".join(f"{count} {kind or 'without ending'}" for kind, count in counted)
