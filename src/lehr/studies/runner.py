"""Running a study on this machine: its data, its folder, its storage, its workers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lehr.augment.closing import closing_epochs
from lehr.config import TrainConfig
from lehr.data.check import refuse_unusable
from lehr.data.difficult import with_difficult
from lehr.data.faults import describe_faults
from lehr.data.fingerprint import fingerprint
from lehr.data.load import load_dataset, require_split
from lehr.data.skip_list import without_listed
from lehr.data.tiled_split import in_tiles, tiling_of
from lehr.engine.older import OlderData, read_older
from lehr.errors import InputError, LehrError, Stopped
from lehr.evaluation.background import is_background
from lehr.options import LOCAL
from lehr.preview import Preview, preview
from lehr.runtime.atomic_write import atomic_file, clear_temporaries
from lehr.runtime.counted import counted
from lehr.runtime.signals import describe_signal
from lehr.runtime.stop_request import StopRequest
from lehr.search.definition import Definition
from lehr.search.records import Record, Value
from lehr.search.study_types import Search
from lehr.studies.options import StudyOptions
from lehr.studies.pool import Plan, WorkerPool
from lehr.studies.progress import StudyConsole
from lehr.studies.storage import require_optuna
from lehr.studies.storage_url import resolve_storage, shown, without_variables
from lehr.studies.study import SharedStudy, open_study
from lehr.studies.worker import TRIAL_MODULE, TRIALS, Job
from lehr.techniques.single_class import as_one_class
from lehr.yaml_files import read_mapping

STUDY, LOG, PAGE, PLOTS = "study.yaml", "study.log", "report.html", "plots"
LEFT_SECONDS = 24 * 3600.0
"""Age after which a partial file was left by a kill; before, another machine may be writing it."""
HEARTBEATS = 4
"""Signs of life within the time after which a worker counts as lost."""


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """State of a study.

    Attributes:
        folder: the study's folder on this machine.
        records: of all slots.
        ended: whether all of them have ended.
        study: the study itself.
    """

    folder: Path
    records: list[Record]
    ended: bool
    study: SharedStudy


class StudyData(NamedTuple):
    """The data set of a study's runs.

    Attributes:
        run: preview of a run on it.
        fingerprint: by which other machines know that they have the same.
        faults: a line for each kind of fault in it.
    """

    run: Preview
    fingerprint: str
    faults: list[str]


def read_data(config: TrainConfig) -> StudyData:
    """Read the data set of a study's runs.

    Raises:
        InputError: the data set cannot be trained on.
    """
    dataset = without_listed(load_dataset(config.data.data, config.run.seed), config.data.skip)
    refuse_unusable(dataset, config.data.skip_broken)
    faults = describe_faults(dataset.faults)
    if config.data.single_cls:
        dataset = as_one_class(dataset)
    dataset = with_difficult(dataset, config.data.difficult)
    train, val = require_split(dataset, "train"), require_split(dataset, "val", objects=False)
    if is_background(val):
        raise InputError(
            f"{dataset.source}: no image of the split 'val' has an object, so no trial could be better than another. "
            "Add images with objects; `lehr data split` splits all images again."
        )
    tiles = in_tiles(train, tiling_of(config))
    trained = replace(dataset, splits={**dataset.splits, "train": tiles})
    run = preview(config, len(tiles), len(dataset.names), lambda: trained)
    older = _read_older(config, dataset.names)
    splits = [train, val] if older is None else [train, val, older.train, older.val]
    return StudyData(run, fingerprint(dataset.names, *splits), faults)


def _read_older(config: TrainConfig, names: Sequence[str]) -> OlderData | None:
    """The older data of a study's runs, whose training images trials may replay; None if there are none.

    Raises:
        InputError: they cannot be used.
    """
    source = config.data.keep_val
    if source is None:
        return None
    return read_older(config, names, lambda name: load_dataset(name, config.run.seed, ("val",)), source)


def shared_options(config: TrainConfig) -> dict[str, Any]:
    """The options of a study's runs that are the same on every machine.

    Raises:
        InputError: they would not be.
    """
    if not isinstance(config.data.batch, int):
        raise InputError(
            f"--batch {config.data.batch}: the trials of a study must have the same batch on every machine. Give a "
            "count; `lehr train --batch auto` measures what a device can take."
        )
    closed = closing_epochs(config.augment.close_mosaic, config.epochs)  # as many as a study from earlier has them
    flat = config.flat() | {"epochs": config.epochs, "imgsz": config.imgsz, "close_mosaic": closed}
    return {name: value for name, value in flat.items() if name not in LOCAL}


def local_options(config: TrainConfig) -> dict[str, Any]:
    """The options that each machine sets separately."""
    return {name: value for name, value in config.flat().items() if name in LOCAL and name not in ("project", "name")}


def study_folder(config: TrainConfig, kind: str) -> Path:
    """The folder of a study on this machine: its name is the study's.

    Raises:
        InputError: it holds something else.
    """
    folder = config.run.project / (config.run.name or kind)
    if folder.exists() and not (folder / STUDY).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already and holds no study. Choose another --name or --project.")
    return folder


def run_study(
    search: Search,
    definition: Definition,
    slots: Sequence[Mapping[str, Value]],
    config: TrainConfig,
    options: StudyOptions,
    describe: Callable[[Record], str],
    write: Callable[[Path, SharedStudy, list[Record]], None],
    verbose: bool = True,
) -> StudyOutcome:
    """Run a study until it has ended or is stopped.

    Args:
        search: what its trials are.
        definition: the same, as the study keeps it.
        slots: the fixed values of each trial.
        config: the run that is varied.
        options: its storage and workers.
        describe: describes a trial in a few words.
        write: writes what is known into the study's folder, whenever trials have ended.
        verbose: print the progress of the study.

    Raises:
        InputError: the study or its trials cannot be created.
        Stopped: a signal asked for the end.
        LehrError: the storage is lost, or the trials fail.
    """
    require_optuna()
    folder = study_folder(config, definition.kind)
    storage, new = resolve_storage(options.storage, options.storage_file, folder), not folder.exists()
    url = storage.url
    places = worker_places(config, options.jobs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear_temporaries(folder, {path.name for path in folder.iterdir()}, age=LEFT_SECONDS)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created ({error.strerror}). Choose another --project.") from None
    try:
        study = open_study(url, folder.name, definition, config.devices.timeout)
        _keep_apart(folder, study)
    except LehrError:
        if new and not any(folder.iterdir()):
            folder.rmdir()
        raise
    if not (folder / STUDY).is_file():
        _write_study(folder, definition, url)
    job = Job(
        storage=url,
        name=folder.name,
        folder=str(folder.absolute()),
        local=local_options(config),
        cores=(),
        heartbeat=options.grace / HEARTBEATS,
        patience=config.devices.timeout,
        slots=len(slots),
        keep_checkpoints=options.keep_checkpoints,
        supervisor=os.getpid(),
        definition=dataclasses.asdict(study.definition),
        trial_module=TRIAL_MODULE,
    )
    seconds = None if options.hours is None else options.hours * 3600
    plan = Plan(study, job, places, slots, options.grace, config.devices.restarts, seconds)
    with StudyConsole(folder / LOG, search.epochs, describe, verbose=verbose) as reporter, StopRequest() as stop:
        reporter.say(
            f"{definition.kind} '{folder.name}' in {shown(url)}: {counted(len(slots), 'trial')} of "
            f"{counted(search.epochs, 'epoch')}, "
            f"{counted(len(places), 'worker')} here."
        )
        for note in storage.notes:
            reporter.say(note)
        if study.fitness != definition.search["fitness"]:
            reporter.say(
                f"It maximises {study.fitness}, as when it started; a new study maximises "
                f"{definition.search['fitness']} (docs/evaluation.md)."
            )

        def kept(records: list[Record]) -> None:
            try:
                write(folder, study, records)
            except LehrError as error:  # another machine writes there, or the disk is full: the study itself continues
                reporter.say(str(error))

        with without_variables(storage.variables):
            ended = WorkerPool(plan, reporter, stop, kept).work()
        number = stop.signal_number
        records = study.records(len(slots))
        kept(records)
    if number is not None and not ended:
        done = sum(record.ended for record in records)
        raise Stopped(
            f"Stopped by {describe_signal(number)}: {done} of {len(records)} trials have ended, the state of running "
            f"ones is saved. The same command continues; results so far are in {folder}.",
            number,
        )
    return StudyOutcome(folder, records, ended, study)


def worker_places(config: TrainConfig, jobs: int | None) -> list[tuple[dict[str, Any], tuple[int, ...]]]:
    """The devices and cores of each worker on this machine.

    Named devices are distributed; several may fall to a worker, whose trials then train on all of them, and workers
    share one where there are more workers than devices. Cores are distributed, too.

    Args:
        config: names the devices.
        jobs: workers; None for one per device.
    """
    given = config.devices.device
    devices = [each.strip() for each in given.split(",")]
    count = jobs or len(devices)
    if given == "auto" and count > 1:
        devices = _all_devices()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    places = []
    for number in range(count):
        if len(devices) >= count:
            mine = devices[number * len(devices) // count : (number + 1) * len(devices) // count]
        else:
            mine = [devices[number % len(devices)]]
        own = tuple(cores[number::count] if len(cores) >= count else [cores[number % len(cores)]]) if cores else ()
        places.append(({"device": ",".join(mine)}, own if count > 1 else ()))
    return places


def _all_devices() -> list[str]:
    """All CUDA devices, or what `auto` means if there are none."""
    import torch

    return [str(index) for index in range(torch.cuda.device_count())] or ["auto"]


def _keep_apart(folder: Path, study: SharedStudy) -> None:
    """Check that the runs in a folder may be those of the study: a new one has none.

    Raises:
        InputError: they are another's.
    """
    if (folder / TRIALS).is_dir() and any((folder / TRIALS).iterdir()) and not study.study.get_trials(deepcopy=False):
        raise InputError(
            f"{folder}: holds the runs of another study, which is not in that storage. Give its --storage, or choose "
            "another --name."
        )


def _write_study(folder: Path, definition: Definition, url: str) -> None:
    """Write the settings of a study into its folder, for people."""
    content = {"name": folder.name, "storage": shown(url), **dataclasses.asdict(definition)}
    with atomic_file(folder / STUDY, "Free disk space, or choose another --project.") as temporary:
        plain = yaml.safe_dump(_plain(content), sort_keys=False, allow_unicode=True)
        temporary.write_text(plain, encoding="utf-8")


def begun_with(config: TrainConfig, kind: str, *keys: str) -> frozenset[str]:
    """Return names of what a study in this machine's folder searches; none if there is no study yet.

    Args:
        config: names the folder.
        kind: evolve or ablate.
        keys: where they are in the search of its definition.
    """
    content: Any = _begun(config, kind).get("search")
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return frozenset(map(str, content)) if isinstance(content, Mapping) else frozenset()


def as_begun(config: TrainConfig, kind: str) -> TrainConfig:
    """A study's options, mosaic closing as it does in the trials of a study that began when its default was another.

    Args:
        config: as given now; names the folder.
        kind: evolve or ablate.
    """
    options: Any = _begun(config, kind).get("options")
    closed = options.get("close_mosaic") if isinstance(options, Mapping) else None
    if config.augment.close_mosaic is not None or type(closed) is not int or not 0 <= closed < config.epochs:
        return config
    return config.model_copy(update={"augment": config.augment.model_copy(update={"close_mosaic": closed})})


def _begun(config: TrainConfig, kind: str) -> dict[Any, Any]:
    """Read the settings of a study from its folder on this machine; empty without a folder."""
    path = study_folder(config, kind) / STUDY
    return read_mapping(path, links=False) if path.is_file() or path.is_symlink() else {}


def _plain(value: Any) -> Any:
    """A value as YAML holds it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
