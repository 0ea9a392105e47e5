"""Meeting in the store of a launcher: which processes belong to this start, and to no earlier one.

A launcher that starts lost processes again keeps its store, with all that the earlier ones left in it, and the machines
do not count their starts alike. So each process greets rank 0 by a name of its own, which nobody has used before.
"""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

from lehr.distributed.collectives import PeerLost

PAUSE = 0.02
"""Seconds between two looks for those who have come."""
MOST_NAMED = 16
"""Missing processes that a message names."""


def meet(store: Any, rank: int, count: int, timeout: float) -> str:
    """A name for this start of the processes: the same for all of them, and used by no other start.

    Args:
        store: keys and values that all of them share.
        rank: this process, from 0.
        count: all of them.
        timeout: seconds that it waits for the others.

    Raises:
        PeerLost: they have not all come.
    """
    own = uuid.uuid4().hex
    if rank > 0:
        store.set(f"lehr/hello/{rank}", own)
        try:
            store.wait([f"lehr/welcome/{own}"], timedelta(seconds=timeout))
        except RuntimeError:
            raise PeerLost(
                f"Rank {rank} of {count} had no answer of rank 0 within {timeout:g} s (--timeout) at the start."
            ) from None
        name = store.get(f"lehr/welcome/{own}").decode()
        store.add(f"lehr/came/{name}", 1)
        return str(name)
    welcomed: dict[int, bytes] = {}
    deadline = time.monotonic() + timeout
    while store.add(f"lehr/came/{own}", 0) < count - 1:
        for other in range(1, count):
            key = f"lehr/hello/{other}"
            if store.check([key]) and (name := store.get(key)) != welcomed.get(other):
                welcomed[other] = name
                store.set(f"lehr/welcome/{name.decode()}", own)
        if time.monotonic() > deadline:
            missing = [str(other) for other in range(1, count) if other not in welcomed]
            more = f" and {len(missing) - MOST_NAMED} more" * (len(missing) > MOST_NAMED)
            who = f"missing: rank {', '.join(missing[:MOST_NAMED])}{more}" if missing else "some were lost meanwhile"
            raise PeerLost(
                f"Rank 0 waited {timeout:g} s (--timeout) for the {count} processes of the run at the start; {who}."
            )
        time.sleep(PAUSE)
    return own
