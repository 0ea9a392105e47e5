"""A run as recorded in its folder, for comparing it with another: options, versions, data, results, digests.

The folder may come from anybody: everything is read within bounds, and nothing that it names is imported or run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lehr.checkpoint.digest_file import DigestFile, open_digests
from lehr.checkpoint.format import newest_checkpoint
from lehr.checkpoint.results_csv import RESULTS, read_results
from lehr.checkpoint.run_folder import CONFIG, refuse_link
from lehr.checkpoint.run_log import RunLog, StartLine, read_run_log
from lehr.config import BEGUN_IN, TrainConfig
from lehr.data.image_marks import DataMarks, read_marks
from lehr.errors import InputError
from lehr.options import in_current_form, option_names
from lehr.yaml_files import read_mapping

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two runs.

    Attributes:
        folder: the run's.
        options: every option by flat name, as plain values; of options that came later, their default.
        versions: of Python and the packages that compute, by name.
        machine: device, processor, processes, by name.
        names: the class names; empty if they are not known.
        data: fingerprint of the data, of names, sizes and objects; empty if it is not known.
        marks: fingerprint of each image; None if there are none.
        batches: of an epoch; None if that is not known.
        digests: of each step; None if the run recorded none.
        log: its lines of events.jsonl.
        rows: those of results.csv.
        notes: what could not be read, one line each.
    """

    folder: Path
    options: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    names: tuple[str, ...]
    data: str
    marks: DataMarks | None
    batches: int | None
    digests: DigestFile | None
    log: RunLog
    rows: Sequence[Row]
    notes: tuple[str, ...]


def read_side(folder: Path) -> Side:
    """Read a run's folder.

    Raises:
        InputError: it is not a run's, or a file in it cannot be used.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "there is no such run"
        raise InputError(f"{folder}: {what}. Name the folder of a run, e.g. runs/train.")
    refuse_link(folder / CONFIG)
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}: is not a run of Lehr's: has no {CONFIG}. Name a run's folder.")
    options = _options(folder / CONFIG)
    log, notes = read_run_log(folder), []
    notes += [note for note in log.notes if log.lines]
    start = log.start
    versions, machine, data = _circumstances(folder, start, notes)
    digests = open_digests(folder)
    batches = start.batches if start is not None else None
    return Side(
        folder=folder,
        options=options,
        versions=versions,
        machine=machine,
        names=() if start is None else tuple(start.names),
        data=data,
        marks=read_marks(folder),
        batches=digests.header.batches if digests is not None else batches,
        digests=digests,
        log=log,
        rows=_rows(folder / RESULTS),
        notes=tuple(notes),
    )


def _options(path: Path) -> dict[str, Any]:
    """The options of a config.yaml, without those that Lehr does not know, and with the defaults of those it lacks."""
    given = in_current_form({str(name): value for name, value in read_mapping(path, links=False).items()})
    known = option_names()
    return TrainConfig().flat() | {name: value for name, value in given.items() if name in known and name != BEGUN_IN}


def _circumstances(
    folder: Path, start: StartLine | None, notes: list[str]
) -> tuple[dict[str, str], dict[str, str], str]:
    """Versions, machine and fingerprint of the data: as the log says them, else what the checkpoint knows."""
    if start is not None:
        machine = {str(name): str(value) for name, value in start.machine.items()}
        own = {"device": start.device, "processes": str(start.processes)}
        return dict(start.versions), machine | own, start.data
    try:
        checkpoint = newest_checkpoint(folder, notes.append)
    except InputError as error:
        notes.append(str(error))
        return {}, {}, ""
    if checkpoint is None:
        return {}, {}, ""
    content = checkpoint.content
    machine = {"device": str(content.get("device", "")), "processes": str(content.get("processes", 1))}
    return {"torch": str(content.get("torch", "")).partition("+")[0]}, machine, str(content.get("data", ""))


def _rows(path: Path) -> list[Row]:
    """Return the rows of results.csv, their cells that hold text; none if it is not there yet.

    Raises:
        InputError: it cannot be read.
    """
    return [{str(name): value for name, value in row.items() if isinstance(value, str)} for row in read_results(path)]
