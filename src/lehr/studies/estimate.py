"""Estimate of a study's duration, from one epoch that is really trained."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lehr.checkpoint.results_csv import RESULTS
from lehr.errors import LehrError
from lehr.runtime.child_process import start_module
from lehr.search.fitness import read_epochs
from lehr.studies.worker import TRIAL_MODULE

POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Estimate:
    """Duration of one epoch.

    Attributes:
        start: seconds from the start of a trial's process to its first step.
        epoch: seconds of an epoch, its validation included.
    """

    start: float
    epoch: float

    def seconds(self, trials: int, epochs: int, workers: int) -> float:
        """Seconds that a study takes if every trial is trained to its end.

        Args:
            trials: how many.
            epochs: of each.
            workers: that share them.
        """
        rounds = -(-trials // workers)
        return rounds * (self.start + epochs * self.epoch)


def measure_epoch(options: Mapping[str, Any], cores: tuple[int, ...]) -> Estimate:
    """Train the first epoch of a run, in a process as a trial's, and measure it; nothing is left behind.

    Args:
        options: of the run, by flat name.
        cores: to run on; none for all.

    Raises:
        LehrError: it cannot be trained.
    """
    with tempfile.TemporaryDirectory(prefix="lehr-") as place:
        folder, outcome, job = Path(place, "run"), Path(place, "outcome.json"), Path(place, "job.json")
        told = {"options": dict(options), "folder": str(folder), "outcome": str(outcome)}
        job.write_text(json.dumps({**told, "worker": os.getpid(), "cores": list(cores)}), encoding="utf-8")
        began = time.monotonic()
        with Path(place, "log").open("wb") as log:
            process = start_module(TRIAL_MODULE, str(job), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while process.poll() is None and not read_epochs(folder / RESULTS):
                time.sleep(POLL_SECONDS)
            wall, epochs = time.monotonic() - began, read_epochs(folder / RESULTS)
        finally:
            process.terminate()
            process.wait()
        if not epochs:
            said = (
                json.loads(outcome.read_text(encoding="utf-8"))["message"] if outcome.is_file() else "no reason given"
            )
            raise LehrError(f"One epoch was to be measured, and could not be trained: {said}")
        return Estimate(max(0.0, wall - epochs[0].seconds), epochs[0].seconds)
