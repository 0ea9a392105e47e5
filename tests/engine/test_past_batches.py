"""Batches that are made again from a run's folder are those that were trained on, to the byte."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tests.commands import lehr
from tests.conftest import MakeYolo, Once, make_squares
from tests.engine.runs import on, resume, run, stopped_run

from lehr.callbacks.events import BatchEnd, BatchStart
from lehr.data.batch import Batch
from lehr.engine.past_batches import PastBatch, open_past_batches
from lehr.engine.past_loss import nearest_weights, past_loss
from lehr.errors import InputError

COUNTS = {"train": 10, "val": 4}
CASES: dict[str, dict[str, Any]] = {
    "multi-scale, mixup, mosaic closes": {"multi_scale": 0.5, "mixup": 0.7, "cutmix": 0.5, "erasing": 0.5},
    "rectangles": {"rect": True, "multi_scale": 0.5},
    "repeat factors, copies, replay of older data": {"repeat_threshold": 0.9, "copy_paste": 0.5, "replay": 0.25},
    "windows of partners": {"partner_window": 4, "mixup": 0.5, "cache": "none"},
    "tiles": {"tile": 40, "mixup": 0.5, "partner_window": 16, "cache": "encoded"},
    "drawn as on a device": {"augment_on": "device", "mixup": 0.5},
}


class Recorder:
    """Keeps the batches of a run as they are trained on, by their step."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[Batch, int | None]] = {}

    def on_train_batch_start(self, event: BatchStart) -> None:
        copy = event.batch.map(torch.Tensor.clone)
        self.seen[event.step] = copy, event.size


def assert_same(past: PastBatch, trained: tuple[Batch, int | None]) -> None:
    batch, size = trained
    for name in ("images", "boxes", "classes", "indices"):
        assert torch.equal(getattr(past.batch, name), getattr(batch, name)), name
    assert past.size == size


def recorded(data: Path, project: Path, **options: Any) -> tuple[Path, Recorder]:
    recorder = Recorder()
    with on("on_train_batch_start", recorder.on_train_batch_start):
        run(data, project, "run", **options)
    return project / "run", recorder


@pytest.mark.parametrize("case", CASES)
def test_every_batch_of_a_run_is_made_again_to_the_byte(case: str, make_yolo: MakeYolo, tmp_path: Path) -> None:
    data, options = make_yolo(counts=COUNTS), dict(CASES[case])
    if "replay" in options:
        options["keep_val"] = str(make_squares(tmp_path / "older", {"train": 5, "val": 2}))
    folder, recorder = recorded(data, tmp_path, epochs=2, **options)
    past = open_past_batches(folder)
    assert sorted(recorder.seen) == list(range(2 * past.batches))
    for step, trained in recorder.seen.items():
        assert_same(past.make(past.place(None, step + 1)), trained)
    shown = [past.window(past.place(epoch, 1), 0) for epoch in (1, 2)]
    assert shown == ([(0, 0, 40, 40)] * 2 if "tile" in options else [None, None])


@pytest.fixture(scope="module")
def longer(once: Once) -> tuple[Path, dict[int, tuple[Batch, int | None]], dict[int, BatchEnd]]:
    """A run that was stopped without mosaic and resumed with more epochs: its folder, batches and outcomes."""
    kept: list[Any] = []

    def make(folder: Path) -> None:
        recorder, ends = Recorder(), {}
        options = {"epochs": 2, "nominal_batch": 4, "digests": True, "multi_scale": 0.4}
        data = make_squares(folder / "data", COUNTS)
        with on("on_train_batch_start", recorder.on_train_batch_start):
            stopped_run(data, folder, "run", 3, **options)
            with on("on_train_batch_end", lambda event: ends.__setitem__(event.step, event)):
                shutil.copytree(folder / "run", folder / "stopped")
                resume(folder / "run", {"epochs": 4})
        kept.append((recorder.seen, ends))

    folder = once(f"past-{os.getpid()}", make)
    return folder, *kept[0]


def test_a_run_that_was_stopped_and_made_longer_is_made_again(longer: Any) -> None:
    folder, seen, _ = longer
    past = open_past_batches(folder / "run")
    assert sorted(seen) == list(range(12))
    for step, trained in seen.items():
        assert_same(past.make(past.place(None, step + 1)), trained)
    tiles = [{len(plan.tiles) for plan in past.make(past.place(2, number)).plans} for number in (1, 2, 3)]
    assert tiles[0] == {1} and max(tiles[2]) > 1  # mosaic was closed, and was open again after the run was made longer


def test_the_loss_by_the_weights_of_the_step_is_the_one_of_the_run(longer: Any) -> None:
    folder, _, ends = longer
    past = open_past_batches(folder / "run")
    place = past.place(2, 2)
    weights = nearest_weights(folder / "stopped", place)
    assert weights == folder / "stopped" / "last.ckpt"
    found = past_loss(past, past.make(place), weights)
    trained = ends[4]
    assert found.exact and found.norm == trained.norm
    assert found.parts == {part: pytest.approx(loss / 4, rel=1e-6) for part, loss in trained.losses.items()}
    for part, value in found.parts.items():
        assert np.mean([image[part] for image in found.images]) == pytest.approx(value, rel=1e-4)


def test_other_weights_are_said_to_be_others(longer: Any) -> None:
    folder, _, _ = longer
    past = open_past_batches(folder / "run")
    made = past.make(past.place(1, 1))
    of_end = past_loss(past, made, folder / "run" / "last.ckpt")
    assert not of_end.exact and of_end.step == 12
    average = past_loss(past, made, folder / "run" / "best.safetensors")
    assert average.step is None and average.parts != of_end.parts


def test_the_command_writes_images_values_and_losses(longer: Any, tmp_path: Path) -> None:
    folder, seen, _ = longer
    done = lehr("replay", folder / "run", "--step", "11", "--json", "b.json", "--out", "images", cwd=tmp_path)
    assert f"{folder / 'run'}, epoch 4, step 2 of 3 (step 11 of the run): 4 images of 64x64 pixels" in done.stdout
    assert "Equal to the trained batch (digests match)." in done.stdout
    assert "Loss, mean per image:" in done.stdout and "of the run after 9 batches" in done.stdout
    told = json.loads((tmp_path / "b.json").read_text())
    batch, size = seen[10]
    assert (told["epoch"], told["step"], told["run_step"], told["resized"]) == (4, 2, 11, size)
    assert [each["image"] for each in told["images"]] == batch.indices.tolist()
    for row, each in enumerate(told["images"]):
        real = batch.classes[row] >= 0
        assert [item["xyxy"] for item in each["objects"]] == batch.boxes[row][real].tolist()
        assert each["tiles"][0]["path"] == each["path"] and each["hsv"] is not None
        png = cv2.imread(str(tmp_path / each["png"]))
        assert max(png.shape) == size
    assert told["digests"]["equal"] and sorted(told["loss"]["parts"]) == ["box", "cls", "dfl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--step", "13"], "has the steps 1 to 12, 3 an epoch; with --epoch"),
        (["--epoch", "5", "--step", "1"], "has the epochs 1 to 4"),
        (["--epoch", "1", "--step", "4"], "an epoch of .* has the steps 1 to 3; without --epoch"),
        (["--epoch", "0", "--step", "1"], "(?i)epoch"),
        (["--step", "1", "--weights", "none.safetensors"], "none.safetensors"),
    ],
)
def test_steps_and_weights_that_are_not_there(arguments: list[str], message: str, longer: Any, tmp_path: Path) -> None:
    done = lehr("replay", longer[0] / "run", *arguments, cwd=tmp_path, code=2)
    assert re.search(message, done.stderr)


def test_data_that_have_changed_or_are_gone_are_named(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts=COUNTS, suffix=".png")
    run(data, tmp_path, "run", epochs=1, digests=True)
    image = data.parent / "images" / "train" / "3.png"
    pixels = cv2.imread(str(image))
    cv2.imwrite(str(image), 255 - pixels)
    done = lehr("replay", tmp_path / "run", "--step", "1", "--no-loss", cwd=tmp_path)
    assert "3.png" in done.stdout and "of 4 images have other pixels" in done.stdout
    assert (tmp_path / "run" / "replay" / "epoch-1-step-1").is_dir()
    label = data.parent / "labels" / "train" / "3.txt"
    label.write_text("0 0.5 0.5 0.2 0.2\n")
    done = lehr("replay", tmp_path / "run", "--step", "1", cwd=tmp_path, code=2)
    assert "train image 3.png has other objects" in done.stderr
    data.parent.rename(tmp_path / "elsewhere")
    done = lehr("replay", tmp_path / "run", "--step", "1", cwd=tmp_path, code=2)
    assert "--data says where they are now" in done.stderr


def test_with_image_weights_an_epoch_needs_the_validation_before_it(make_yolo: MakeYolo, tmp_path: Path) -> None:
    folder, recorder = recorded(make_yolo(counts=COUNTS), tmp_path, epochs=3, image_weights=True)
    past = open_past_batches(folder)
    assert_same(past.make(past.place(1, 2)), recorder.seen[1])
    assert_same(past.make(past.place(3, 2)), recorder.seen[7])  # of the previous checkpoint
    with pytest.raises(InputError, match=r"--image-weights.* can be replayed: 1, 3\."):
        past.make(past.place(2, 1))


def test_a_folder_does_not_get_its_code_run(make_yolo: MakeYolo, tmp_path: Path) -> None:
    name = "tests.engine.test_own_code:speckle"
    folder, recorder = recorded(make_yolo(counts=COUNTS), tmp_path, epochs=1, augmentation=[name])
    done = lehr("replay", folder, "--step", "1", cwd=tmp_path, code=2)
    assert "names augmentations that are code" in done.stderr
    past = open_past_batches(folder, {"augmentation": [name]})
    assert_same(past.make(past.place(None, 2)), recorder.seen[1])
    (folder / "replay").symlink_to(tmp_path / "data")
    done = lehr("replay", folder, "--step", "1", "--augmentation", name, cwd=tmp_path, code=2)
    assert "is a link" in done.stderr
