"""Limits of memory and of cores' time by a container, or any other control group of Linux.

Both versions of control groups are read. A limit of any group above counts, so the smallest one does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

UNLIMITED = 2**60
"""Memory limits of at least this mean none: version 1 writes a very large number for it."""


def memory_limit(root: Path = Path("/")) -> tuple[int, int] | None:
    """Bytes that this process's group may take, and bytes of them still free; None where nothing limits it.

    Args:
        root: where `proc` and `sys` are.
    """
    limits = []
    for folder in _groups("memory", root):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
        if limit is not None and limit < UNLIMITED:
            # Files that were read are given back as soon as somebody needs the memory.
            limits.append((limit, max(0, limit - max(0, (used or 0) - _cached(folder)))))
    if not limits:
        return None
    return min(limit for limit, _ in limits), min(free for _, free in limits)


def core_limit(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that this process's group may take; None where nothing limits it.

    Args:
        root: where `proc` and `sys` are.
    """
    limits = []
    for folder in _groups("cpu", root):
        words = _text(folder / "cpu.max").split()
        if not words:
            words = [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")]
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
            limits.append(int(words[0]) / int(words[1]))
    return min(limits, default=None)


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Folders of this process's group and of those above it."""
    mounted = root / "sys" / "fs" / "cgroup"
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        base = mounted / controller if controllers else mounted
        group = base / path.strip("/")
        # In a container the path may be that of the host, while only its own group is mounted.
        yield from dict.fromkeys((group, *(parent for parent in group.parents if parent.is_relative_to(base)), base))


def _cached(folder: Path) -> int:
    fields = dict(line.split(maxsplit=1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
    value = fields.get("total_inactive_file") or fields.get("inactive_file") or "0"
    return int(value) if value.isdigit() else 0


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
