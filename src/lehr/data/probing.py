"""Sizes of a data set's images, and notable facts in their headers."""

from __future__ import annotations

from pathlib import Path

from lehr.data.images.files import probe_header
from lehr.data.images.header import ImageHeader
from lehr.data.images.problem import ImageFault
from lehr.sample import Fault, Severity


def probe(path: Path) -> tuple[tuple[int, int] | None, list[Fault]]:
    """Read an image's size.

    Returns:
        Width and height as displayed, pixels, or None if the image cannot be used; and the faults.
    """
    header, faults = probe_with_header(path)
    return None if header is None else header.size, faults


def probe_with_header(path: Path) -> tuple[ImageHeader | None, list[Fault]]:
    """Read an image's header.

    Returns:
        The header, or None if the image cannot be used; and the faults.
    """
    try:
        header = probe_header(path)
    except ImageFault as error:
        return None, [Fault(error.kind, error.path, error.reason)]
    if not header.depth_unknown:
        return header, []
    what = "floating-point samples" if header.kind == "f" else f"samples of {header.bits} bits"
    message = f"has {what}, scaled to 8 bits by what it uses"
    return header, [Fault("deep-image", path, message, severity=Severity.NOTE)]
