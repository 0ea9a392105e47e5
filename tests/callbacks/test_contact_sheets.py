"""A run leaves sheets of its first, its middle and its first batch without mosaic, as they were, and once each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from lehr.callbacks.contact_sheets import ContactSheets, sheet_steps
from lehr.checkpoint.run_folder import BATCH_WITHOUT_MOSAIC as CLOSED
from lehr.checkpoint.run_folder import FIRST_BATCH as FIRST
from lehr.checkpoint.run_folder import MIDDLE_BATCH as MIDDLE
from lehr.checkpoint.run_folder import PLOTS
from lehr.data.batch import Batch
from lehr.errors import InputError


def run_of(folder: Path = Path(), *, epochs: int = 20, batches: int = 7, closed: int = 0, mosaic: float = 1.0) -> Any:
    config = SimpleNamespace(epochs=epochs, augment=SimpleNamespace(mosaic=mosaic))
    return SimpleNamespace(
        folder=folder, config=config, batches=batches, closed=closed, device=torch.device("cpu"), names=("a",)
    )


def batch_of(blue: int) -> Batch:
    images = torch.zeros((20, 3, 64, 64), dtype=torch.uint8).to(memory_format=torch.channels_last)
    images[:, 2] = blue
    boxes = torch.tensor([10.0, 20, 30, 40]).expand(20, 1, 4).clone()
    return Batch(images, boxes, torch.zeros((20, 1), dtype=torch.int64), torch.arange(20), torch.zeros((20, 4)))


def train(callback: ContactSheets, run: Any, steps: range) -> None:
    """Send batches as blue as their steps through one memory, as loading processes do."""
    memory = batch_of(0)
    for step in steps:
        memory.images[:, 2] = step * 10
        callback.on_train_batch_start(SimpleNamespace(run=run, step=step, batch=memory))  # type: ignore[arg-type]
        memory.images.fill_(255)


def blue_of(path: Path) -> int:
    return int(cv2.imread(str(path))[60, 60, 0])  # of the first image, off its box


def test_sheets_hold_the_batches_of_their_steps(tmp_path: Path) -> None:
    callback, run = ContactSheets(), run_of(tmp_path, epochs=4, batches=3, closed=1)
    train(callback, run, range(12))
    callback.on_train_end(None)  # type: ignore[arg-type]
    shown = {path.name: blue_of(path) for path in (tmp_path / PLOTS).iterdir()}
    assert shown == pytest.approx({FIRST: 0, MIDDLE: 60, CLOSED: 90}, abs=4)


def test_a_run_that_goes_on_draws_what_is_missing_and_nothing_twice(tmp_path: Path) -> None:
    run = run_of(tmp_path, epochs=4, batches=3, closed=1)
    killed, resumed = ContactSheets(), ContactSheets()
    train(killed, run, range(7))
    killed.teardown(None)  # type: ignore[arg-type]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / PLOTS).iterdir()}
    assert {path.name for path in before} == {FIRST, MIDDLE}
    train(resumed, run, range(6, 12))
    resumed.teardown(None)  # type: ignore[arg-type]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert blue_of(tmp_path / PLOTS / CLOSED) == pytest.approx(90, abs=4)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"epochs": 20, "batches": 7, "closed": 6}, {0: FIRST, 70: MIDDLE, 98: CLOSED}),
        ({"epochs": 20, "batches": 7, "closed": 0}, {0: FIRST, 70: MIDDLE}),
        ({"epochs": 20, "batches": 7, "closed": 6, "mosaic": 0.0}, {0: FIRST, 70: MIDDLE}),
        ({"epochs": 2, "batches": 7, "closed": 1}, {0: FIRST, 7: CLOSED}),
        ({"epochs": 1, "batches": 7}, {0: FIRST, 3: MIDDLE}),
        ({"epochs": 1, "batches": 1}, {0: FIRST}),
    ],
)
def test_a_sheet_a_step(options: dict[str, Any], steps: dict[int, str]) -> None:
    assert sheet_steps(run_of(**options)) == steps


def test_a_batch_that_only_stands_in_is_not_drawn(tmp_path: Path) -> None:
    callback = ContactSheets()
    batch = dataclasses.replace(batch_of(0), idle=True)
    callback.on_train_batch_start(SimpleNamespace(run=run_of(tmp_path), step=0, batch=batch))  # type: ignore[arg-type]
    callback.on_train_end(None)  # type: ignore[arg-type]
    assert not (tmp_path / PLOTS).exists()


def test_a_folder_of_figures_that_leads_elsewhere_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / PLOTS).symlink_to(tmp_path / "elsewhere")
    callback = ContactSheets()
    train(callback, run_of(folder), range(1))
    with pytest.raises(InputError, match="is a link"):
        callback.on_train_end(None)  # type: ignore[arg-type]
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_images_of_a_large_batch_are_the_first_sixteen(tmp_path: Path) -> None:
    callback = ContactSheets()
    train(callback, run_of(tmp_path), range(1))
    callback.on_train_end(None)  # type: ignore[arg-type]
    sheet = cv2.imread(str(tmp_path / PLOTS / FIRST))
    assert sheet.shape[:2] == (4 * 68 + 4, 4 * 68 + 4)
    assert np.all(sheet[:3] > 240)  # the margin
