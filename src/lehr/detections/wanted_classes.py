"""Classes that a user asks for, by name or number."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

from lehr.errors import InputError, nearest_names
from lehr.runtime.plain_text import one_line

MOST_NAMED = 20
"""Class names that a message lists at most."""


def find_classes(wanted: Iterable[str | int] | str | int | None, names: Sequence[str]) -> tuple[int, ...] | None:
    """Find classes by name or number.

    Args:
        wanted: names or indices; a text that is not a class name may hold several, separated by commas. None for all
            classes.
        names: the class names.

    Returns:
        Their indices, each once, ascending; None for all.

    Raises:
        InputError: there is no such class, or none is asked for.

    Examples:
        >>> find_classes(["dog,0"], ("cat", "cow", "dog"))
        (0, 2)
    """
    if wanted is None:
        return None
    given = [wanted] if isinstance(wanted, str | int) else list(wanted)
    found = sorted({index for each in given for index in _of_one(each, names)})
    if not found:
        raise InputError(f"classes: none is named. {_known(names)}")
    return tuple(found)


def _of_one(wanted: object, names: Sequence[str]) -> list[int]:
    """The indices that one value asks for."""
    if not isinstance(wanted, str):
        return [_checked(wanted, names)]
    if wanted in names:
        return [index for index, name in enumerate(names) if name == wanted]
    parts = [part.strip() for part in wanted.split(",")]
    if len(parts) > 1:
        return [index for part in parts if part for index in _of_one(part, names)]
    if parts[0] in names:
        return _of_one(parts[0], names)
    if parts[0].isascii() and parts[0].isdigit():
        return [_checked(int(parts[0]), names)]
    near = nearest_names(parts[0], names)
    hint = f"Did you mean {' or '.join(map(one_line, near))}?" if near else _known(names)
    raise InputError(f"classes: the weights know no class '{one_line(wanted)}'. {hint}")


def _checked(wanted: object, names: Sequence[str]) -> int:
    """An index, Python's or NumPy's, that is one of a class."""
    try:
        index = operator.index(wanted)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"classes: {wanted!r} is neither the name nor the number of a class.") from None
    if isinstance(wanted, bool) or not 0 <= index < len(names):
        raise InputError(f"classes: {wanted!r} is not the number of a class, 0 to {len(names) - 1}. {_known(names)}")
    return index


def _known(names: Sequence[str]) -> str:
    """List the classes with their numbers."""
    more = f", ... ({len(names)} in all)" if len(names) > MOST_NAMED else ""
    return f"They are {', '.join(f'{i} {one_line(name)}' for i, name in enumerate(names[:MOST_NAMED]))}{more}."
