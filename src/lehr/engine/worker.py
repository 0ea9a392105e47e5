"""One of the processes that `lehr.distributed.launch` starts: `python -m lehr.engine.worker FOLDER`."""

from __future__ import annotations

import signal

if __name__ == "__main__":  # first: until it trains, Ctrl-C ends this process without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from lehr.distributed.environment import stay_on_this_machine, world
from lehr.distributed.launch import JOB, OUTCOME, stay_with, write_outcome
from lehr.runtime.child_process import find_own_modules
from lehr.runtime.console import complain
from lehr.runtime.standard_streams import safe_streams
from lehr.runtime.system_errors import plain_system_errors
from lehr.runtime.tuning import tune_process


def main(place: Path) -> int:
    """Do this process's part of a job, and return its exit code.

    0 means that the run ended properly, possibly with an error for the user, and must not be restarted; the outcome is
    in the folder.

    Args:
        place: the folder of the job.
    """
    tune_process()  # before torch is imported
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its warnings of lost connections are C++ stacks
    find_own_modules()
    stay_on_this_machine(place)
    job, rank = json.loads((place / JOB).read_text(encoding="utf-8")), world().rank
    stay_with(job["launcher"])
    if rank == 0 and world().attempt:  # what earlier processes reported before they were lost
        (place / OUTCOME).unlink(missing_ok=True)
    from lehr.config import build_config
    from lehr.distributed.collectives import PeerLost
    from lehr.engine.run import resume, train
    from lehr.errors import Diverged, LehrError

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with plain_system_errors():
            if "resume" in job:
                result = resume(Path(job["resume"]), job["changes"], verbose=job["verbose"])
            else:
                config = build_config(job["config"])
                said = {"notes": tuple(job["notes"]), "given": frozenset(job["given"])}
                result = train(config.model_copy(update=said), verbose=job["verbose"])
    except PeerLost as error:
        if not error.told:
            complain(str(error))
        return error.exit_code
    except LehrError as error:
        diverged = isinstance(error, Diverged)
        write_outcome(place, {"code": error.exit_code, "message": str(error), "diverged": diverged})
        if os.getppid() != job["launcher"] and rank == 0:  # no other process will report it or clean up
            complain(f"The launcher of these processes was killed. {error}")
            shutil.rmtree(place, ignore_errors=True)
        return 0
    except KeyboardInterrupt:  # the launcher reports it
        return 128 + signal.SIGINT
    if rank == 0:
        compared, on_older = result.against_start, result.older_against_start
        done = {
            "folder": str(result.folder),
            "metrics": asdict(result.metrics),
            "best_epoch": -1 if result.best_epoch is None else result.best_epoch - 1,
            "against_start": None if compared is None else compared.as_dict(),
            "older_against_start": None if on_older is None else on_older.as_dict(),
        }
        write_outcome(place, {"code": 0, "message": "", **done})
    return 0


if __name__ == "__main__":
    with safe_streams():
        code = main(Path(sys.argv[1]))
    sys.exit(code)
