"""Groups of images that belong together in one split: copies, versions of one photograph, frames of one video.

An image of which a near copy is in another split makes a validation look better than it is.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.runtime.reading import MIB, open_file
from lehr.sample import Sample

VERSION = re.compile(r"(.+)[._](?:jpe?g|png|bmp|webp|tiff?)\.rf\.[0-9A-Za-z]+$", re.IGNORECASE)
"""Stem of a version of a photograph, as Roboflow names those that it augments: `NAME_jpg.rf.HASH`."""
FRAME = re.compile(r"(.*?)[ ._-]*(?:(?:frame|fr|f)[ ._-]*)?(\d+)$", re.IGNORECASE)
"""Stem of a frame of a video: the video's name, and a number."""
MIN_FRAMES = 5
"""Images whose names differ in their number alone that look like a video."""


def group_samples(samples: Sequence[Sample], by: str = "auto") -> list[int]:
    """Number the groups of images that must stay together.

    Args:
        samples: the images.
        by: `none`; `auto` for images of the same content and versions of one photograph; `folder` or `video` for these
            and what is in one folder, or has a name that differs in its last number alone; or a regular expression,
            whose first group (or else whose match) in the path names the group.

    Returns:
        The number of each image's group.

    Raises:
        InputError: the regular expression is none, or matches no image.
    """
    if by == "none":
        return list(range(len(samples)))
    keys: list[Iterable[Hashable]] = [same_content(samples), (_version(sample.path) for sample in samples)]
    if by != "auto":
        key = {"folder": _folder, "video": _video}.get(by) or _matching(by)
        named = [key(sample.path) for sample in samples]
        if not any(each is not None for each in named):
            raise InputError(f"--group-by {by}: matches no image, e.g. not {samples[0].path}.")
        keys.append(named)
    return _joined(len(samples), keys)


def describe_groups(samples: Sequence[Sample], groups: Sequence[int], by: str) -> list[str]:
    """Report what is kept together, and what probably should be.

    Args:
        samples: the images.
        groups: the number of each one's group.
        by: how they were grouped.
    """
    sizes: dict[int, int] = defaultdict(int)
    for group in groups:
        sizes[group] += 1
    several = [size for size in sizes.values() if size > 1]
    lines = []
    if several:
        lines.append(
            f"{sum(several)} images are in {counted(len(several), 'group that stays', 'groups that stay')} "
            f"together in one split (--group-by {by})."
        )
    videos: dict[Hashable, list[Path]] = defaultdict(list)
    for sample in samples:
        videos[_video(sample.path)].append(sample.path)
    frames = [paths for key, paths in videos.items() if key is not None and len(paths) >= MIN_FRAMES]
    if by in ("auto", "none") and len(frames) > 1:
        lines.append(
            f"{sum(map(len, frames))} images have names like frames of {counted(len(frames), 'video')}, e.g. "
            f"{frames[0][0].name}. "
            "If they are, keep each video in one split: --group-by video."
        )
    return lines


def content_digest(path: Path) -> bytes:
    """Hash a file's bytes; a file that cannot be read is like no other."""
    try:
        digest = hashlib.blake2b(digest_size=16)
        with open_file(path) as file:
            while part := file.read(MIB):
                digest.update(part)
        return digest.digest()
    except OSError:
        return str(path).encode(errors="surrogateescape")


def same_content(samples: Sequence[Sample]) -> list[Hashable]:
    """A key of each image's content; None if no other image is of its size in bytes."""
    sizes = [_size(sample.path) for sample in samples]
    alike: dict[int, list[int]] = defaultdict(list)
    for index, size in enumerate(sizes):
        alike[size].append(index)
    suspects = [index for indices in alike.values() if len(indices) > 1 for index in indices]
    keys: list[Hashable] = [None] * len(samples)
    with ThreadPoolExecutor() as pool:
        digests = pool.map(content_digest, [samples[index].path for index in suspects])
        for index, digest in zip(suspects, digests, strict=True):
            keys[index] = digest
    return keys


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _version(path: Path) -> Hashable:
    found = VERSION.match(path.stem)
    return None if found is None else found[1]


def _folder(path: Path) -> Hashable:
    return path.parent


def _video(path: Path) -> Hashable:
    found = FRAME.match(path.stem)
    return None if found is None else (path.parent, found[1])


def _matching(pattern: str) -> Callable[[Path], Hashable]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"--group-by {pattern}: is neither auto, none, folder nor video, and no regular expression ({error})."
        ) from None

    def key(path: Path) -> Hashable:
        found = compiled.search(path.as_posix())
        return None if found is None else found[min(1, compiled.groups)]

    return key


def _joined(count: int, keys: Iterable[Iterable[Hashable]]) -> list[int]:
    """Number the groups of items that share a key of any kind; None is not a key."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for kind in keys:
        first: dict[Hashable, int] = {}
        for index, key in enumerate(kind):
            if key is not None:
                a, b = root(first.setdefault(key, index)), root(index)
                parent[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(index), len(numbers)) for index in range(count)]
