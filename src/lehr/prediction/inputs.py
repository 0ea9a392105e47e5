"""Inputs of prediction from Python, one frame after the other, each read when its turn comes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lehr.data.faults import group_faults
from lehr.errors import InputError
from lehr.prediction.frames import Frame
from lehr.prediction.open_sources import read_sources, with_remedy
from lehr.prediction.pixels import is_one_image, name_of, to_pixels
from lehr.prediction.sources import FoundSources, find_sources, names_endless
from lehr.runtime.console import LOGGER

ImageSource: TypeAlias = (
    str
    | os.PathLike[str]
    | int
    | NDArray[np.generic]
    | Tensor
    | Image.Image
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
)
"""A file, folder or glob, an address, a camera's number, or an image in memory; see `lehr.prediction.sources` and
`lehr.prediction.pixels.to_pixels`."""


def open_images(
    source: ImageSource | Iterable[ImageSource], skip_broken: bool = False, by_region: bool = False
) -> Iterator[Frame]:
    """Read images and frames in their order, each when it is asked for.

    Args:
        source: an image, a folder, a glob, a video, an address, a camera's number, or images in any iterable; a
            generator is asked for one after the other. Cameras and streams in a list or tuple are read at once.
        skip_broken: give what cannot be read with its fault instead of raising; frames of a video that cannot be
            decoded have one in any case.
        by_region: do not decode image files whose format lets regions be read; they are closed when the next is asked
            for.

    Raises:
        InputError: an image cannot be read; or a file or folder that is named does not exist or holds no image: in a
            list and a tuple this is found before anything is read.
    """
    if is_name(source) or is_one_image(source) or not isinstance(source, Iterable):
        yield from _opened(source, 0, skip_broken and is_one_image(source), by_region)
        return
    if isinstance(source, Mapping):
        raise InputError("The images are a mapping. Give its values: list(images.values()).")
    images: Iterable[Any] = source
    if isinstance(images, list | tuple) and (not skip_broken or all(map(_is_endless_name, images))):
        images = [_found(value) if is_name(value) else value for value in images]
        found = [each for each in images if isinstance(each, FoundSources)]
        if len(found) == len(images) and any(each.is_endless for each in found):
            yield from _read(FoundSources.joined(found), skip_broken, by_region)
            return
    index = 0
    for value in images:
        for opened in _opened(value, index, skip_broken, by_region):
            yield opened
            index += 1


def is_name(value: object) -> bool:
    """Return whether something names a source: text, a path, or a camera's number."""
    return isinstance(value, str | os.PathLike | int) and not isinstance(value, bool)


def has_no_end(source: object) -> bool:
    """Return whether a source, or one of several, is a camera or a stream, by its name."""
    values = source if isinstance(source, list | tuple) else [source]
    return any(map(_is_endless_name, values))


def _is_endless_name(value: object) -> bool:
    return is_name(value) and names_endless(_text(value))


def _text(value: Any) -> str:
    return str(value) if isinstance(value, int) else os.fspath(value)


def _found(value: Any) -> FoundSources:
    """Find the sources of a name; those that are not read are reported in the log."""
    found = find_sources([_text(value)])
    for group in group_faults((*found.broken, *found.left_out)):
        LOGGER.warning("%s", group)
    return found


def _opened(value: object, index: int, skip_broken: bool, by_region: bool) -> Iterator[Frame]:
    """Read what one value holds: an image; those of a folder or glob; frames; or images of a batch in one array."""
    if isinstance(value, FoundSources):
        yield from _read(value, skip_broken, by_region)
        return
    named = is_name(value)
    name = str(value) if named else name_of(value, index)
    try:
        given = _found(value) if named else to_pixels(value, name)
    except InputError as error:
        if not skip_broken:
            raise with_remedy(error) from None
        yield Frame(name, None, str(error))
        return
    if isinstance(given, FoundSources):
        yield from _read(given, skip_broken, by_region)
        return
    for offset, image in enumerate(given):
        yield Frame(name if len(given) == 1 else f"image {index + offset}", image, in_memory=True)


def _read(found: FoundSources, skip_broken: bool, by_region: bool) -> Iterator[Frame]:
    """The frames of sources; what regions are read of is closed when the next is asked for."""
    for frame in read_sources(found, skip_broken=skip_broken, by_region=by_region):
        with contextlib.nullcontext() if frame.regions is None else frame.regions:
            yield frame
