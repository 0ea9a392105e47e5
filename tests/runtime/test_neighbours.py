"""Time that others take of the cores: what Linux counts as busy, less that of this process and its children."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lehr.runtime.neighbours import CoreTime, core_time, others_cores


def write_proc(folder: Path, busy: int, processes: dict[int, tuple[int, tuple[int, int, int, int]]]) -> Path:
    """Linux's files: time of each core that this process may use, and parent and times of processes, in ticks."""
    cores = "".join(f"cpu{core} {busy} 0 0 777 888 0 0 0 999 0\n" for core in sorted(os.sched_getaffinity(0)))
    (folder / "self").mkdir(parents=True)
    (folder / "stat").write_text(f"cpu  1 2 3 4 5 6 7 8 9 0\n{cores}cpu4095 5 5 5 5 5 5 5 5 5 5\nbtime 1\n")
    for pid, (parent, times) in processes.items():
        (folder / str(pid)).mkdir()
        middle = " ".join(["0"] * 9)
        numbers = " ".join(map(str, times))
        (folder / str(pid) / "stat").write_text(f"{pid} (a) name) S {parent} {middle} {numbers} 20 0 1 0 1\n")
    return folder


def test_time_of_children_and_of_ended_ones_is_our_own(tmp_path: Path) -> None:
    own = os.getpid()
    processes = {own: (1, (10, 20, 30, 40)), 900001: (own, (1, 2, 3, 4)), 900002: (900001, (100, 0, 0, 0))}
    found = core_time(write_proc(tmp_path, 500, {**processes, 900003: (1, (7, 7, 7, 7))}))
    assert found is not None
    ticks, cores = os.sysconf("SC_CLK_TCK"), len(os.sched_getaffinity(0))
    assert found.cores == cores
    assert found.busy == pytest.approx(500 * cores / ticks)
    assert found.own == pytest.approx((100 + 10 + 100) / ticks)


def test_a_system_that_does_not_tell_is_not_judged(tmp_path: Path) -> None:
    assert core_time(tmp_path) is None


def test_what_is_left_when_our_own_time_is_subtracted_went_to_others() -> None:
    before, after = CoreTime(10.0, 100.0, 50.0, 2), CoreTime(14.0, 107.0, 53.0, 2)
    assert others_cores(before, after) == pytest.approx((7 - 3) / 4)
    assert others_cores(before, CoreTime(14.0, 100.0, 53.0, 2)) == 0.0


def test_our_own_work_is_not_taken_for_that_of_others() -> None:
    before = core_time()
    if before is None:
        pytest.skip("this system does not tell how busy its cores are")
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    after = core_time()
    assert after is not None and after.own - before.own == pytest.approx(0.1, abs=0.05)
