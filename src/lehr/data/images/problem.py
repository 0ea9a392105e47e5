"""Faults of image files."""

from __future__ import annotations

from pathlib import Path

from lehr.errors import InputError


class ImageFault(InputError):
    """An image file that cannot be used.

    Attributes:
        path: the file.
        kind: the kind of fault, e.g. "unreadable-image" or "truncated-image".
        reason: what is wrong and what to do, without the file.
    """

    def __init__(self, path: Path, kind: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.kind = kind
        self.reason = reason


class BadImage(Exception):
    """Bytes that are not a usable image; who knows their file makes an ImageFault of it.

    Attributes:
        kind: the kind of fault.
        reason: what is wrong and what to do.
    """

    def __init__(self, reason: str, kind: str = "unreadable-image") -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class NotTaken(BadImage):
    """An image that a decoder does not know how to open, so that another may."""


def truncated() -> BadImage:
    """An image whose end is missing."""
    return BadImage("is truncated. Copy it again or remove it.", "truncated-image")


def undecodable(why: object) -> BadImage:
    """An image that no decoder takes.

    Args:
        why: what the decoder says.
    """
    return BadImage(f"cannot be decoded ({why}). Replace or remove it.")
