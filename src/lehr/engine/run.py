"""Beginning a run and going on with one: its folder, its one writer, its preparation, its end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lehr.config import TrainConfig
from lehr.engine.checkpoint import LAST, abandon_last
from lehr.engine.compile_start import make_code
from lehr.engine.deterministic import tell_cost
from lehr.engine.device import use_whole_machine
from lehr.engine.interrupt import StopRequest
from lehr.engine.keeper import clear_leftovers
from lehr.engine.out_of_memory import is_out_of_memory
from lehr.engine.progress import Reporter
from lehr.engine.results import write_results
from lehr.engine.resume import Resumption, find_run, open_run
from lehr.engine.run_folder import LOG, discard, make_run_folder, only_writer, write_config
from lehr.engine.saver import RESULTS
from lehr.engine.setup import Setup, prepare
from lehr.engine.trainer import Trainer, TrainResult, result_of
from lehr.errors import InputError, LehrError
from lehr.evaluation.metrics import Metrics


def train(config: TrainConfig) -> TrainResult:
    """Trains a detector.

    Args:
        config: every option.

    Raises:
        InputError: options or data that cannot be trained on; nothing is left behind then.
        Stopped: a signal asked for the end; the state is saved.
        LehrError: the training itself failed.
    """
    use_whole_machine(torch.device("cpu"))  # before anything is computed: later threads take over what holds now
    project = config.run.project
    new_project = not os.path.exists(project)  # noqa: PTH110 (which, unlike Path's, never raises)
    folder = make_run_folder(project, config.run.name)
    with only_writer(folder):
        try:
            write_config(config, folder)  # first, so that a run that is killed from here on can begin again
            setup = _prepared(config, folder)
            if setup.config != config:
                write_config(setup.config, folder)  # with what was measured, so that nothing is measured again
        except (LehrError, KeyboardInterrupt):
            discard(folder)
            if new_project:
                with contextlib.suppress(OSError):  # another run is in it by now
                    project.rmdir()
            raise
        return _train(setup)


def resume(target: Path | None = None, changes: Mapping[str, Any] | None = None) -> TrainResult:
    """Goes on with a run from its newest checkpoint, to the same end as if it had never stopped.

    Args:
        target: a run's folder, a checkpoint in one, or None for the newest interrupted run.
        changes: options that may be given anew, by flat name: device, workers, cache, epochs, patience, ...; `project`
            is where the newest run is looked for.

    Raises:
        InputError: there is no such run, an option cannot change, or the data have.
        Stopped: a signal asked for the end; the state is saved.
        LehrError: the training itself failed.
    """
    use_whole_machine(torch.device("cpu"))
    given = dict(changes or {})
    if target is not None and "project" in given:
        raise InputError(f"--resume {target}: --project is where the newest run is looked for; leave it out.")
    folder, file = find_run(target, Path(given.pop("project", "runs")))
    with only_writer(folder):
        resumption = open_run(folder, file, given)
        if resumption.finished:
            return _finished(resumption)
        clear_leftovers(folder)
        setup = _prepared(resumption.config, folder, resumption)
        del resumption  # and with it another copy of the state
        write_config(setup.config, folder)
        write_results(folder / RESULTS, setup.state.history)
        if file is not None and file.name != LAST:
            abandon_last(folder, file)
        return _train(setup)


def _prepared(config: TrainConfig, folder: Path, resumption: Resumption | None = None) -> Setup:
    try:
        return prepare(config, folder, resumption)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    raise LehrError(f"--device {config.run.device}: too little memory to begin. Use a smaller model, or free memory.")


def _train(setup: Setup) -> TrainResult:
    with Reporter(setup.folder / LOG, setup.config.epochs, setup.config.imgsz) as reporter, StopRequest() as stop:
        for line in setup.notes:
            reporter.say(line)
        tell_cost(setup, reporter.say)
        make_code(setup, reporter.say)
        return Trainer(setup, reporter, stop).run()


def _finished(resumption: Resumption) -> TrainResult:
    """The result of a run that has nothing left to do."""
    assert resumption.checkpoint is not None
    state, config = resumption.checkpoint.content["state"], resumption.config
    with Reporter(resumption.folder / LOG, config.epochs, config.imgsz) as reporter:
        for line in resumption.notes:
            reporter.say(line)
        done, early = state["epoch"], state["epoch"] < config.epochs
        how = f", stopped early (--patience {config.schedule.patience})" if early else ""
        reporter.say(
            f"{resumption.folder} has finished: {done} of {config.epochs} epochs{how}. To train it longer, give "
            f"{'a larger --patience' if early else 'more --epochs'}."
        )
    return result_of(resumption.folder, Metrics.from_dict(state["best_metrics"]))
