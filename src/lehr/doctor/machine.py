"""Cores, threads and memory that a training may use here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from lehr.data.cache import free_memory
from lehr.runtime.control_groups import core_limit, memory_limit
from lehr.runtime.cpu_name import cpu_name
from lehr.runtime.device import available_cores


@dataclass(frozen=True, slots=True)
class Machine:
    """Resources that a training may use. Sizes are bytes; None where the system does not report them.

    Attributes:
        cpu: name of the processor.
        cores: those that this process may run on.
        cores_of_machine: all of them.
        core_limit: cores' worth of time that a container allows; None for no limit.
        threads: those that torch uses in a training.
        memory_total: memory, or what a container allows of it.
        memory_free: what a process could still take.
        shm_total: shared memory (`/dev/shm`), through which workers hand over batches outside of their ring.
        shm_free: what is free of it.
    """

    cpu: str | None
    cores: int
    cores_of_machine: int
    core_limit: float | None
    threads: int
    memory_total: int | None
    memory_free: int | None
    shm_total: int | None
    shm_free: int | None


def examine_machine() -> Machine:
    """Cores, threads and memory, as they are now."""
    total, free = _memory()
    shm = Path("/dev/shm")
    usage = shutil.disk_usage(shm) if shm.is_dir() else None
    with threads_of_training():
        threads = torch.get_num_threads()
    return Machine(
        cpu=cpu_name(),
        cores=available_cores(),
        cores_of_machine=os.cpu_count() or 1,
        core_limit=core_limit(),
        threads=threads,
        memory_total=total,
        memory_free=free,
        shm_total=usage.total if usage else None,
        shm_free=usage.free if usage else None,
    )


@contextmanager
def threads_of_training() -> Iterator[None]:
    """Set torch's threads to those of a training, and restore them afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(available_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _memory() -> tuple[int | None, int | None]:
    """Memory in all, and free, bytes."""
    total = free = None
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if Path("/proc/meminfo").exists():
        free = free_memory()
    limit = memory_limit()
    if limit is not None and total is not None and free is not None:
        total, free = min(total, limit[0]), min(free, limit[1])
    return total, free
