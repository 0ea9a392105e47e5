"""The process of a trial that trains nothing: it writes the results of a made-up run, an epoch after the other.

It keeps to what the workers of a study rely on: it goes on with what an earlier process left, saves and ends when it is
asked to or its worker has gone, and leaves its end in a file. A trial whose slot is in STUB_HELD makes one epoch, then
waits to be killed, unless it goes on with what an earlier process left.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from lehr.checkpoint.results_csv import RESULTS, write_results
from lehr.checkpoint.run_folder import CONFIG, LOG, only_writer
from lehr.distributed.launch import stay_with
from lehr.search.fitness import METRICS, read_epochs

BEST_RATE = 0.004


def quality(options: dict[str, Any], epoch: int) -> float:
    """The metrics of an epoch: better with every epoch, with a rate near the best one, and without wrong labels."""
    rate = math.exp(-2 * math.log10((options["lr0"] or BEST_RATE) / BEST_RATE) ** 2)
    seed = 0.01 * math.sin(1 + options["seed"] + epoch)
    return (0.1 if "shuffled" in str(options["data"]) else 1) * max(0.0, 0.7 * rate * epoch / options["epochs"] + seed)


def main() -> int:
    """Make the trial that the first argument describes; see `lehr.studies.trial_process.main`."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    seconds, held = float(os.environ.get("STUB_EPOCH_SECONDS", "0.05")), os.environ.get("STUB_HELD", "").split()
    stay_with(job["worker"])
    folder, options = Path(job["folder"]), job["options"]
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).touch()
    done = len(read_epochs(folder / RESULTS))
    if done:
        (folder / LOG).write_text("Goes on")
    with only_writer(folder):
        for epoch in range(done + 1, options["epochs"] + 1):
            time.sleep(seconds)
            rows = [row_of(options, number, seconds) for number in range(1, epoch + 1)]
            write_results(folder / RESULTS, rows)
            while not done and folder.name.lstrip("0") in held:
                time.sleep(0.05)
    (folder / "best.safetensors").touch()
    Path(job["outcome"]).write_text(json.dumps({"code": 0, "kind": "finished", "message": "", "memory": 100.0}))
    return 0


def row_of(options: dict[str, Any], epoch: int, seconds: float) -> dict[str, float | int | str | None]:
    """An epoch as results.csv has it."""
    metrics = {f"val/{name}": quality(options, epoch) for name in METRICS}
    return {"epoch": epoch, "seconds": round(epoch * seconds, 3), "images_per_second": 100.0, **metrics}


if __name__ == "__main__":
    sys.exit(main())
