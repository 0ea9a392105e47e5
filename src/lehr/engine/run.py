"""Starting and resuming a run: its processes, folder, writer, preparation and end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lehr.augment.own_transforms import own_transforms
from lehr.callbacks.contact_sheets import ContactSheets
from lehr.callbacks.data_marks import DataMarksCallback
from lehr.callbacks.data_summary import DataSummaryCallback
from lehr.callbacks.digests import DigestCallback
from lehr.callbacks.dispatcher import Dispatcher
from lehr.callbacks.events import PretrainRoutineEnd, PretrainRoutineStart, RunException, Teardown
from lehr.callbacks.loading import load_callbacks, load_loggers
from lehr.callbacks.logger import Logger
from lehr.callbacks.neighbours import NeighbourCallback
from lehr.callbacks.notebook import display_callbacks, notebook_view
from lehr.callbacks.run_log import RunLogCallback
from lehr.checkpoint.format import Checkpoint, Position, abandon_last
from lehr.checkpoint.results_csv import RESULTS, write_results
from lehr.checkpoint.run_folder import (
    CONFIG,
    LAST,
    LOG,
    discard,
    make_run_folder,
    only_writer,
    refuse_link,
    write_config,
)
from lehr.config import TrainConfig
from lehr.data.tiled_split import images_of
from lehr.distributed.collectives import PeerLost, Ranks, check_divides
from lehr.distributed.devices import own_device
from lehr.distributed.environment import World, world
from lehr.distributed.group import Group, joined
from lehr.distributed.launch import launch
from lehr.distributed.process_count import processes_here
from lehr.engine.checkpointer import clear_leftovers
from lehr.engine.out_of_memory import is_out_of_memory
from lehr.engine.preflight import report_deterministic_cost, warm_up_compile
from lehr.engine.result import TrainResult, result_of
from lehr.engine.resume import Resumption, find_run, open_run, peek
from lehr.engine.setup import Setup, open_device, prepare
from lehr.engine.trainer import Trainer
from lehr.errors import InputError, LehrError
from lehr.evaluation.against_start import AgainstStart
from lehr.evaluation.metrics import Metrics
from lehr.preview import Preview, describe_without_effect
from lehr.report.callback import ReportCallback
from lehr.runtime.console import Console
from lehr.runtime.device import configure_backend
from lehr.runtime.malloc import tuned_malloc
from lehr.runtime.process_state import preserve_process_state
from lehr.runtime.stop_request import StopRequest
from lehr.techniques.compiled_steps import check_compiler_graphs


@dataclass(frozen=True, slots=True)
class Listeners:
    """Listeners to a run.

    Attributes:
        callbacks: listeners to its events, in addition to those that the options name.
        verbose: print its progress; otherwise only the logger `lehr` and the run's log record it.
        loggers: those that the options name (`--loggers`).
    """

    callbacks: tuple[object, ...] = ()
    verbose: bool = True
    loggers: tuple[Logger, ...] = ()

    @classmethod
    def of(cls, config: TrainConfig, callbacks: Sequence[object], verbose: bool) -> Listeners:
        """Load what the options name, before the run is created.

        Raises:
            InputError: one of them cannot be found or created.
        """
        loggers = load_loggers(config.run.loggers) if world().rank == 0 else ()
        return cls((*callbacks, *load_callbacks(config.run.callback)), verbose, tuple(loggers))


@preserve_process_state()
@tuned_malloc()
def train(config: TrainConfig, callbacks: Sequence[object] = (), verbose: bool = True) -> TrainResult:
    """Train a detector, with several processes if the options name several devices or a launcher started several.

    Args:
        config: every option.
        callbacks: listeners to the run's events, in addition to those that the options name (see
            `lehr.callbacks.callback`).
        verbose: print the run's progress.

    Raises:
        InputError: the options or the data cannot be trained on; nothing is left behind.
        Stopped: a signal stopped the run; the state is saved.
        PeerLost: another process no longer responds.
        LehrError: the training itself failed.
    """
    # Before any computation: later threads inherit the current settings.
    configure_backend(torch.device("cpu"), world().local_count)
    listeners = Listeners.of(config, callbacks, verbose)
    own_transforms(config.augment.augmentation)  # reject what cannot be imported before creating anything
    count = _to_launch(config)
    if count > 1:
        job = {"config": config.for_file(), "notes": list(config.notes), "given": sorted(config.given)}
        return _launched(job, config, count, callbacks, verbose)
    with _joined(config) as group:
        earlier = group.ranks.broadcast_from_rank0(group.recall)
        if earlier is not None and (earlier / CONFIG).is_file():
            group.again = True
            given = {"callback": config.run.callback, "augmentation": config.augment.augmentation}
            return _gone_on(group, earlier, None, given, listeners)
        return _begun(group, config, listeners)


@preserve_process_state()
@tuned_malloc()
def resume(
    target: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    callbacks: Sequence[object] = (),
    verbose: bool = True,
) -> TrainResult:
    """Resume a run from its newest checkpoint, with the same result as if it had never stopped.

    Args:
        target: a run's folder, a checkpoint in one, or None for the newest interrupted run.
        changes: options that may change, by flat name: device, workers, cache, epochs, patience, ...; `project` is
            where the newest run is searched for.
        callbacks: listeners to the run's events, in addition to those that the options name; they receive the state of
            listeners with the same name.
        verbose: print the run's progress.

    Raises:
        InputError: there is no such run, an option cannot change, or the data have changed.
        Stopped: a signal stopped the run; the state is saved.
        PeerLost: another process no longer responds.
        LehrError: the training itself failed.
    """
    configure_backend(torch.device("cpu"), world().local_count)
    given = dict(changes or {})
    if target is not None and "project" in given:
        raise InputError(f"--resume {target}: --project is where the newest run is searched for; omit it.")
    folder, file = find_run(target, Path(given.pop("project", "runs")), held_too=world().rank > 0)
    if "device" in given:  # not as many as it had elsewhere
        given.setdefault("processes", None)
    config = peek(folder, file, given)
    listeners = Listeners.of(config, callbacks, verbose)
    own_transforms(config.augment.augmentation)  # reject what cannot be imported before creating anything
    count = _to_launch(config)
    if count > 1:
        job = {"resume": str(file or folder), "changes": _plain(given)}
        return _launched(job, config, count, callbacks, verbose)
    with _joined(config) as group:
        found = group.ranks.broadcast_from_rank0(lambda: (folder, file))
        return _gone_on(group, *found, given, listeners)


def _to_launch(config: TrainConfig) -> int:
    """Count the processes to start for a run; 1 if this one trains alone, or was itself started for it.

    Raises:
        InputError: devices, processes and batch do not fit together.
    """
    if world().launched:
        return 1
    count = processes_here(config.devices)
    if count > 1:
        check_compiler_graphs(config, "cuda", count)
        if isinstance(config.data.batch, int):
            check_divides(config.batch, count)
        for rank in range(count):  # reported once, here, instead of by each of them
            own_device(config.devices, World(True, rank, count, rank, count))
    return count


def _launched(
    job: Mapping[str, Any], config: TrainConfig, count: int, callbacks: Sequence[object], verbose: bool
) -> TrainResult:
    """Start several processes for a run, and return its result.

    Raises:
        InputError: callbacks are objects, which cannot be passed to other processes.
    """
    if callbacks:
        raise InputError(
            f"callbacks: objects cannot be passed to the {count} processes of this run. Name them instead, e.g. "
            'callback=["package.module:object"].'
        )
    outcome = launch({**job, "verbose": verbose}, count, config.devices.restarts)
    compared = (outcome[name] for name in ("against_start", "older_against_start"))
    return result_of(
        Path(outcome["folder"]),
        Metrics.from_dict(outcome["metrics"]),
        *(None if each is None else AgainstStart.from_dict(each) for each in compared),
        best_epoch=outcome["best_epoch"],
    )


@contextmanager
def _joined(config: TrainConfig) -> Iterator[Group]:
    """Join the processes of a run, with this one on its device."""
    with joined(open_device(config.devices, config.run.deterministic), config.devices.timeout) as group:
        yield group


def _begun(group: Group, config: TrainConfig, listeners: Listeners) -> TrainResult:
    """Start a new run; rank 0 creates its folder and is its only writer."""
    ranks, project = group.ranks, config.run.project
    new_project = not os.path.exists(project)  # noqa: PTH110 (which, unlike Path's, never raises)
    with contextlib.ExitStack() as held:

        def make() -> Path:
            folder = make_run_folder(project, config.run.name)
            held.enter_context(only_writer(folder))
            return folder

        folder = ranks.broadcast_from_rank0(make)
        output = held.enter_context(_output(folder, group, listeners))
        try:
            callbacks = _dispatcher(config, listeners, output, ranks)
            with _ending(callbacks, only_failures=True):
                callbacks.emit(PretrainRoutineStart(folder, config, resumed=False))
                if ranks.is_main:
                    write_config(config, folder)  # first, so that a run killed from now on can restart
                    group.remember(folder)
                setup = _with_notes(_prepared(config, folder, group), listeners)
                if ranks.is_main and setup.config != config:
                    write_config(setup.config, folder)  # with the measured values, so that nothing is measured again
        except (LehrError, KeyboardInterrupt) as error:
            if ranks.is_main and not isinstance(error, PeerLost):  # otherwise it would restart
                discard(folder)
                if new_project:
                    with contextlib.suppress(OSError):  # another run uses it by now
                        project.rmdir()
            raise
        return _train(setup, callbacks, output)


def _gone_on(
    group: Group, folder: Path, file: Path | None, changes: Mapping[str, Any], listeners: Listeners
) -> TrainResult:
    """Resume a run from its newest checkpoint, or the named one, which rank 0 reads for all."""
    ranks = group.ranks
    with contextlib.ExitStack() as held:

        def read() -> Resumption:
            held.enter_context(only_writer(folder))
            refuse_link(folder / LOG)
            return open_run(folder, file, changes)

        resumption = ranks.broadcast_from_rank0(read, Resumption, TrainConfig, Checkpoint, Position)
        output = held.enter_context(_output(folder, group, listeners))
        if resumption.finished:
            return _finished(resumption, output)
        if ranks.is_main:
            clear_leftovers(folder)
            group.remember(folder)
        callbacks = _dispatcher(resumption.config, listeners, output, ranks)
        if resumption.checkpoint is not None:
            callbacks.load_state_dict(resumption.checkpoint.content.get("callbacks", {}))
        with _ending(callbacks, only_failures=True):
            callbacks.emit(PretrainRoutineStart(folder, resumption.config, resumed=True))
            setup = _with_notes(_prepared(resumption.config, folder, group, resumption), listeners)
            del resumption  # and with it a copy of the state
            if ranks.is_main:
                write_config(setup.config, folder)
                write_results(folder / RESULTS, setup.state.history)
                if file is not None and file.name != LAST:
                    abandon_last(folder, file)
        return _train(setup, callbacks, output)


def _prepared(config: TrainConfig, folder: Path, group: Group, resumption: Resumption | None = None) -> Setup:
    try:
        return prepare(config, folder, resumption, group)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    device = config.devices.device
    raise LehrError(f"--device {device}: not enough memory to start. Use a smaller model, or free memory.")


def _with_notes(setup: Setup, listeners: Listeners) -> Setup:
    """Report given options that have no effect in the run."""
    config, splits = setup.config, {**setup.dataset.splits, "train": setup.own_samples}
    if listeners.callbacks:  # options given by a program count, too
        config = config.model_copy(update={"given": config.given - {"strict_callbacks"}})
    dataset = replace(setup.dataset, splits=splits)
    run = Preview(config, len(setup.own_samples), len(dataset.names), setup.plan, lambda: dataset)
    lines = [line for line in describe_without_effect(run) if line not in setup.notes]
    return replace(setup, notes=(*setup.notes, *lines))


def _output(folder: Path, group: Group, listeners: Listeners) -> Console:
    silent = not group.ranks.is_main
    view = notebook_view(listeners.verbose and not silent)
    return Console(folder / LOG, silent=silent, verbose=listeners.verbose, handler=view)


def _dispatcher(config: TrainConfig, listeners: Listeners, output: Console, ranks: Ranks) -> Dispatcher:
    """Build the dispatcher of a run's events to the console, the run's files and all listeners."""
    standing: list[object] = []
    if ranks.is_main:
        standing += [NeighbourCallback(output.say), *display_callbacks(output)]
        standing += [RunLogCallback(listeners.loggers), DataSummaryCallback(), DataMarksCallback()]
        standing += [ContactSheets()] if config.run.report else []
        standing += [DigestCallback()] if config.run.digests else []
        standing += [ReportCallback(output.say)] if config.run.report else []
    return Dispatcher((*standing, *listeners.callbacks), strict=config.run.strict_callbacks, is_main=ranks.is_main)


@contextmanager
def _ending(callbacks: Dispatcher, only_failures: bool = False) -> Iterator[None]:
    """Report to callbacks how a block ends.

    Args:
        callbacks: notified of an error, and then that no more events follow.
        only_failures: if the block succeeds, more events follow.
    """
    try:
        yield
    except BaseException as error:
        try:
            callbacks.emit(RunException(callbacks.run, error))
        finally:
            callbacks.emit(Teardown(callbacks.run))
        raise
    if not only_failures:
        callbacks.emit(Teardown(callbacks.run))


def _train(setup: Setup, callbacks: Dispatcher, output: Console) -> TrainResult:
    config = setup.config
    loaders = closing(setup.feed.loader), closing(setup.val_loader)
    with StopRequest() as stop, _ending(callbacks), loaders[0], loaders[1]:
        if not setup.ranks.is_distributed:  # otherwise all of them stop at the same step
            setup.feed.loader.stop_signal = setup.val_loader.stop_signal = lambda: stop.signal_number
        if setup.group.again:
            place = setup.group.world
            count = f": {place.attempt} of at most {place.max_attempts} times" if place.attempt else ""
            output.say(f"Restarted after a process was lost{count}.")
        for line in setup.notes:
            output.say(line)
        precision = setup.state.precision
        if config.run.deterministic:
            report_deterministic_cost(setup.forward_loss, precision, setup.first_batch, output.say)
        warm_up_compile(config.speed.compile, setup.forward_loss, precision, setup.first_batch, output.say, setup.ranks)
        trainer = Trainer(setup, callbacks, stop, output.say)
        splits = {
            **setup.dataset.splits,
            "train": images_of(setup.own_samples),
            "val": images_of(setup.val_samples),
        }
        dataset = replace(setup.dataset, splits=splits)
        callbacks.emit(PretrainRoutineEnd(trainer.run_info, setup.notes, dataset))
        return trainer.run()


def _finished(resumption: Resumption, output: Console) -> TrainResult:
    """Return the result of a run that has already finished."""
    assert resumption.checkpoint is not None
    state, config = resumption.checkpoint.content["state"], resumption.config
    for line in resumption.notes:
        output.say(line)
    done, early = state["epoch"], state["epoch"] < config.epochs
    how = f", stopped early (--patience {config.schedule.patience})" if early else ""
    output.say(
        f"{resumption.folder} has finished: {done} of {config.epochs} epochs{how}. To train it longer, give "
        f"{'a larger --patience' if early else 'more --epochs'}."
    )
    compared = ((state.get(name) or {}).get("outcome") for name in ("guard", "older_guard"))
    own, older = (None if each is None else AgainstStart.from_dict(each) for each in compared)
    if own is not None:
        output.say(own.describe())
    if older is not None:
        output.say(older.describe_on(str(config.data.keep_val)))
    metrics, best_epoch = Metrics.from_dict(state["best_metrics"]), state["stopping"]["best_epoch"]
    return result_of(resumption.folder, metrics, own, older, best_epoch=best_epoch)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Convert options to JSON values."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
