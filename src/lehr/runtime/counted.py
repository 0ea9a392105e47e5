"""Counts with their nouns, for messages: `1 image`, `3 images`, `2 classes`, `no objects`."""

from __future__ import annotations

THOUSANDS = 10_000
"""Numbers from this on have commas between their thousands."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun, in the singular or the plural.

    Args:
        number: how many.
        noun: in the singular; what follows it may come along, e.g. "image is".
        plural: of the noun, where it is not formed by the ending alone.

    Examples:
        >>> counted(1, "image is", "images are"), counted(12500, "class"), counted(2, "entry")
        ('1 image is', '12,500 classes', '2 entries')
    """
    return f"{with_commas(number)} {noun if number == 1 else plural or _plural(noun)}"


def with_commas(number: int) -> str:
    """Return a whole number, with commas between its thousands from five digits on."""
    return f"{number:,}" if abs(number) >= THOUSANDS else str(number)


def _plural(noun: str) -> str:
    """Form the plural of the last word of a noun."""
    if noun.endswith(("s", "x", "ch", "sh")) and not noun.endswith("epoch"):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
