"""One answer for all processes of a run: what the first of them found."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import torch.distributed as dist

Answer = TypeVar("Answer")


def agreed(find: Callable[[], Answer]) -> Answer:
    """What rank 0 finds, for every process of the run; only rank 0 looks.

    Args:
        find: finds the answer, which can be pickled.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return find()
    answer: list[Answer | None] = [find() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(answer, src=0)
    found = answer[0]
    assert found is not None
    return found


def processes() -> int:
    """Processes that train together, as their launcher tells them; 1 for one by itself."""
    return int(os.environ.get("WORLD_SIZE", "1") or "1")
