"""Rendezvous in the store of a launcher: which processes belong to this start and not to an earlier one.

A launcher that starts lost processes again keeps its store, with all that the earlier ones left in it, and the machines
do not count their starts alike. So each process greets rank 0 with a unique name.
"""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

from lehr.distributed.collectives import PeerLost

POLL_SECONDS = 0.02
"""Seconds between checks for new processes."""
MAX_NAMED = 16
"""Maximum number of missing processes that a message names."""


def meet(store: Any, rank: int, count: int, timeout: float) -> str:
    """Agree on a unique name for this start of the processes.

    Args:
        store: keys and values that all of them share.
        rank: this process, from 0.
        count: all of them.
        timeout: seconds that it waits for the others.

    Raises:
        PeerLost: not all processes have joined.
    """
    start_name = uuid.uuid4().hex
    if rank > 0:
        store.set(f"lehr/hello/{rank}", start_name)
        try:
            store.wait([f"lehr/welcome/{start_name}"], timedelta(seconds=timeout))
        except RuntimeError:
            raise PeerLost(
                f"Rank {rank} of {count} had no answer from rank 0 within {timeout:g} s (--timeout) at the start."
            ) from None
        name = store.get(f"lehr/welcome/{start_name}").decode()
        store.add(f"lehr/came/{name}", 1)
        return str(name)
    welcomed: dict[int, bytes] = {}
    deadline = time.monotonic() + timeout
    while store.add(f"lehr/came/{start_name}", 0) < count - 1:
        for other in range(1, count):
            key = f"lehr/hello/{other}"
            if store.check([key]) and (name := store.get(key)) != welcomed.get(other):
                welcomed[other] = name
                store.set(f"lehr/welcome/{name.decode()}", start_name)
        if time.monotonic() > deadline:
            missing = [str(other) for other in range(1, count) if other not in welcomed]
            more = f" and {len(missing) - MAX_NAMED} more" * (len(missing) > MAX_NAMED)
            who = f"missing: rank {', '.join(missing[:MAX_NAMED])}{more}" if missing else "some were lost meanwhile"
            raise PeerLost(
                f"Rank 0 waited {timeout:g} s (--timeout) for the {count} processes of the run at the start; {who}."
            )
        time.sleep(POLL_SECONDS)
    return start_name
