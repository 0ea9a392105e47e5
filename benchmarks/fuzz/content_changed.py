"""Nested content, such as JSON and YAML hold it, with changed parts."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from benchmarks.fuzz.bytes_changed import change_bytes

DEEP = 20_000
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.5, 10**6, 10**9, 10**12, 2**31, 2**63, 10**30, 10**400, 1e308),
    *(float("nan"), float("inf"), float("-inf"), "", "x", "nan", "inf", "-64", "1e999", "9" * 5000, "x" * 100_000),
    *("\0", "\x1b]0;x\x07", "a\nb", "../../x", "/etc/passwd", "~nosuchuser/x", "\ud800", "=cmd|x", "__import__"),
    *([], [1], ["x"], [[]], {}, {"a": 1}, {"": []}, [None] * 1000, "2024-99-99", "shapes", "yolov8n", "os:system"),
]


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all parts of nested lists and dictionaries."""
    found = [path]
    parts = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, part in parts:
        found += places(part, (*path, key))
    return found


def change_part(content: Any, rng: random.Random) -> Any:
    """Return nested content with some of its parts replaced, removed, repeated, moved, nested or renamed."""
    content = copy.deepcopy(content)
    found = [path for path in places(content) if path]
    if not found:
        return rng.choice(VALUES)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        path = rng.choice(found)
        try:
            holder = content
            for key in path[:-1]:
                holder = holder[key]
            _change(holder, path[-1], content, rng)
        except (KeyError, IndexError, TypeError):  # removed by an earlier change
            continue
    return content


def _change(holder: Any, key: Any, whole: Any, rng: random.Random) -> None:
    kind = rng.random()
    if kind < 0.55:
        holder[key] = rng.choice(VALUES)
    elif kind < 0.65:
        del holder[key]
    elif kind < 0.75 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] = rng.choice([str(holder[key]), -holder[key], holder[key] * 10**6, holder[key] + 1, [holder[key]]])
    elif kind < 0.82:
        holder[key] = [holder[key]] if rng.random() < 0.5 else {"a": holder[key]}
    elif kind < 0.9 and isinstance(holder, dict):
        holder[rng.choice(["x", "../x", "\0", "a" * 2000, "format", "epoch"])] = holder.pop(key)
    elif kind < 0.95:
        part = rng.choice(places(whole))
        for each in part:
            whole = whole[each]
        holder[key] = copy.deepcopy(whole)
    elif isinstance(holder[key], list):
        holder[key] = holder[key] * rng.choice([0, 2, 50])
    else:
        deep: Any = []
        for _ in range(rng.choice([50, 200])):
            deep = [deep]
        holder[key] = deep


def json_text(content: Any, rng: random.Random) -> bytes:
    """Return content as JSON, sometimes damaged."""
    text = json.dumps(content)
    kind = rng.random()
    if kind < 0.06:
        return b"[" * DEEP
    if kind < 0.12:
        at = rng.randrange(len(text) + 1)
        return (text[:at] + rng.choice(["9" * 5000, "[" * DEEP, "{}", ",", "NaN", '"']) + text[at:]).encode()
    if kind < 0.18:
        return change_bytes(text.encode(), rng)
    return text.encode()
