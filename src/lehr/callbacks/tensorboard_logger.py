"""TensorBoard: event files in `tensorboard/` of the run's folder, for `tensorboard --logdir runs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lehr.callbacks.logger import STEP, LoggedRun, Logger, Reached, Scalars, missing_package
from lehr.data.images import probe_image
from lehr.runtime.atomic_write import make_inner_folder
from lehr.runtime.reading import MIB, read_file

FOLDER = "tensorboard"


class TensorBoardLogger(Logger):
    """Writes event files: scalars of steps over batches, those of epochs over epochs, the options as text.

    Raises:
        InputError: tensorboard is not installed.
    """

    name = "tensorboard"

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise missing_package(self.name, error) from None
        self._event, self._summary, self._make = event_pb2.Event, summary_pb2.Summary, EventFileWriter
        self._writer: Any = None

    def begin(self, run: LoggedRun) -> Reached:
        """Begin a further event file; TensorBoard shows those of a folder as one run."""
        folder = run.folder / FOLDER
        make_inner_folder(folder)
        reached = self._read(folder)
        self._writer = self._make(str(folder))
        if reached == Reached():
            self._text("options", run.options)
            self._text("about", run.about)
        return reached

    def log(self, scalars: Scalars) -> None:
        """Write all scalars of a moment as one record, so that a kill leaves all of them or none."""
        value = self._summary.Value
        values = [value(tag=tag, simple_value=number) for tag, number in scalars.values.items()]
        step = scalars.step if scalars.epoch is None else scalars.epoch
        event = self._event(wall_time=scalars.time, step=step, summary=self._summary(value=values))
        self._writer.add_event(event)

    def image(self, name: str, file: Path, step: int) -> None:
        """Write an image."""
        width, height = probe_image(file)
        content = read_file(file, 16 * MIB, links=False)
        image = self._summary.Image(width=width, height=height, colorspace=3, encoded_image_string=content)
        summary = self._summary(value=[self._summary.Value(tag=name, image=image)])
        self._writer.add_event(self._event(wall_time=file.stat().st_mtime, step=step, summary=summary))

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._writer.flush()

    def close(self, finished: bool) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()

    def _text(self, name: str, values: Any) -> None:
        """Write a table of names and values."""
        from tensorboard.plugins.text.summary_v2 import text_pb

        rows = [f"| {key} | {_cell(value)} |" for key, value in values.items()]
        text = "\n".join(["| name | value |", "| --- | --- |", *rows])
        self._writer.add_event(self._event(step=0, summary=text_pb(name, text)))

    def _read(self, folder: Path) -> Reached:
        """Find out how far the event files of a folder reach."""
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

        step = epoch = -1
        for path in sorted(folder.glob("events.out.tfevents.*")):
            for event in LegacyEventFileLoader(str(path)).Load():
                tags = [value.tag for value in event.summary.value if value.WhichOneof("value") == "simple_value"]
                if any(tag.startswith(STEP) for tag in tags):
                    step = max(step, event.step)
                elif tags:
                    epoch = max(epoch, event.step)
        return Reached(step, epoch)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.replace("|", "\\|").replace("\n", " ")
