"""The images that prediction is given, one by one, each read when its turn comes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lehr.data.faults import group_faults
from lehr.data.images import ImageFault, ImageRegions, read_image
from lehr.errors import InputError
from lehr.prediction.frames import Frame
from lehr.prediction.pixels import is_one_image, name_of, to_pixels
from lehr.prediction.sources import find_images
from lehr.runtime.console import LOGGER

ImageSource: TypeAlias = (
    str | os.PathLike[str] | NDArray[np.generic] | Tensor | Image.Image | bytes | bytearray | memoryview | IO[bytes]
)
"""A file, folder or glob, or an image in memory; see `lehr.prediction.pixels.to_pixels`."""


def open_images(
    source: ImageSource | Iterable[ImageSource], skip_broken: bool = False, by_region: bool = False
) -> Iterator[Frame]:
    """Read images in their order, each when it is asked for.

    Args:
        source: an image, a folder, a glob, or images in any iterable; a generator is asked for one after the other.
        skip_broken: give what cannot be read with its fault instead of raising.
        by_region: do not decode files whose format lets regions be read; they are closed when the next is asked for.

    Raises:
        InputError: an image cannot be read; or a file or folder that is named does not exist or holds no image: in a
            list and a tuple this is found before anything is read.
    """
    if isinstance(source, str | os.PathLike) or is_one_image(source) or not isinstance(source, Iterable):
        yield from _opened(source, 0, skip_broken and is_one_image(source), by_region)
        return
    if isinstance(source, Mapping):
        raise InputError("The images are a mapping. Give its values: list(images.values()).")
    images: Iterable[Any] = source
    if isinstance(images, list | tuple) and not skip_broken:
        images = [each for value in images for each in _expanded(value)]
    index = 0
    for value in images:
        for opened in _opened(value, index, skip_broken, by_region):
            yield opened
            index += 1


def _expanded(value: Any) -> Sequence[Any]:
    """The files of a file, folder or glob; anything else as it is."""
    if not isinstance(value, str | os.PathLike):
        return [value]
    found = find_images([os.fspath(value)])
    for group in group_faults((*found.broken, *found.left_out)):
        LOGGER.warning("%s", group)
    return found.images


def _opened(value: object, index: int, skip_broken: bool, by_region: bool) -> Iterator[Frame]:
    """Read what one value holds: an image; those of a folder or glob; or those of a batch in one array."""
    is_file = isinstance(value, str | os.PathLike)
    name = str(value) if is_file else name_of(value, index)
    try:
        images = _expanded(value) if is_file else to_pixels(value, name)
    except InputError as error:
        if not skip_broken:
            raise with_remedy(error) from None
        yield Frame(name, None, str(error))
        return
    for offset, image in enumerate(images):
        if isinstance(image, Path):
            yield from _of_file(image, skip_broken, by_region)
        else:
            yield Frame(name if len(images) == 1 else f"image {index + offset}", image)


def _of_file(path: Path, skip_broken: bool, by_region: bool) -> Iterator[Frame]:
    try:
        if by_region:
            with ImageRegions(path) as regions:
                if regions.by_region:
                    yield Frame(str(path), None, regions=regions)
                    return
        frame = Frame(str(path), read_image(path))
    except ImageFault as error:
        if not skip_broken:
            raise with_remedy(error) from None
        frame = Frame(str(path), None, str(error))
    yield frame


def with_remedy(error: InputError) -> InputError:
    """Add to the message of a broken image how it can be skipped."""
    return InputError(f"{error}\nOr predict without it by --skip-broken.") if isinstance(error, ImageFault) else error
