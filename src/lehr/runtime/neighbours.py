"""Other processes on this machine: how much of its cores they take.

Linux counts the time that each core was busy, and the time that each process has had. What is left when those of this
process and its children are subtracted went to others: to processes of other users, of other containers, or to other
virtual machines on the same host ("steal").
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

BUSY_FIELDS = (0, 1, 2, 5, 6, 7)
"""Fields of a core's line of `/proc/stat` that count: user, nice, system, irq, softirq, steal."""
PARENT_FIELD, TIME_FIELDS = 1, slice(11, 15)
"""Fields of a process's `stat` behind its name: its parent, its own time, and that of its children that have ended."""


@dataclass(frozen=True, slots=True)
class CoreTime:
    """Time that cores were busy since the machine started, at a moment.

    Attributes:
        moment: on a separate clock, seconds.
        busy: of all cores that this process may run on, seconds.
        own: of this process and its children, seconds.
        cores: how many cores those are.
    """

    moment: float
    busy: float
    own: float
    cores: int


def core_time(proc: Path = Path("/proc")) -> CoreTime | None:
    """Return the time that cores were busy until now; None where the system does not report it.

    Args:
        proc: where Linux reports it.
    """
    try:
        ticks = os.sysconf("SC_CLK_TCK")
        allowed = {f"cpu{index}" for index in os.sched_getaffinity(0)}
        lines = [line.split() for line in (proc / "stat").read_text(encoding="ascii").splitlines()]
        cores = [line[1:] for line in lines if line and line[0] in allowed]
        if not cores:
            return None
        busy = sum(int(core[field]) for core in cores for field in BUSY_FIELDS)
        return CoreTime(time.monotonic(), busy / ticks, _own_ticks(proc) / ticks, len(cores))
    except (OSError, AttributeError, ValueError, IndexError):  # another system, or one that hides it
        return None


def others_cores(before: CoreTime, after: CoreTime) -> float:
    """Return how many cores' worth of time other processes took between two moments, 0 or more.

    Args:
        before: the first moment.
        after: a later one.
    """
    others = (after.busy - before.busy) - (after.own - before.own)
    return max(0.0, others / max(after.moment - before.moment, 1e-9))


def _own_ticks(proc: Path) -> int:
    """Time of this process and its descendants, in ticks of the system's clock."""
    parents: dict[int, int] = {}
    times: dict[int, int] = {}
    for name in os.listdir(proc):  # noqa: PTH208 (half the time of Path's)
        if not name.isdigit():
            continue
        try:
            fields = (proc / name / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            parents[int(name)] = int(fields[PARENT_FIELD])
            times[int(name)] = sum(map(int, fields[TIME_FIELDS]))
        except (OSError, IndexError):  # ended meanwhile
            continue
    own = os.getpid()
    total = 0
    for pid, ticks in times.items():
        above: int | None = pid
        for _ in range(len(parents)):
            if above is None or above == own:
                break
            above = parents.get(above)
        total += ticks if above == own else 0
    return total
