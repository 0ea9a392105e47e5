"""The extent of what a file describes: how deep it is, and how large if every part were written out where it is named.

A pickle names a part as often as it likes. A list that holds a list twice, that holds a list twice, takes a few bytes
per level, and doubles with each for whoever goes through it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lehr.weights.published.stand_in import Refused, StandIn

MAX_DEPTH, MAX_PARTS = 200, 4_000_000
"""Of a checkpoint: a network's parts are some 30 deep, and a few 100,000."""


def check_extent(content: Any) -> None:
    """Check that content is a tree of bounded depth and size, however often parts of it are shared.

    Raises:
        Refused: it is deeper or larger than that, or holds itself.
    """
    sizes: dict[int, int] = {}  # of each part that is counted: 256 times how large it is, and how deep
    open_parts: set[int] = set()
    pending: list[Any] = [content]
    while pending:
        part = pending[-1]
        key = id(part)
        if key in sizes:
            pending.pop()
            continue
        parts = [each for each in _parts(part) if type(each) in HOLDERS]
        if key not in open_parts:
            open_parts.add(key)
            if any(id(each) in open_parts and id(each) not in sizes for each in parts):
                raise Refused("holds a list or object that holds itself, as no checkpoint does.")
            unseen = [each for each in parts if id(each) not in sizes]
            if unseen:
                pending += unseen
                continue
        pending.pop()
        size = 1 + _count(part) + sum(sizes[id(each)] >> 8 for each in parts)
        depth = 1 + max((sizes[id(each)] & 255 for each in parts), default=0)
        if depth > MAX_DEPTH:
            raise Refused(f"is nested more than {MAX_DEPTH} levels deep, as no checkpoint is.")
        if size > MAX_PARTS:
            raise Refused(f"describes more than {MAX_PARTS:,} parts, as no checkpoint does.")
        sizes[key] = size << 8 | depth
        open_parts.discard(key)


HOLDERS = {dict, list, tuple, StandIn}


def _parts(part: Any) -> Iterable[Any]:
    """The contents of a part; keys and sets hold text and numbers only."""
    if type(part) is dict:
        return part.values()
    if type(part) is StandIn:
        return part.args, part.state, part.items
    return part if type(part) in (list, tuple) else ()


def _count(part: Any) -> int:
    return len(part) if type(part) in (dict, list, tuple, set, frozenset) else 0
