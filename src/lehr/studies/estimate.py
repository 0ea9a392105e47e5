"""Estimate of a study's duration, from one trained epoch."""

from __future__ import annotations

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
from lehr.studies.storage_url import PASSWORDS, VARIABLE, without_variables
from lehr.studies.trial_files import open_log, read_outcome, write_job
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
    """Train the first epoch of a run, in a process as a trial's, and measure it; nothing is kept.

    Args:
        options: of the run, by flat name.
        cores: to run on; none for all.

    Raises:
        LehrError: it cannot be trained.
    """
    with tempfile.TemporaryDirectory(prefix="lehr-") as place:
        folder, outcome, job = Path(place, "run"), Path(place, "outcome.json"), Path(place, "job.json")
        told = {"options": dict(options), "folder": str(folder), "outcome": str(outcome)}
        digest = write_job(job, {**told, "worker": os.getpid(), "cores": list(cores)})
        began = time.monotonic()
        secrets = (VARIABLE, *PASSWORDS.values())
        with without_variables(secrets), open_log(Path(place, "log")) as log:
            process = start_module(TRIAL_MODULE, str(job), digest, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while process.poll() is None and not read_epochs(folder / RESULTS):
                time.sleep(POLL_SECONDS)
            wall, epochs = time.monotonic() - began, read_epochs(folder / RESULTS)
        finally:
            process.terminate()
            process.wait()
        if not epochs:
            said = read_outcome(outcome).get("message") or "no reason given"
            raise LehrError(f"An epoch could not be trained for the estimate: {said}")
        return Estimate(max(0.0, wall - epochs[0].seconds), epochs[0].seconds)
