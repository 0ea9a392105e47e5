"""Samplers in short runs: they reach the batches, repeat to the bit, and refuse data that they cannot sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.crash import differences
from tests.commands import lehr
from tests.conftest import MakeYolo
from tests.engine.runs import on, resume, run, stopped_run

from lehr.callbacks.events import BatchStart

SAMPLERS = {"repeat_threshold": 0.5, "background_share": 0.25, "mixup": 0.3}


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    """Twelve images: six of a common class, one of a rare one, five without objects."""
    made = make_yolo(counts={"train": 12, "val": 4})
    labels = made.parent / "labels" / "train"
    for index in range(12):
        text = {6: "1 0.5 0.5 0.25 0.25\n"}.get(index, "0 0.5 0.5 0.25 0.25\n" if index < 6 else "")
        (labels / f"{index}.txt").write_text(text)
    return made


def seen(data: Path, folder: Path, **options: object) -> np.ndarray:
    """How often each image was the first of a canvas in a run, by the number in its name."""
    indices: list[int] = []

    def note(event: BatchStart) -> None:
        indices.extend(event.batch.indices.tolist())

    with on("on_train_batch_start", note):
        run(data, folder, **options)  # type: ignore[arg-type]
    files = sorted(range(12), key=str)  # the split is in the order of its files' names
    return np.bincount([files[index] for index in indices], minlength=12)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_shows_images_as_often_as_the_samplers_say(seed: int, data: Path, tmp_path: Path) -> None:
    counts = seen(data, tmp_path, name="run", seed=seed, epochs=8, **SAMPLERS)
    assert counts.sum() == 12 * 8  # an epoch keeps its length
    factor = (0.5 / (1 / 12)) ** 0.5  # of the rare class; the common one, in half of the images, has 1
    expected = np.array([*[9 / (6 + factor)] * 6, 9 * factor / (6 + factor), *[3 / 5] * 5]) * 8
    np.testing.assert_allclose(counts, expected, atol=6)
    assert counts[7:].sum() == pytest.approx(24, abs=8) and counts[6] == counts.max()


@pytest.mark.parametrize("where", ["cpu", "device"])
def test_a_run_with_samplers_that_was_stopped_ends_as_one_that_was_not(where: str, data: Path, tmp_path: Path) -> None:
    options = {"augment_on": where, "image_weights": True, **SAMPLERS}
    run(data, tmp_path, "whole", **options)
    folder = stopped_run(data, tmp_path, "stopped", 4, **options)
    resume(folder)
    assert differences(tmp_path / "whole", folder) == []


def test_samplers_change_no_step_of_the_plan(data: Path, tmp_path: Path) -> None:
    plain, sampled = (
        run(data, tmp_path, name, epochs=1, **more) for name, more in (("plain", {}), ("sampled", SAMPLERS))
    )
    steps = [(each.folder / "results.csv").read_text().splitlines() for each in (plain, sampled)]
    assert [row.split(",")[1] for row in steps[0]] == [row.split(",")[1] for row in steps[1]]


def test_data_without_background_images_are_refused_with_a_remedy(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    small = ("--imgsz", "64", "--epochs", "1", "--device", "cpu", "--width", "0.0625", "--depth", "0.01")
    done = lehr("train", "--data", data, *small, "--background-share", "0.1", cwd=tmp_path, code=2)
    assert "each of the 6 training images has an object. Add images" in done.stderr
    wrong = lehr("train", "--data", data, *small, "--background-share", "1", cwd=tmp_path, code=2)
    assert "background-share" in wrong.stderr
    said = lehr("train", "--data", data, *small, "--repeat-threshold", "0.1", cwd=tmp_path).stdout
    assert "--repeat-threshold 0.1 has no effect: the rarest class" in said
