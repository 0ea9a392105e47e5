"""Keep the fingerprints of a run's images as images.jsonl in its folder, by a separate thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from lehr.callbacks.callback import Callback
from lehr.callbacks.events import PretrainRoutineEnd, Teardown, TrainEnd
from lehr.data.image_marks import MARKS, are_small, mark_images, marks_text
from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.console import LOGGER
from lehr.sample import Sample


class DataMarksCallback(Callback):
    """Writes images.jsonl once in a run; what cannot be written is reported and ends nothing."""

    name = "lehr.data-marks"

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._trouble = ""

    def on_pretrain_routine_end(self, event: PretrainRoutineEnd) -> None:
        """Begin the thread, unless the run has the file already."""
        run, dataset = event.run, event.dataset
        path = run.folder / MARKS
        if dataset is not None and not path.is_file():
            splits = {name: dataset.splits[name] for name in ("train", "val")}
            arguments = path, dataset.names, splits, run.config.run.digests
            self._thread = threading.Thread(target=self._write, args=arguments, name="lehr-data-marks", daemon=True)
            self._thread.start()

    def on_train_end(self, event: TrainEnd) -> None:
        """Wait for the thread."""
        self._finish()

    def teardown(self, event: Teardown) -> None:
        """Wait for the thread."""
        self._finish()

    def _finish(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        if self._trouble:
            LOGGER.warning("%s", self._trouble)
            self._trouble = ""

    def _write(self, path: Path, names: Sequence[str], splits: Mapping[str, Sequence[Sample]], digests: bool) -> None:
        try:
            text = marks_text(names, mark_images(splits, digests or are_small(splits)))
            with atomic_file(path, "Make room.") as temporary:
                temporary.write_text(text, encoding="utf-8", errors="surrogatepass")
        except (InputError, OSError) as error:
            self._trouble = f"{path}: cannot be written ({error}). The run continues without it."
