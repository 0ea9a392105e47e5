"""Beginning a run and going on with one: its processes, its folder, its one writer, its preparation, its end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lehr.callbacks.console import RunConsole
from lehr.checkpoint.format import abandon_last
from lehr.checkpoint.results_csv import RESULTS, write_results
from lehr.checkpoint.run_folder import CONFIG, LAST, LOG, discard, make_run_folder, only_writer, write_config
from lehr.config import TrainConfig
from lehr.distributed.collectives import PeerLost, check_divides
from lehr.distributed.devices import own_device, processes_here
from lehr.distributed.environment import World, world
from lehr.distributed.group import Group, joined
from lehr.distributed.launch import launch
from lehr.engine.checkpointer import clear_leftovers
from lehr.engine.out_of_memory import is_out_of_memory
from lehr.engine.preflight import report_deterministic_cost, warm_up_compile
from lehr.engine.resume import Resumption, find_run, open_run, peek
from lehr.engine.setup import Setup, open_device, prepare
from lehr.engine.trainer import Trainer, TrainResult, result_of
from lehr.errors import InputError, LehrError
from lehr.evaluation.metrics import Metrics
from lehr.runtime.device import configure_backend
from lehr.runtime.stop_request import StopRequest


def train(config: TrainConfig) -> TrainResult:
    """Trains a detector; by several processes where the options name several devices, or a launcher started several.

    Args:
        config: every option.

    Raises:
        InputError: options or data that cannot be trained on; nothing is left behind then.
        Stopped: a signal asked for the end; the state is saved.
        PeerLost: another process does not answer any more.
        LehrError: the training itself failed.
    """
    configure_backend(
        torch.device("cpu"), world().local_count
    )  # before anything is computed: later threads take over what holds now
    count = _to_launch(config)
    if count > 1:
        job = {"config": config.flat(), "notes": list(config.notes)}
        return _launched(job, config, count)
    with _joined(config) as group:
        earlier = group.ranks.broadcast_from_rank0(group.recall)
        if earlier is not None and (earlier / CONFIG).is_file():
            group.again = True
            return _gone_on(group, earlier, None, {})
        return _begun(group, config)


def resume(target: Path | None = None, changes: Mapping[str, Any] | None = None) -> TrainResult:
    """Goes on with a run from its newest checkpoint, to the same end as if it had never stopped.

    Args:
        target: a run's folder, a checkpoint in one, or None for the newest interrupted run.
        changes: options that may be given anew, by flat name: device, workers, cache, epochs, patience, ...; `project`
            is where the newest run is looked for.

    Raises:
        InputError: there is no such run, an option cannot change, or the data have.
        Stopped: a signal asked for the end; the state is saved.
        PeerLost: another process does not answer any more.
        LehrError: the training itself failed.
    """
    configure_backend(torch.device("cpu"), world().local_count)
    given = dict(changes or {})
    if target is not None and "project" in given:
        raise InputError(f"--resume {target}: --project is where the newest run is looked for; leave it out.")
    folder, file = find_run(target, Path(given.pop("project", "runs")), held_too=world().rank > 0)
    if "device" in given:  # not as many as it had elsewhere
        given.setdefault("processes", None)
    config = peek(folder, file, given)
    count = _to_launch(config)
    if count > 1:
        return _launched({"resume": str(file or folder), "changes": _plain(given)}, config, count)
    with _joined(config) as group:
        return _gone_on(group, *group.ranks.broadcast_from_rank0(lambda: (folder, file)), given)


def _to_launch(config: TrainConfig) -> int:
    """Processes to start for a run; 1 where this one trains by itself, or has been started for it.

    Raises:
        InputError: devices, processes and batch do not fit together.
    """
    if world().launched:
        return 1
    count = processes_here(config.devices)
    if count > 1:
        if isinstance(config.data.batch, int):
            check_divides(config.batch, count)
        for rank in range(count):  # told once, here, instead of by each of them
            own_device(config.devices, World(True, rank, count, rank, count))
    return count


def _launched(job: Mapping[str, Any], config: TrainConfig, count: int) -> TrainResult:
    """What several processes came to, that are started for it."""
    outcome = launch(job, count, config.devices.restarts)
    return result_of(Path(outcome["folder"]), Metrics.from_dict(outcome["metrics"]))


@contextmanager
def _joined(config: TrainConfig) -> Iterator[Group]:
    """The processes of a run, this one on its device."""
    with joined(open_device(config.devices, config.run.deterministic), config.devices.timeout) as group:
        yield group


def _begun(group: Group, config: TrainConfig) -> TrainResult:
    """A new run; rank 0 makes its folder and is its only writer."""
    ranks, project = group.ranks, config.run.project
    new_project = not os.path.exists(project)  # noqa: PTH110 (which, unlike Path's, never raises)
    with contextlib.ExitStack() as held:

        def make() -> Path:
            folder = make_run_folder(project, config.run.name)
            held.enter_context(only_writer(folder))
            return folder

        folder = ranks.broadcast_from_rank0(make)
        try:
            if ranks.is_main:
                write_config(config, folder)  # first, so that a run that is killed from here on can begin again
                group.remember(folder)
            setup = _prepared(config, folder, group)
            if ranks.is_main and setup.config != config:
                write_config(setup.config, folder)  # with what was measured, so that nothing is measured again
        except (LehrError, KeyboardInterrupt) as error:
            if ranks.is_main and not isinstance(error, PeerLost):  # else it is begun again
                discard(folder)
                if new_project:
                    with contextlib.suppress(OSError):  # another run is in it by now
                        project.rmdir()
            raise
        return _train(setup)


def _gone_on(group: Group, folder: Path, file: Path | None, changes: Mapping[str, Any]) -> TrainResult:
    """A run from its newest checkpoint, or the one named, which rank 0 reads for all."""
    ranks = group.ranks
    with contextlib.ExitStack() as held:

        def read() -> Resumption:
            held.enter_context(only_writer(folder))
            return open_run(folder, file, changes)

        resumption = ranks.broadcast_from_rank0(read)
        if resumption.finished:
            return _finished(resumption, ranks.is_main)
        if ranks.is_main:
            clear_leftovers(folder)
            group.remember(folder)
        setup = _prepared(resumption.config, folder, group, resumption)
        del resumption  # and with it another copy of the state
        if ranks.is_main:
            write_config(setup.config, folder)
            write_results(folder / RESULTS, setup.state.history)
            if file is not None and file.name != LAST:
                abandon_last(folder, file)
        return _train(setup)


def _prepared(config: TrainConfig, folder: Path, group: Group, resumption: Resumption | None = None) -> Setup:
    try:
        return prepare(config, folder, resumption, group)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    device = config.devices.device
    raise LehrError(f"--device {device}: too little memory to begin. Use a smaller model, or free memory.")


def _train(setup: Setup) -> TrainResult:
    config, silent = setup.config, not setup.ranks.is_main
    with (
        RunConsole(setup.folder / LOG, config.epochs, config.imgsz, silent=silent) as reporter,
        StopRequest() as stop,
    ):
        if setup.group.again:
            place = setup.group.world
            count = f": {place.attempt} of at most {place.most_attempts} times" if place.attempt else ""
            reporter.say(f"Started again after a process was lost{count}.")
        for line in setup.notes:
            reporter.say(line)
        precision = setup.state.precision
        if config.run.deterministic:
            report_deterministic_cost(setup.forward_loss, precision, setup.first_batch, reporter.say)
        warm_up_compile(config.speed.compile, setup.forward_loss, precision, setup.first_batch, reporter.say)
        return Trainer(setup, reporter, stop).run()


def _finished(resumption: Resumption, tells: bool) -> TrainResult:
    """The result of a run that has nothing left to do."""
    assert resumption.checkpoint is not None
    state, config = resumption.checkpoint.content["state"], resumption.config
    with RunConsole(resumption.folder / LOG, config.epochs, config.imgsz, silent=not tells) as reporter:
        for line in resumption.notes:
            reporter.say(line)
        done, early = state["epoch"], state["epoch"] < config.epochs
        how = f", stopped early (--patience {config.schedule.patience})" if early else ""
        reporter.say(
            f"{resumption.folder} has finished: {done} of {config.epochs} epochs{how}. To train it longer, give "
            f"{'a larger --patience' if early else 'more --epochs'}."
        )
    return result_of(resumption.folder, Metrics.from_dict(state["best_metrics"]))


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON holds them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
