"""Starting the processes of a run on this machine with torch's elastic launcher, and reporting the outcome.

The launcher watches its processes, and restarts all of them when one is lost. Their job is in a file; they meet in its
private folder and write the end of the run to another file: a run that ended properly, possibly with an error for the
user, must not be restarted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from lehr.distributed.folder_store import check_private
from lehr.errors import Diverged, InputError, LehrError, Stopped
from lehr.runtime.child_process import module_command, safe_environment
from lehr.runtime.environment import preserve_random
from lehr.runtime.signals import STOPPING, describe_signal

JOB, OUTCOME = "job.json", "outcome.json"
SHUTDOWN = 120
"""Seconds that processes get to save their state when asked to stop."""
POLL_SECONDS = 1.0
"""Seconds between checks whether a launcher still exists."""
TORCHS_LOGGERS = "torch.distributed."
"""Silenced: the launcher here and the processes report the same."""


def launch(job: Mapping[str, Any], processes: int, restarts: int) -> dict[str, Any]:
    """Run a job in several processes and return its outcome.

    Args:
        job: arguments of `lehr.engine.worker`, as JSON values.
        processes: how many.
        restarts: number of restarts after one was lost.

    Raises:
        LehrError: the job failed, or its processes were lost too often.
        Stopped: a signal asked for the end.
    """
    with preserve_random():  # torch's launcher draws some
        return _launch(job, processes, restarts)


def _launch(job: Mapping[str, Any], processes: int, restarts: int) -> dict[str, Any]:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from lehr.distributed.one_machine import BACKEND

    with _silent_loggers(), _first_signal_raised(), safe_environment(), private_folder() as job_folder:
        (job_folder / JOB).write_text(json.dumps({**job, "launcher": os.getpid()}), encoding="utf-8")
        wanted: dict[str, Any] = {
            "min_nodes": 1,
            "max_nodes": 1,
            "nproc_per_node": processes,
            "run_id": job_folder.name,
            "rdzv_backend": BACKEND,
            "local_addr": "localhost",
            "max_restarts": restarts,
            "monitor_interval": 0.1,
            "logs_specs": DefaultLogsSpecs(log_dir=str(job_folder / "logs")),
            "signals_to_handle": "",  # those of `_first_signal_raised`
            "shutdown_timeout": SHUTDOWN,
        }
        known = {field.name for field in dataclasses.fields(LaunchConfig)}  # torch 2.11 has fewer
        config = LaunchConfig(**{name: value for name, value in wanted.items() if name in known})
        os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN))
        try:
            python, *arguments = module_command("lehr.engine.worker", str(job_folder))
            elastic_launch(config, python)(*arguments)
        except SignalException as error:
            outcome = read_outcome(job_folder)
            if outcome is None:
                signum = int(error.sigval)
                raise Stopped(
                    f"Stopped by {describe_signal(signum)} while the processes were being started. If the run had "
                    f"started before, resume it with: {_how_to_go_on(job)}",
                    signum,
                ) from None
        except ChildFailedError as error:
            outcome = read_outcome(job_folder)
            if outcome is None or not outcome["code"]:
                raise LehrError(f"{_lost(error, restarts)} Resume with: {_how_to_go_on(job)}") from None
        else:
            outcome = read_outcome(job_folder)
    if outcome is None:
        raise LehrError("The processes ended without a result.")
    _raise(outcome)
    return outcome


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder for temporary files that only this user can open, and remove it at the end.

    Raises:
        LehrError: the file system lets others in.
    """
    with tempfile.TemporaryDirectory(prefix="lehr-") as name:
        folder = Path(name)
        check_private(folder)
        with contextlib.ExitStack() as held:
            if os.name == "posix":  # a lock protects it from cleaners of old files
                import fcntl

                handle = os.open(folder, os.O_RDONLY)
                held.callback(os.close, handle)
                with contextlib.suppress(OSError):
                    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield folder


@functools.cache
def stay_with(launcher: int) -> None:
    """End this process, as SIGTERM does, once its launcher was killed: nothing supervises it any longer.

    Args:
        launcher: the launcher's process id.
    """

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="launcher", daemon=True).start()


def write_outcome(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Write the end of a job for the process that started it; the first writer wins.

    Args:
        folder: the folder of the job.
        outcome: `code` and `message`, and the result of a finished job.
    """
    with contextlib.suppress(FileExistsError), (folder / OUTCOME).open("x", encoding="utf-8") as file:
        json.dump(outcome, file)


def read_outcome(folder: Path) -> dict[str, Any] | None:
    """The end of a job; None if there is none yet."""
    path = folder / OUTCOME
    if not path.is_file():
        return None
    outcome: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return outcome


@contextlib.contextmanager
def _silent_loggers() -> Iterator[None]:
    """Silence torch's loggers while the block runs."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(TORCHS_LOGGERS)]
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:  # each has its own level
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _first_signal_raised() -> Iterator[None]:
    """Raise the first signal that asks for the end as torch's launcher wants it, to pass it on to its processes.

    Further ones are ignored: they would make it abandon its processes while these save their state. Ignored signals
    stay ignored, as under nohup.
    """
    from torch.distributed.elastic.multiprocessing import SignalException

    asked = threading.Event()

    def ask(signum: int, frame: FrameType | None) -> None:
        if not asked.is_set():
            asked.set()
            raise SignalException(describe_signal(signum), signal.Signals(signum))

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # handlers can only be set there
        heard = [signum for signum in STOPPING if signal.getsignal(signum) != signal.SIG_IGN]
        before = {signum: signal.signal(signum, ask) for signum in heard}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _how_to_go_on(job: Mapping[str, Any]) -> str:
    """Return the command that resumes the run of a job."""
    if "resume" in job:
        return f"lehr train --resume {job['resume']}"
    project, name = job["config"]["project"], job["config"]["name"]
    return f"lehr train --resume {Path(project, name)}" if name else f"lehr train --resume --project {project}"


def _raise(outcome: Mapping[str, Any]) -> None:
    code, message = outcome["code"], outcome["message"]
    if code == InputError.exit_code:
        raise InputError(message)
    if code > 128:
        raise Stopped(message, code - 128)
    if code:
        raise Diverged(message) if outcome.get("diverged") else LehrError(message)


def _lost(error: Any, restarts: int) -> str:
    """Message about processes that were lost too often.

    Args:
        error: torch's, with the last ones.
        restarts: number of restarts.
    """
    rank, failure = error.get_first_failure()
    code = failure.exitcode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    again = f", and earlier losses used up the {restarts} restarts (--restarts)" if restarts else ""
    memory = " SIGKILL often means that the machine ran out of memory." if code == -signal.SIGKILL else ""
    return f"Process {failure.pid} (rank {rank}) {how}{again}.{memory} The run is kept up to its last checkpoint."
