"""Contact sheets of training batches as the model sees them: the first, one of the middle, the first without mosaic.

A batch's first images are copied off the device without waiting for it, and drawn by a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from torch import Tensor

from lehr.callbacks.callback import Callback
from lehr.callbacks.events import BatchStart, Teardown, TrainEnd
from lehr.callbacks.run_info import Run
from lehr.checkpoint.run_folder import BATCH_WITHOUT_MOSAIC, FIRST_BATCH, MAX_SHEET, MIDDLE_BATCH, PLOTS
from lehr.checkpoint.snapshot import snapshot, wait_for_snapshot
from lehr.data.images.jpeg import encode_jpeg
from lehr.drawing.contact_sheet import MAX_IMAGES, contact_sheet
from lehr.runtime.atomic_write import atomic_file, make_inner_folder


class ContactSheets(Callback):
    """Draws contact sheets into `plots/` of a run; one that is there already is not drawn again."""

    def __init__(self) -> None:
        self._steps: Mapping[int, str] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._drawn: list[Future[None]] = []

    def on_train_batch_start(self, event: BatchStart) -> None:
        """Take the batch's first images where a sheet is due."""
        if self._steps is None:
            self._steps = sheet_steps(event.run)
        name = self._steps.get(event.step)
        if name is None or event.batch.idle:
            return
        path = event.run.folder / PLOTS / name
        if path.exists():
            return
        batch = event.batch
        copies, _ = snapshot([part[:MAX_IMAGES] for part in (batch.images, batch.boxes, batch.classes)])
        wait = wait_for_snapshot(event.run.device)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="contact-sheets")
        self._drawn.append(self._thread.submit(_draw, path, copies, wait, event.run.names))

    def on_train_end(self, event: TrainEnd) -> None:
        """Wait until all sheets are drawn."""
        self._finish()

    def teardown(self, event: Teardown) -> None:
        """Wait for the thread's end."""
        self._finish()

    def _finish(self) -> None:
        """Wait for the thread, and raise what went wrong in it."""
        thread, self._thread = self._thread, None
        drawn, self._drawn = self._drawn, []
        if thread is not None:
            thread.shutdown()
        for each in drawn:
            each.result()


def sheet_steps(run: Run) -> dict[int, str]:
    """Return at which batches of a run sheets are due, counted over the run from 0, and their files' names."""
    epochs, batches = run.config.epochs, run.batches
    steps = {}
    middle = epochs // 2 * batches if epochs > 1 else batches // 2
    steps[middle] = MIDDLE_BATCH
    if run.config.augment.mosaic > 0 and 0 < run.closed < epochs:
        steps[(epochs - run.closed) * batches] = BATCH_WITHOUT_MOSAIC
    steps[0] = FIRST_BATCH
    return steps


def _draw(path: Path, copies: Sequence[Tensor], wait: Callable[[], None], names: Sequence[str]) -> None:
    """Draw a sheet when the copies have arrived.

    Raises:
        InputError: it cannot be written.
    """
    wait()
    images, boxes, classes = (copy.numpy() for copy in copies)
    sheet = contact_sheet(images, boxes, classes, names)
    make_inner_folder(path.parent)
    with atomic_file(path, "Make room, or choose another --project.") as temporary:
        temporary.write_bytes(encode_jpeg(sheet, MAX_SHEET))
