"""Whatever classes, files and labels are called: no command prints or logs a control character of theirs."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from tests.commands import Done, lehr
from tests.conftest import draw_squares

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs file names of any bytes")

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
EVIL = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\x85\u202egnp\u2028\x7f\nlehr: all is well"
"""Sets the title of a terminal, clears it, and forges a line."""
NAMES = [EVIL, "\udcff half of a letter", "c"]
SMALL = ["--width", "0.125", "--imgsz", "64", "--batch", "4", "--device", "cpu", "--amp", "off", "--epochs", "1"]
FILE = EVIL.replace("/", "") + os.fsdecode(b"\xff")
"""A file's name, which is not text either."""


def make(root: Path, dirty: bool) -> Path:
    """Makes a data set of such names; a dirty one has labels, files and entries that cannot be used, too."""
    for split, count in {"train": 3, "val": 2}.items():
        for number in range(count):
            draw_squares(root / f"{number}.png", [(8, 8, 40, 40)], seed=number + 9 * count)
            images, labels = root / "images" / split, root / "labels" / split
            images.mkdir(parents=True, exist_ok=True)
            labels.mkdir(parents=True, exist_ok=True)
            (root / f"{number}.png").rename(images / f"{FILE}{number}.png")
            (labels / f"{FILE}{number}.txt").write_text(f"{number % 2} 0.375 0.375 0.5 0.5\n")
    names = "".join(f"  - {json.dumps(name)}\n" for name in NAMES)
    more = f"{json.dumps('unused' + EVIL)}: {json.dumps(EVIL)}\n" if dirty else ""
    (root / "set.yaml").write_text(f"train: images/train\nval: images/val\n{more}names:\n{names}", encoding="utf-8")
    if dirty:
        (root / "labels" / "train" / f"{FILE}0.txt").write_bytes(
            f"0 {EVIL} 0.4 0.5 0.5\n9 0.4 0.4 0.5 0.5\nx\x1b[31m 0.4 0.4 0.1 0.1\n0 0.375 0.375 0.9 0.9\n".encode()
        )
        (root / "images" / "train" / f"broken{FILE}.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
        (root / "images" / "train" / f"link{FILE}.png").symlink_to(f"{EVIL}.png")
        shutil.copy(root / "images" / "train" / f"{FILE}1.png", root / "images" / "val" / f"again{FILE}.png")
        (root / "labels" / "val" / f"alone{FILE}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    return root / "set.yaml"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set that can be trained on."""
    return make(tmp_path_factory.mktemp("clean"), dirty=False)


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that cannot."""
    return make(tmp_path_factory.mktemp("dirty"), dirty=True)


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    """The folder of a run on it."""
    given = ["--frequency-bias", "--repeat-threshold", "1", "--name", "run"]
    plain(lehr("train", "--data", data, *SMALL, *given, cwd=data.parent))
    return data.parent / "runs" / "run"


def plain(done: Done) -> Done:
    """Checks that nothing that was printed acts on a terminal, or begins a line with what a name says."""
    for text in (done.stdout, done.stderr):
        assert not RAW.search(text), ascii(RAW.findall(text))
        assert not re.search(r"^lehr: all is well", text, re.MULTILINE), text
        text.encode()
    return done


def test_train(run: Path) -> None:
    log = (run / "train.log").read_bytes().decode()
    assert "lehr: all is well" in log  # escaped
    plain(Done(0, log, ""))


def test_train_goes_on_and_starts_from_weights(run: Path, data: Path, tmp_path: Path) -> None:
    root = data.parent
    for more in (["--resume", run], ["--resume", run, "--epochs", "2"]):
        plain(lehr("train", *more, cwd=root))
    names = [*NAMES[:2], "d"]
    (root / "other.yaml").write_text(
        data.read_text().replace('"c"', '"d"').replace("train: images/train", "train: images/val")
    )
    given = ["--data", root / "other.yaml", *SMALL, "--weights", run / "best.safetensors", "--project", tmp_path]
    done = plain(lehr("train", *given, "--repeat-threshold", "1", "--skip-broken", cwd=root))
    assert "by name" in done.stdout and len(names) == 3


def test_val_and_predict(run: Path, data: Path, tmp_path: Path) -> None:
    weights = ["--weights", run / "best.safetensors", "--device", "cpu"]
    out = tmp_path / "out.json"
    plain(lehr("val", *weights, "--data", data, "--json", out, cwd=tmp_path))
    assert not RAW.search(out.read_text(encoding="utf-8")) and NAMES[0] in json.loads(out.read_text())["classes"]
    folder = data.parent / "images" / "val"
    plain(lehr("predict", folder, *weights, "--conf", "0.0001", "--json", out, cwd=tmp_path))
    assert not RAW.search(out.read_text(encoding="utf-8"))
    assert Path(json.loads(out.read_text())[0]["source"]).is_file()  # the same data, for all that
    plain(lehr("predict", folder / f"missing{FILE}.png", *weights, cwd=tmp_path, code=2))
    plain(lehr("predict", folder / f"*{FILE}*[z].png", *weights, cwd=tmp_path, code=2))


def test_predict_of_broken_images(run: Path, dirty: Path, tmp_path: Path) -> None:
    given = [dirty.parent / "images" / "train", "--weights", run / "best.safetensors", "--device", "cpu"]
    assert "broken" in plain(lehr("predict", *given, cwd=tmp_path, code=2)).stderr
    assert "Skipped" in plain(lehr("predict", *given, "--skip-broken", cwd=tmp_path, code=1)).stderr


@pytest.mark.parametrize("command", ["check", "stats"])
def test_data_is_described(command: str, data: Path, dirty: Path, tmp_path: Path) -> None:
    plain(lehr("data", command, data, cwd=tmp_path))
    more = ["--most", "0", "--json", tmp_path / "out.json", "--fix", tmp_path / "mended"] if command == "check" else []
    plain(lehr("data", command, dirty, *more, cwd=tmp_path, code=1 if command == "check" else 0))
    for path in tmp_path.rglob("*"):
        if path.suffix in (".json", ".txt") and "labels" not in path.parts:
            plain(Done(0, path.read_text(encoding="utf-8", errors="surrogateescape"), ""))


@pytest.mark.parametrize("more", [["convert", "--to", "yolo"], ["convert", "--to", "coco"], ["split"]])
def test_data_is_written(more: list[str], data: Path, dirty: Path, tmp_path: Path) -> None:
    done = lehr("data", more[0], data, *more[1:], "--out", tmp_path / "out", cwd=tmp_path, code=2 * (more == ["split"]))
    plain(done)  # names with line breaks cannot stand in a list
    plain(lehr("data", more[0], dirty, *more[1:], "--out", tmp_path / "dirty", cwd=tmp_path, code=2))
    if more != ["split"]:
        written = tmp_path / "out" / ("data.yaml" if more[-1] == "yolo" else "annotations/instances_val.json")
        text = written.read_text(encoding="utf-8")
        assert NAMES[1] not in text
        if more[-1] == "coco":
            assert [each["name"] for each in json.loads(text)["categories"]] == NAMES


def test_explanations(data: Path, dirty: Path, tmp_path: Path) -> None:
    plain(lehr("train", "--data", data, "--explain", "--repeat-threshold", "1", "--frequency-bias", cwd=tmp_path))
    plain(lehr("train", "--data", dirty, "--explain", cwd=tmp_path))
    plain(lehr("anchors", "--data", data, "--model", "yolov5n", "--fit", cwd=tmp_path))
    plain(lehr("schedule", "--data", data, "--csv", tmp_path / "out.csv", cwd=tmp_path))


def test_refusals(dirty: Path, tmp_path: Path) -> None:
    assert "truncated-image" in plain(lehr("train", "--data", dirty, *SMALL, cwd=tmp_path, code=2)).stderr
    plain(lehr("val", "--data", dirty, "--weights", tmp_path / f"{FILE}.safetensors", cwd=tmp_path, code=2))
    (tmp_path / "config.yaml").write_text(f"{json.dumps('x' + EVIL)}: 1\n")
    plain(lehr("train", "--config", tmp_path / "config.yaml", cwd=tmp_path, code=2))
    for option, value in (("device", EVIL), ("model", EVIL), ("freeze", EVIL), ("optimizer", EVIL), ("weights", EVIL)):
        (tmp_path / "config.yaml").write_text(json.dumps({option: value, "data": str(dirty)}))
        plain(lehr("train", "--config", tmp_path / "config.yaml", "--skip-broken", cwd=tmp_path, code=2))
    (tmp_path / "config.yaml").write_text(f"model: [{EVIL}\n")
    plain(lehr("train", "--config", tmp_path / "config.yaml", cwd=tmp_path, code=2))


@pytest.mark.parametrize(
    "arguments",
    [
        [EVIL],
        ["train", f"--{EVIL}"],
        ["train", "--epochs", EVIL],
        ["train", "--data", EVIL],
        ["train", "--resume", EVIL],
        ["train", "--amp", EVIL],
        ["train", "--device", EVIL],
        ["train", "--name", EVIL],
        ["train", "--callback", EVIL],
        ["train", "--augmentation", EVIL],
        ["train", "--hyp", EVIL],
        ["train", "--config", EVIL],
        ["predict", EVIL, "--weights", EVIL],
        ["data", "check", EVIL],
        ["data", "split", EVIL, "--out", EVIL],
        ["data", "convert", EVIL, "--to", EVIL, "--out", "x"],
        ["anchors", "--data", EVIL, "--model", EVIL],
        ["anchors", "--data", "shapes", "--weights", EVIL],
        ["schedule", "--lr-schedule", EVIL],
        ["evolve", "--fitness", EVIL],
        ["ablate", "--techniques", EVIL],
        ["doctor", "--device", EVIL],
    ],
)
def test_arguments(arguments: list[str], tmp_path: Path) -> None:
    assert plain(lehr(*arguments, cwd=tmp_path, code=2)).stderr.startswith("lehr: ")
