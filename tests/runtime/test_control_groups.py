"""Limits of a container are read from control groups of both versions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lehr.data.cache import free_memory
from lehr.runtime.control_groups import core_limit, memory_limit
from lehr.runtime.device import available_cores


def make(root: Path, groups: str, files: dict[str, str]) -> Path:
    for name, content in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


def test_version_2_in_a_container(tmp_path: Path) -> None:
    files = {"memory.max": "8000", "memory.current": "5000", "memory.stat": "anon 4000\ninactive_file 1000"}
    root = make(tmp_path, "0::/", {**files, "cpu.max": "150000 100000"})
    assert memory_limit(root) == (8000, 8000 - 5000 + 1000)
    assert core_limit(root) == 1.5


def test_version_2_takes_the_smallest_limit_above(tmp_path: Path) -> None:
    files = {"a/b/memory.max": "max", "a/memory.max": "4000", "a/memory.current": "1000", "a/b/cpu.max": "max 100000"}
    root = make(tmp_path, "0::/a/b", files)
    assert memory_limit(root) == (4000, 3000)
    assert core_limit(root) is None


def test_of_nested_limits_the_smallest_counts_wherever_it_is(tmp_path: Path) -> None:
    for name, (inner, outer) in {"inner": (3000, 8000), "outer": (8000, 3000)}.items():
        files = {"a/b/memory.max": str(inner), "a/memory.max": str(outer), "a/memory.current": "1000"}
        assert memory_limit(make(tmp_path / name, "0::/a/b", files)) == (3000, 3000 if inner == 3000 else 2000)


def test_version_1_with_the_path_of_the_host(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": "9000",
        "memory/memory.usage_in_bytes": "2000",
        "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 500",
        "cpu/cpu.cfs_quota_us": "200000",
        "cpu/cpu.cfs_period_us": "100000",
    }
    root = make(tmp_path, "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc", files)
    assert memory_limit(root) == (9000, 7500) and core_limit(root) == 2
    (root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert core_limit(root) is None


def test_no_limit_is_none(tmp_path: Path) -> None:
    root = make(tmp_path, "4:memory:/x", {"memory/memory.limit_in_bytes": "9223372036854771712"})
    assert memory_limit(root) is None and core_limit(root) is None
    assert memory_limit(tmp_path / "nowhere") is None and core_limit(tmp_path / "nowhere") is None


@pytest.mark.parametrize(("limit", "cores"), [(None, 8), (0.5, 1), (1.5, 2), (2.0, 2), (64.0, 8)])
def test_threads_and_workers_keep_to_the_time_of_a_container(
    limit: float | None, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr("lehr.runtime.device.core_limit", lambda: limit)
    assert available_cores() == cores


def test_the_cache_keeps_to_the_memory_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lehr.data.cache.memory_limit", lambda: (2000, 1000))
    assert free_memory() == 1000
    monkeypatch.setattr("lehr.data.cache.memory_limit", lambda: None)
    assert free_memory() > 1000
