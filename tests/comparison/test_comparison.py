"""`lehr diff`: which option, image or arithmetic made two runs differ, and from which step on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from tests.commands import lehr
from tests.conftest import Once, make_squares
from tests.engine.runs import resume, run, stopped_run

from lehr.checkpoint.digest_file import DIGESTS, checksum, open_digests
from lehr.comparison.difference import Difference, compare_runs
from lehr.engine.past_batches import open_past_batches

COUNTS = {"train": 12, "val": 4}
OPTIONS: dict[str, Any] = {"epochs": 2, "digests": True, "nominal_batch": 8}
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def runs(once: Once) -> Path:
    """A folder with a data set and a run that recorded digests."""

    def make(folder: Path) -> None:
        run(make_squares(folder / "data", COUNTS, ".png"), folder, "run", **OPTIONS)

    return once("compared-runs", make)


@pytest.fixture
def trained(runs: Path, tmp_path: Path) -> Make:
    """Trains another run on the same data."""

    def make(name: str = "other", **options: Any) -> Path:
        run(runs / "data" / "data.yaml", tmp_path, name, **{**OPTIONS, **options})
        return tmp_path / name

    return make


def diff(first: Path, second: Path, code: int) -> tuple[str, dict[str, Any]]:
    """Lines and JSON of the command."""
    file = second.parent / "difference.json"
    done = lehr("diff", first, second, "--json", file, cwd=second.parent, code=code)
    return done.stdout, json.loads(file.read_text())


def test_an_option_is_named_with_the_first_step(runs: Path, trained: Make) -> None:
    text, found = diff(runs / "run", trained(hsv_h=0.3), 1)
    assert "Options: --hsv-h: 0.015, 0.3" in text
    assert "They diverge in epoch 1, step 1: the batch has the same images with different pixels." in text
    assert text.rstrip().endswith("Likely cause: the option --hsv-h.")
    parting = found["parting"]
    assert (parting["stage"], parting["epoch"], parting["step"], parting["tensor"]) == ("pixels", 1, 1, "pixels")
    assert (found["cause"], found["culprits"], found["equal"]) == ("options", ["hsv_h"], False)


def test_one_changed_image_is_named_with_its_first_step(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "data", tmp_path / "data")
    path, index = tmp_path / "data" / "images" / "train" / "10.png", 2  # 0, 1, 10, 11, 2, ...
    pixels = cv2.imread(str(path))
    pixels[30:34, 30:34] = 255 - pixels[30:34, 30:34]
    cv2.imwrite(str(path), pixels)
    run(tmp_path / "data" / "data.yaml", tmp_path, "other", **OPTIONS)
    text, found = diff(runs / "run", tmp_path / "other", 1)
    past = open_past_batches(runs / "run")
    assert past.samples[index].path.name == "10.png"
    steps = [step for step in range(1, 7) if any(index in each for each in past.sources(past.place(None, step)))]
    assert found["parting"]["run_step"] == steps[0] and found["parting"]["stage"] == "pixels"
    assert "Data: train image 10.png: has another content, with the same size and objects" in text
    assert text.rstrip().endswith("Likely cause: the data (image 10.png).")
    assert (found["cause"], found["culprits"], found["options"]) == ("data", ["10.png"], [])


def test_equal_runs_are_said_to_be_equal_also_after_a_stop(runs: Path, tmp_path: Path) -> None:
    folder = stopped_run(runs / "data" / "data.yaml", tmp_path, "stopped", 3, **OPTIONS)
    found = compare_runs(runs / "run", folder)
    assert found.equal and found.course.steps == 4
    resume(folder)
    text, told = diff(runs / "run", folder, 0)
    assert "The runs are equal in everything that was compared: options, data, the digests of 6 steps, 2 rows" in text
    assert told["equal"] and told["parting"] is None and told["cause"] is None


@pytest.mark.parametrize(
    ("options", "stage", "tensor", "culprit"),
    [
        ({"seed": 1}, "start", "weights model.", "seed"),
        ({"lr0": 0.02}, "rates", "rate of", "lr0"),
        ({"weight_decay": 0.3}, "update", "weights model.", "weight_decay"),
        ({"ema_decay": 0.5}, "validation", "val/", "ema_decay"),
    ],
)
def test_where_runs_part_says_which_option_acted(
    options: dict[str, Any], stage: str, tensor: str, culprit: str, runs: Path, trained: Make
) -> None:
    found = compare_runs(runs / "run", trained(**options))
    parting = found.course.parting
    assert parting is not None and parting.stage == stage and parting.tensor.startswith(tensor)
    assert found.cause == "options" and culprit in found.culprits


def changed(runs: Path, folder: Path, change: Callable[[np.ndarray], None]) -> Difference:
    """Compare a run with a copy whose digests were changed, as of other arithmetic."""
    shutil.copytree(runs / "run", folder)
    file = open_digests(folder)
    assert file is not None
    (records,) = file.blocks()
    change(records)
    for record in records:
        record["check"] = checksum(record.tobytes())
    (folder / DIGESTS).write_bytes(file.header.line + records.tobytes())
    return compare_runs(runs / "run", folder)


def test_other_arithmetic_is_told_where_neither_options_nor_data_differ(runs: Path, tmp_path: Path) -> None:
    def of_backward(records: np.ndarray) -> None:
        records["weights"][3:, 7] ^= 1

    found = changed(runs, tmp_path / "backward", of_backward)
    parting = found.course.parting
    assert parting is not None and found.cause == "arithmetic" and not found.equal
    assert (parting.stage, parting.epoch, parting.step) == ("update", 1, 3)
    file = open_digests(runs / "run")
    assert file is not None and parting.tensor == f"weights {file.header.tensors[7]}"

    def of_loss(records: np.ndarray) -> None:
        records["losses"][4:, 1] += 1

    def of_order(records: np.ndarray) -> None:
        records["index"][2:, :2] = records["index"][2:, 1::-1][:, :2]

    parting = changed(runs, tmp_path / "order", of_order).course.parting
    assert parting is not None and (parting.stage, parting.tensor, parting.run_step) == ("images", "images", 3)
    parting = changed(runs, tmp_path / "loss", of_loss).course.parting
    assert parting is not None and (parting.stage, parting.tensor, parting.run_step) == ("loss", "loss cls", 5)


@pytest.mark.parametrize(("option", "cause", "culprit"), [("hsv_h", "options", "hsv_h"), ("lr0", "data", "0.png")])
def test_an_option_that_acts_there_comes_before_an_image(
    option: str, cause: str, culprit: str, runs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    changed(runs, folder, lambda records: records["pixels"].__ixor__(1))
    config = yaml.safe_load((folder / "config.yaml").read_text()) | {option: 0.25}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    head, image, *rest = (folder / "images.jsonl").read_text().split("\n")
    (folder / "images.jsonl").write_text("\n".join([head, image.replace('"]', '0"]'), *rest]))
    found = compare_runs(runs / "run", folder)
    assert found.course.parting is not None and found.course.parting.stage == "pixels"
    assert (found.cause, found.culprits) == (cause, (culprit,))


def test_without_digests_logged_losses_and_results_are_compared(runs: Path, trained: Make) -> None:
    found = compare_runs(runs / "run", trained(digests=False))
    assert found.equal and found.course.steps == 0 and found.course.logged > 0 and found.course.epochs == 2
    assert any("Train with --digests" in note for note in found.notes)
    found = compare_runs(runs / "run", trained("third", digests=False, hsv_h=0.3))
    assert found.course.parting is not None and found.course.parting.source == "events.jsonl"
    assert found.cause == "options" and found.culprits == ("hsv_h",)


def test_a_run_of_an_earlier_version_is_compared_by_what_it_left(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "run", tmp_path / "old")
    for name in ("events.jsonl", "images.jsonl", "digests.bin"):
        (tmp_path / "old" / name).unlink()
    found = compare_runs(runs / "run", tmp_path / "old")
    assert found.equal and found.data.same and found.course.epochs == 2
    assert found.versions == found.machine == ()
    assert any("other pixels would not show" in note for note in found.notes)
    for name in ("last.ckpt", "previous.ckpt"):
        (tmp_path / "old" / name).unlink()
    found = compare_runs(runs / "run", tmp_path / "old")
    assert found.equal and found.data.same is None


def test_a_step_of_which_one_run_has_no_digest_is_passed_over(runs: Path, tmp_path: Path) -> None:
    found = changed(runs, tmp_path / "copy", lambda records: records["kind"].__setitem__(slice(0, 2), 0))
    assert found.equal and found.course.steps == 4 and found.course.missing == 2
    assert any("2 steps have a digest in one of the runs only" in note for note in found.notes)


@pytest.mark.parametrize("name", ["config.yaml", "digests.bin", "images.jsonl", "results.csv", "events.jsonl"])
def test_folders_of_others_are_read_within_bounds(name: str, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "run", tmp_path / "copy")
    path = tmp_path / "copy" / name
    if name in ("config.yaml", "digests.bin", "images.jsonl"):
        path.write_text("[" * 100_000)
        assert name in lehr("diff", runs / "run", tmp_path / "copy", cwd=tmp_path, code=2).stderr
    path.unlink()
    path.symlink_to("/etc/passwd")
    done = lehr("diff", runs / "run", tmp_path / "copy", cwd=tmp_path, code=2)
    assert name in done.stderr and "link" in done.stderr and "root" not in done.stdout


def test_what_is_no_run_is_refused(runs: Path, tmp_path: Path) -> None:
    for path, message in ((tmp_path / "nothing", "there is no such run"), (tmp_path, "is not a run of Lehr's")):
        assert message in lehr("diff", runs / "run", path, cwd=tmp_path, code=2).stderr
