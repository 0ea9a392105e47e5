"""The launcher's environment variables, as torch defines them, read without torch."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = "LEHR_PROCESSES"
"""Variable that names the folder in which the processes of one machine meet."""
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
"""The interface that no other machine reaches."""


@dataclass(frozen=True, slots=True)
class World:
    """The processes that a launcher started together, as it reported to one of them.

    Attributes:
        launched: whether there is a launcher.
        rank: this process, from 0.
        count: all of them.
        local_rank: this process among those of its machine.
        local_count: those of its machine.
        node: its machine, from 0.
        attempt: number of restarts so far.
        max_attempts: how often they may be.
        looked_after: whether their parent is a launcher that watches them, rather than a shell, say.
        folder: where they meet, of processes that `lehr` started on one machine; None if a port is for that.
    """

    launched: bool
    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    node: int = 0
    attempt: int = 0
    max_attempts: int = 0
    looked_after: bool = False
    folder: Path | None = None


def world() -> World:
    """The processes that train together, from the environment."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return World(False)
    return World(
        True,
        _number("RANK", 0),
        _number("WORLD_SIZE", 1),
        _number("LOCAL_RANK", 0),
        _number("LOCAL_WORLD_SIZE", 1),
        _number("GROUP_RANK", 0),
        _number("TORCHELASTIC_RESTART_COUNT", 0),
        _number("TORCHELASTIC_MAX_RESTARTS", 0),
        "TORCHELASTIC_RUN_ID" in os.environ,
        Path(os.environ[FOLDER]) if os.environ.get(FOLDER) else None,
    )


def stay_on_this_machine(folder: Path) -> None:
    """Make this process meet the others in a folder, and communicate where no other machine can listen.

    Args:
        folder: of this user alone.
    """
    os.environ[FOLDER] = str(folder)
    os.environ.update(GLOO_SOCKET_IFNAME=LOOPBACK, NCCL_SOCKET_IFNAME=LOOPBACK)


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name) or default)
