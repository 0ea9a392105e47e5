"""Records gradient norms of short trainings on `shapes` in gradient_norms.csv, which the plot of clipping reads.

The runs have the defaults, but for their length; the norms are those before clipping, an optimizer step a row.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from lehr import Detector
from lehr.callbacks.callback import FunctionCallback
from lehr.callbacks.events import BatchEnd

MODELS = ("yolov8n", "yolov5n")
EPOCHS = 4
FILE = Path(__file__).with_name("gradient_norms.csv")


def recorded(model: str) -> list[float]:
    """Norms of the gradients of all optimizer steps of a run."""
    norms: list[float] = []

    def note(event: BatchEnd) -> None:
        if event.updated and event.norm is not None:
            norms.append(event.norm)

    with tempfile.TemporaryDirectory() as folder:
        Detector(model).train(
            data="shapes",
            epochs=EPOCHS,
            device="cpu",
            amp="off",
            project=Path(folder),
            callbacks=[FunctionCallback("on_train_batch_end", note)],
        )
    return norms


if __name__ == "__main__":
    with FILE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("model", "step", "norm"))
        for model in MODELS:
            writer.writerows((model, step, f"{norm:.5g}") for step, norm in enumerate(recorded(model), 1))
