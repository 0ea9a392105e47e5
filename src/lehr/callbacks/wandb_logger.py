"""Weights & Biases: a run kept offline in `wandb/` of its folder, for `wandb sync`; or as WANDB_MODE says."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lehr.callbacks.logger import STEP, LoggedRun, Logger, Reached, Scalars, missing_package
from lehr.runtime.atomic_write import make_inner_folder
from lehr.runtime.reading import GIB, read_file

MODE, REPORTING = "WANDB_MODE", "WANDB_ERROR_REPORTING"
FOLDER = "wandb"
PROJECT = "lehr"
"""Project of the runs, where WANDB_PROJECT names no other."""
FILE_HEADER, RECORD_HEADER, BLOCK = 7, 7, 32 * 1024
"""Bytes of a run's file before its first block, of the header of a record, and of a block: LevelDB's log format."""


class WandbLogger(Logger):
    """Logs a run to Weights & Biases: options as its config, scalars over batches, those of epochs over `epoch` too.

    Raises:
        InputError: wandb is not installed.
    """

    name = "wandb"

    def __init__(self) -> None:
        os.environ.setdefault(REPORTING, "false")  # else errors of its own are sent to its makers
        try:
            import wandb
            from wandb.proto import wandb_internal_pb2 as messages
        except ImportError as error:
            raise missing_package(self.name, error) from None
        self._wandb: Any = wandb
        self._messages: Any = messages
        self._run: Any = None

    def begin(self, run: LoggedRun) -> Reached:
        """Begin a run, or resume the one of the same id."""
        wandb, mode = self._wandb, os.environ.get(MODE) or "offline"
        make_inner_folder(run.folder / FOLDER)
        reached = self._read(run.folder / FOLDER, run.id)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=run.id,
            name=run.name,
            dir=str(run.folder),
            mode=mode,
            resume=None if mode == "offline" else "allow",
            config=json.loads(json.dumps({**run.options, "lehr": dict(run.about)}, default=str)),
            settings=wandb.Settings(console="off", silent=True, disable_git=True, disable_code=True),
        )
        self._run.define_metric("*", step_metric="epoch", step_sync=False)
        self._run.define_metric(f"{STEP}*", step_metric="batches", step_sync=False)
        if mode != "offline" and self._run.resumed:
            summary = self._run.summary
            return Reached(int(summary.get("batches", -1)), int(summary.get("epoch", -1)))
        return reached

    def log(self, scalars: Scalars) -> None:
        """Log scalars as one entry of the run's history."""
        axis = {"batches": scalars.step} if scalars.epoch is None else {"epoch": scalars.epoch}
        self._run.log({**scalars.values, **axis})

    def image(self, name: str, file: Path, step: int) -> None:
        """Log an image."""
        self._run.log({f"images/{name}": self._wandb.Image(str(file))})

    def artifact(self, file: Path) -> None:
        """Keep a file with the run."""
        artifact = self._wandb.Artifact(f"run-{self._run.id}-{file.stem}", type="report")
        artifact.add_file(str(file))
        self._run.log_artifact(artifact)

    def close(self, finished: bool) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish(exit_code=0 if finished else 1)

    def _read(self, folder: Path, run_id: str) -> Reached:
        """Find out how far the history of a run reaches that is kept offline."""
        steps, epochs = [-1], [-1]
        for path in sorted(folder.glob(f"offline-run-*/run-{run_id}.wandb")):
            for content in records(read_file(path, GIB, links=False)):
                record = self._messages.Record()
                record.ParseFromString(content)
                for item in record.history.item:
                    name = item.key or ".".join(item.nested_key)
                    if name in ("batches", "epoch"):
                        (steps if name == "batches" else epochs).append(int(json.loads(item.value_json)))
        return Reached(max(steps), max(epochs))


def records(data: bytes) -> Iterator[bytes]:
    """Yield the records of a `.wandb` file, up to the first that a kill cut off.

    The file is a header and then a log as LevelDB's: blocks of 32 KiB, in them fragments of records, each with its
    checksum, length (2 bytes) and type: 1 is whole, 2, 3 and 4 are the first, a middle and the last fragment.
    """
    place, parts = FILE_HEADER, b""
    while place + RECORD_HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < RECORD_HEADER:  # filled with zeros
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        content = data[place + RECORD_HEADER : place + RECORD_HEADER + length]
        if not 1 <= kind <= 4 or len(content) < length:
            return
        place += RECORD_HEADER + length
        parts = content if kind in (1, 2) else parts + content
        if kind in (1, 4):
            yield parts
