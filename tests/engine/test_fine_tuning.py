"""Fine-tuning beats training from random weights in a quarter of the epochs, on data like those of the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import MakeYolo
from tests.engine.runs import LEARNING, run

from lehr.search.fitness import read_epochs

EPOCHS = 8


@pytest.mark.slow
def test_a_quarter_of_the_epochs_from_trained_weights_beats_all_of_them_from_random_ones(
    trained_squares: Path, make_yolo: MakeYolo, tmp_path: Path
) -> None:
    data = make_yolo("others", counts={"train": 32, "val": 16})

    def last_map(name: str, **more: Any) -> float:
        folder = run(data, tmp_path, name, **{"batch": 16, "epochs": EPOCHS, **LEARNING, **more}).folder
        return read_epochs(folder / "results.csv")[-1].metrics["map"] or 0.0

    tuned = last_map("tuned", weights=trained_squares / "run" / "best.safetensors", epochs=EPOCHS // 4)
    assert tuned > last_map("random") + 0.01
