"""Limits on what is read of a data set: generous, so that only hostile and damaged files meet them.

Who has larger images, or more objects in one, raises the limit by an environment variable; processes that a command
starts have it too; it is read once in a process. Each refusal names its variable.
"""

from __future__ import annotations

import os
from functools import cache

from lehr.errors import InputError
from lehr.runtime.reading import GIB, MIB

PIXELS_VARIABLE, OBJECTS_VARIABLE = "LEHR_MAX_PIXELS", "LEHR_MAX_OBJECTS"

MAX_PIXELS = 2**28
"""Pixels of the largest image that is read where `LEHR_MAX_PIXELS` does not say: 16,384 x 16,384, more than any camera
has and than a tile of a satellite (10,980 x 10,980); 0.8 GB once it is decoded."""

MAX_OBJECTS = 20_000
"""Objects, and rows of labels, of the largest image where `LEHR_MAX_OBJECTS` does not say; crowds and cells under a
microscope have a few thousand."""

ROW_BYTES = 512
"""Bytes of a row of labels on average, in the largest label file: a polygon of some 25 corners."""

XML_BYTES = 64 * MIB
"""Bytes of an XML of one image."""
TASK_XML_BYTES = 1 * GIB
"""Bytes of an XML of all images of a task."""
JSON_BYTES = 8 * GIB
"""Bytes of a COCO JSON; that of the largest public data sets has 2 to 6 GB."""
OTHER_JSON_BYTES = 64 * MIB
"""Bytes of a JSON that is only looked at to say what it is."""
LIST_BYTES = 1 * GIB
"""Bytes of a list of images, some ten million lines."""
NAMES_BYTES = 16 * MIB
"""Bytes of a list of class names."""
SCAN_INDEX_BYTES = 8 * GIB
"""Bytes of the index of what was read of a data set before."""

BYTES_A_PIXEL, OTHER_BYTES = 32, 256 * MIB
"""Bytes of a pixel in the largest image files (four numbers of 64 bits), and of their contents besides pixels."""
DEEP = 4
"""Pixels of 8 or 16 bits for which one of 32 or 64 bits counts."""


@cache
def max_pixels() -> int:
    """Return the pixels of the largest image that is read.

    Raises:
        InputError: `LEHR_MAX_PIXELS` is not a number of pixels.
    """
    return _limit(PIXELS_VARIABLE, MAX_PIXELS)


@cache
def max_objects() -> int:
    """Return the objects that an image may have, and the rows that its label file may have.

    Raises:
        InputError: `LEHR_MAX_OBJECTS` is not a number of objects.
    """
    return _limit(OBJECTS_VARIABLE, MAX_OBJECTS)


def too_many_pixels(width: int, height: int, bits: int = 8) -> str | None:
    """Say that an image is too large and what to do, without its name; None if it is not.

    Args:
        width: pixels.
        height: pixels.
        bits: of a sample; images of 32 bits and more may have a quarter of the pixels.
    """
    pixels = width * height * (DEEP if bits > 16 else 1)
    limit = max_pixels()
    if pixels <= limit:
        return None
    deep = f" of {bits} bits a sample" if bits > 16 else ""
    largest = limit // (DEEP if bits > 16 else 1)
    return (
        f"has {width}x{height} = {_millions(width * height)} million pixels{deep}; up to {_millions(largest)} million "
        "are read. Reduce it, or cut it into tiles. Where there is the memory for it (about 8 bytes per pixel), set "
        f"{PIXELS_VARIABLE}={pixels}."
    )


def too_many_objects(count: int, what: str = "objects") -> str | None:
    """Say that an image has too many objects and what to do, without its name; None if it does not.

    Args:
        count: how many it has.
        what: they are.
    """
    limit = max_objects()
    if count <= limit:
        return None
    return (
        f"has {count:,} {what}; up to {limit:,} of an image are read. Correct or remove it; if they are right, cut the "
        f"image into tiles, or set {OBJECTS_VARIABLE}={count}."
    )


def _millions(pixels: int) -> str:
    return f"{pixels / 10**6:,.0f}" if pixels >= 10**7 else f"{pixels / 10**6:,.2f}"


def _limit(variable: str, default: int) -> int:
    given = os.environ.get(variable)
    if given is None:
        return default
    given = given.strip().replace("_", "")
    if given.isascii() and given.isdecimal() and len(given) <= 15 and int(given) > 0:
        return int(given)
    raise InputError(f"{variable}={given[:40]}: must be a whole number above 0.")
