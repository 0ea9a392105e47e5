"""The process that makes one trial, an ordinary run: `python -m lehr.studies.trial_process JOB.json DIGEST`.

It starts the run, or resumes that of an earlier process of the same trial, and writes the end to a file. It ends, with
its state saved, once its worker is gone.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":  # first: until it trains, a signal ends this process without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lehr.checkpoint.run_folder import CONFIG
from lehr.distributed.launch import stay_with
from lehr.errors import Diverged, InputError, LehrError
from lehr.runtime.child_process import find_own_modules
from lehr.runtime.console import complain
from lehr.runtime.peak_memory import peak_memory_mib
from lehr.runtime.standard_streams import safe_streams
from lehr.runtime.system_errors import plain_system_errors
from lehr.runtime.tuning import tune_process
from lehr.studies.trial_files import MAX_MESSAGE, Kind, Outcome, TrialJob, read_job, write_outcome


def main(job: TrialJob) -> int:
    """Make a trial and return its exit code.

    Args:
        job: what to train, where, and for whom.
    """
    find_own_modules()
    _use_cores(job.cores)
    tune_process()  # before torch is imported
    stay_with(job.worker)
    outcome = Path(job.outcome)
    try:
        with plain_system_errors():
            _trained(Path(job.folder), job.options)
    except LehrError as error:
        complain(str(error))
        kind: Kind = (
            "diverged" if isinstance(error, Diverged) else "input" if isinstance(error, InputError) else "failed"
        )
        _leave(outcome, error.exit_code, kind, str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    _leave(outcome, 0, "finished", "")
    return 0


def _trained(folder: Path, options: dict[str, Any]) -> None:
    from lehr.checkpoint.format import DamagedCheckpoint
    from lehr.config import build_config
    from lehr.engine.run import resume, train
    from lehr.options import LOCAL, MAY_CHANGE

    if (folder / CONFIG).is_file():
        try:
            # Those of augmentations are given, too: a run may not execute code that only its own file names.
            again = {name: options[name] for name in LOCAL & MAY_CHANGE.keys()}
            resume(folder, again | {"augmentation": options["augmentation"], "report": False})
        except DamagedCheckpoint as error:  # it is repeated, and the earlier files are kept for inspection
            aside = folder.with_name(f"{folder.name}-broken-{time.time():.0f}")
            complain(f"{error}\nThe trial is begun again; what there was is kept in {aside}.")
            folder.rename(aside)
        else:
            return
    # Trials are compared with each other, and not with what they start from; and their page is that of the study.
    train(
        build_config({**options, "guard": "off", "report": False, "project": str(folder.parent), "name": folder.name})
    )


def _use_cores(cores: Sequence[int]) -> None:
    """Restrict the process to these cores, so that trials on the same machine do not compete."""
    if cores and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, cores)


def _leave(path: Path, code: int, kind: Kind, message: str) -> None:
    memory = peak_memory_mib(children=True)
    write_outcome(path, Outcome(code=code, kind=kind, message=message[:MAX_MESSAGE], memory=memory))


if __name__ == "__main__":
    with safe_streams():
        try:
            code = main(read_job(Path(sys.argv[1]), sys.argv[2]))
        except LehrError as error:
            complain(str(error))
            code = error.exit_code
    sys.exit(code)
