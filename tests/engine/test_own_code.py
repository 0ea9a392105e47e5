"""Runs with a user's own code on their images: the same after a stop, and never by a file alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine.runs import resume, run, stopped_run

from lehr.cli.app import run as command
from lehr.config import build_config
from lehr.engine.identity import check_same
from lehr.errors import InputError
from lehr.preview import preview
from lehr.search.space import build_space
from lehr.search.switches import choose

NAME = "tests.engine.test_own_code:speckle"
BROKEN = "tests.engine.test_own_code:broken"
SMALL = ["--imgsz", "64", "--batch", "4", "--epochs", "1", "--device", "cpu", "--amp", "off"]
SMALL += ["--width", "0.0625", "--depth", "0.01"]


def speckle(image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> Any:
    """Add noise from its own generator and a global one, and leave out an object now and then."""
    image[rng.random(image.shape[:2]) < 0.1] = np.random.randint(0, 256)  # noqa: NPY002
    keep = rng.random(len(boxes)) < 0.9
    return image, boxes[keep], classes[keep]


def broken(image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> Any:
    """Give back an image of another type."""
    return image.astype(np.float32), boxes, classes


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    return make_yolo(counts={"train": 10, "val": 4})


def test_a_stopped_run_ends_as_one_that_was_not_and_workers_change_nothing(data: Path, tmp_path: Path) -> None:
    given = {"augmentation": [f"{NAME}=0.7"], "epochs": 1}
    run(data, tmp_path, "whole", **given)
    folder = stopped_run(data, tmp_path, "stopped", 1, workers=1, **given)
    with pytest.raises(InputError, match=r"config\.yaml names augmentations that are code.* --augmentation"):
        resume(folder)
    with pytest.raises(InputError, match="cannot change"):
        resume(folder, {"augmentation": [NAME]})
    resume(folder, {**given, "workers": 0})
    assert differences(tmp_path / "whole", folder) == []
    run(data, tmp_path, "other", seed=1, **given)
    run(data, tmp_path, "without", epochs=1)
    kinds = {(tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "other", "without")}
    assert len(kinds) == 3


def test_what_the_code_gives_back_is_known_before_the_first_step(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"returns an image that is float32 \(64, 64, 3\)"):
        run(data, tmp_path, "broken", augmentation=[f"{BROKEN}=0.001"])
    with pytest.raises(InputError, match="cannot be imported"):
        run(data, tmp_path, "none", augmentation=["no.such:thing"])
    assert not list(tmp_path.glob("*/results.csv"))


def test_a_run_says_what_unknown_code_means(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data", str(data), "--project", str(tmp_path / "runs"), *SMALL]
    assert command(["train", *where, "--augmentation", f"{NAME}=0.5"]) == 0
    assert f"--augmentation {NAME}: is custom code." in capsys.readouterr().out
    with pytest.raises(InputError, match="--augment-on device draws them only afterwards"):
        command(["train", *where, "--augmentation", NAME, "--augment-on", "device"])


def test_a_file_of_options_does_not_get_to_run_code(data: Path, tmp_path: Path) -> None:
    options = tmp_path / "options.yaml"
    options.write_text(f"augmentation: {{{NAME}: 0.5}}\n")
    where = ["train", "--data", str(data), "--project", str(tmp_path / "runs"), *SMALL, "--config", str(options)]
    with pytest.raises(
        InputError, match=rf"options\.yaml names augmentations that are code.* add --augmentation {NAME}=0\.5\.$"
    ):
        command(where)
    assert not (tmp_path / "runs").exists()
    assert command([*where, "--augmentation", f"{NAME}=0.5", "--quiet"]) == 0


def test_files_of_studies_do_not_either(tmp_path: Path) -> None:
    config = build_config({"data": "x", "epochs": 3})
    trusting = build_config({"data": "x", "epochs": 3, "augmentation": [NAME]})
    techniques, space = tmp_path / "techniques.yaml", tmp_path / "space.yaml"
    techniques.write_text(f"speckle: {{on: {{augmentation: ['{NAME}']}}, off: {{augmentation: []}}}}\n")
    space.write_text(f"augmentation: {{choices: ['{NAME}', '{NAME}=0.5']}}\n")
    with pytest.raises(InputError, match="names augmentations that are code"):
        choose(["speckle"], config, techniques)
    with pytest.raises(InputError, match="names augmentations that are code"):
        build_space(preview(config, images=9, classes=3), space)
    assert choose(["speckle"], trusting, techniques)["speckle"].on == {"augmentation": [NAME]}
    assert choose(["augmentation"], trusting)["augmentation"].off == {"augmentation": []}


def test_code_that_has_changed_is_told() -> None:
    then = {"data": 1, "device": "cpu", "torch": "2", "code": {NAME: "old", "a:b": "same"}}
    before = SimpleNamespace(content=then, path="last.ckpt")
    now = {"data": 1, "device": "cpu", "torch": "2", "processes": 1, "code": {NAME: "new", "a:b": "same", "c:d": "x"}}
    (note,) = check_same(now, before)  # type: ignore[arg-type]
    assert f"--augmentation {NAME} has changed since last.ckpt" in note
