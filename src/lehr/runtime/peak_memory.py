"""The most memory that a process has taken."""

from __future__ import annotations

import sys


def peak_process_bytes(children: bool = False) -> int:
    """Return the most memory that this process has held so far, bytes; 0 where the system does not report it.

    Args:
        children: look at ended child processes too, and return the largest.
    """
    try:
        import resource
    except ImportError:  # not on every system
        return 0
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN) if children else (resource.RUSAGE_SELF,)
    peak = max(resource.getrusage(each).ru_maxrss for each in who)
    return peak if sys.platform == "darwin" else peak * 1024


def peak_memory_mib(children: bool = False) -> float | None:
    """Return the most memory held so far, MiB: the GPU's where one was used, else the process's; None where not known.

    Args:
        children: look at ended child processes too.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_reserved():
        return round(float(torch.cuda.max_memory_reserved()) / 2**20, 1)
    peak = peak_process_bytes(children)
    return round(peak / 2**20, 1) if peak else None
