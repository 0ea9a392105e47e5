"""The soak sees all processes of a run, and tells growth from noise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.soak import SMALLEST, Look, judged, look, tree

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the soak reads Linux's /proc")


def looks(memory: np.ndarray, files: np.ndarray) -> list[Look]:
    """A run of 200 epochs."""
    epochs = np.linspace(1, 200, len(memory))
    return [Look(e, m, 300.0, 20.0, f, 9.0, 3.0) for e, m, f in zip(epochs, memory, files, strict=True)]


def test_noise_and_a_beginning_that_fills_caches_are_flat() -> None:
    noise = np.random.default_rng(0).normal(0, 3, 400)
    memory = 600 - 250 * np.exp(-np.arange(400) / 20) + noise
    verdicts = judged(looks(memory, np.full(400, 60.0)))
    assert set(verdicts) == set(SMALLEST)
    assert all(flat for *_, flat in verdicts.values())


def test_a_file_in_sixty_epochs_and_a_tenth_of_a_mebibyte_an_epoch_are_growth() -> None:
    noise = np.random.default_rng(0).normal(0, 3, 400)
    verdicts = judged(looks(600 + 0.1 * np.linspace(0, 200, 400) + noise, 60 + np.linspace(0, 200, 400) // 60))
    mean, rise, flat = verdicts["memory_mib"]
    assert not flat and rise == pytest.approx(0.1 * 150, abs=2) and mean == pytest.approx(612.5, abs=2)
    assert not verdicts["files"][2]
    assert verdicts["threads"][2]


def test_all_processes_of_a_run_are_counted() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()']); print()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        while len(pids := tree(process.pid)) < 2:  # until the child has a child
            assert process.poll() is None
        assert pids[0] == process.pid and os.getpid() not in pids
        found = look(pids, 1.0)
        assert found is not None and process.stdin is not None
        assert found.processes == 2 and found.threads == 2 and found.files >= 6
        assert 1 < found.memory_mib < 100 and 1 < found.largest_mib < 100
        process.communicate(b"\n")
    assert look(pids, 1.0) is None
