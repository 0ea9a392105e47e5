"""The commands and the Python of `docs/moving-over.md` and of the README about it, run as they stand there.

Their data are tiny, their checkpoints in the form of the published trainers, under the names that the page has; what
takes long is cut down: `--epochs`, `--imgsz`, `--batch`.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from tests.commands import lehr
from tests.conftest import Once, make_squares
from tests.weights.published.published_files import with_statistics, write_published

from lehr.hyperparameters import PRESETS
from lehr.models.build import build_model
from lehr.weights.load import load_model

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "moving-over.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK = {"--epochs": "1", "--imgsz": "64", "--batch": "4"}
RUN = ["--device", "cpu", "--close-mosaic", "0", "--amp", "off"]
NAMES = ("small", "large")


def commands_of(text: str) -> list[list[str]]:
    """Words of the commands in the blocks of a text, from the sub-command on."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line.removeprefix("$ lehr ").split(" #")[0]) for block in blocks for line in block.splitlines()]


def quick(words: list[str]) -> list[str]:
    """A command with what takes long cut down."""
    words = [QUICK.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    if words[0] != "train":
        return words
    narrow = ["--width", "0.125"] if "--model" in words else []
    missing = [part for option, value in QUICK.items() if option not in words for part in (option, value)]
    return [*words, *missing, *narrow, *RUN]


@pytest.fixture(scope="module")
def published(once: Once) -> Path:
    """A folder with checkpoints of YOLOv5s and YOLOv8n."""

    def make(folder: Path) -> None:
        folder.mkdir()
        for name in ("yolov5s", "yolov8n"):
            write_published(folder / f"{name}.pt", with_statistics(build_model(name, NAMES, 64)))

    return once("published-both", make)


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A folder as somebody has it who trained with YOLOv5 and YOLOv8."""
    make_squares(tmp_path, {"train": 6, "val": 4})
    content = yaml.safe_load((tmp_path / "data.yaml").read_text())
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({**content, "test": "images/val", "nc": 2}))
    low = {**PRESETS["low"], "warmup_epochs": 0.0, "iou_t": 0.2}
    (tmp_path / "hyp.scratch-low.yaml").write_text(yaml.safe_dump(low))
    shutil.copytree(tmp_path / "images" / "val", tmp_path / "photos")
    for name, path in (("yolov5s", "runs/train/exp/weights/best.pt"), ("yolov8n", "runs/detect/train/weights/best.pt")):
        (tmp_path / path).parent.mkdir(parents=True)
        shutil.copy(published / f"{name}.pt", tmp_path)
        shutil.copy(published / f"{name}.pt", tmp_path / path)
    return tmp_path


COMMANDS = [*commands_of(PAGE), *commands_of(README.split("## From YOLOv5 and YOLOv8")[1].split("\n## ")[0])]
COMMANDS = list({frozenset(quick(words)): words for words in COMMANDS}.values())
"""Of those that are the same when cut down, the last."""


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_runs_as_it_stands(words: list[str], folder: Path) -> None:
    before = {path.name for path in (folder / "runs").iterdir()}
    done = lehr(*quick(words), cwd=folder)
    made = {path.name for path in (folder / "runs").iterdir()} - before
    if words[0] == "train":
        (run,) = made
        config = yaml.safe_load((folder / "runs" / run / "config.yaml").read_text())
        named = words[words.index("--model") + 1] if "--model" in words else Path(config["weights"]).stem
        assert config["model"] == named
        assert (folder / "runs" / run / "best.safetensors").is_file()
        if "--weights" in words:
            total = len(build_model(named, NAMES, 64).state_dict())
            assert f"{total} of {total} tensors start from {config['weights']}" in done.stdout
        if "--hyp" in words:
            assert config["optimizer"] == "SGD" and "iou_t has no effect" in done.stdout
    elif words[0] == "predict":
        assert made == {"predict"} and len(list((folder / "runs" / "predict").iterdir())) == 4
    elif words[0] == "val":
        assert "4 images, 4 instances" in done.stdout
    else:
        assert words[0] == "import" and "Written:" in done.stdout
        assert load_model((folder / words[1]).with_suffix(".safetensors")).names == NAMES
        if "--json" in words:
            assert json.loads((folder / "found.json").read_text())["model"] == "yolov5s"


def test_the_page_s_python_runs_as_it_stands(folder: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    block = block.replace('data="data.yaml", epochs=100', 'data="data.yaml", epochs=1, imgsz=64, batch=4, device="cpu"')
    assert "epochs=1," in block
    given: dict[str, object] = {}
    with contextlib.chdir(folder), contextlib.redirect_stdout(None):
        exec(block, given)
    assert (folder / "runs" / "train-2").is_dir() or (folder / "runs" / "train").is_dir()


@pytest.mark.parametrize("model", ["yolov8n", "yolov5n"])
def test_the_columns_of_the_page_are_those_of_a_run(model: str, folder: Path) -> None:
    lehr(*quick(["train", "--data", "data.yaml", "--model", model, "--name", "columns"]), cwd=folder)
    with (folder / "runs" / "columns" / "results.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["epoch"] == "1"
    own = "obj" if model == "yolov5n" else "dfl"
    table = PAGE.split("| YOLOv5 | YOLOv8 | Lehr |")[1].split("\n\n")[0]
    columns = {re.findall(r"`([^`]+)`", line.split("|")[3])[0] for line in table.splitlines()[2:]}
    foreign = {f"{split}/{part}" for split in ("train", "val") for part in ("obj", "dfl") if part != own}
    assert len(columns) == 17 and columns - foreign <= row.keys() and not foreign & row.keys()
