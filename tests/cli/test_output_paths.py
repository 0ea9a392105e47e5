"""Places to write to are checked before the work: nothing is loaded or trained for a place that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.commands import lehr


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file, a full folder and a run; whatever would begin the work fails."""
    (tmp_path / "file").write_text("dear")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").touch()
    (tmp_path / "best.safetensors").touch()
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "config.yaml").touch()
    (tmp_path / "a.png").touch()

    def work(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    for begin in ("data.load.load_dataset", "detector.Detector.load", "engine.run.train", "studies.evolve.EvolveStudy"):
        monkeypatch.setattr(f"lehr.{begin}", work)
    return tmp_path


FILE = "is a file, not a folder. Choose another"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("train --project file", f"--project file: file {FILE} --project."),
        ("train --project file/runs", f"--project file/runs: file {FILE} --project."),
        ("evolve --project file", f"--project file: file {FILE} --project."),
        ("ablate --project file", f"--project file: file {FILE} --project."),
        ("schedule --plot r.bmp", "--plot r.bmp: must end with .png, .svg or .pdf, e.g. r.png."),
        ("schedule --csv none/r.csv", "--csv none/r.csv: there is no folder none. Make it, or choose another file."),
        ("schedule --csv full", "--csv full: is a folder. Name a file in it, e.g. full/out.csv."),
        ("anchors shapes --plot a.txt", "--plot a.txt: must end with .png, .svg or .pdf, e.g. a.png."),
        ("anchors shapes --json file/a.json", f"--json file/a.json: file {FILE} --json file."),
        ("val shapes --weights W --json file", "--json file: exists and is not a JSON file. It would be lost."),
        ("val shapes --weights W --analyze full", "--analyze full: exists already and is not empty."),
        ("val shapes --weights W --analyze file", f"--analyze file: file {FILE} --analyze."),
        ("predict a.png --weights W --project file", f"--project file: file {FILE} --project."),
        ("predict a.png --weights W --name mine", "runs/mine: exists already, and a run is never overwritten."),
        ("predict a.png --weights W --csv none/a.csv", "--csv none/a.csv: there is no folder none."),
        ("predict a.png --weights W --coco-ids i.json --coco c.json", "i.json: "),
        ("export --weights W --out e.txt", "--out e.txt: must end with .onnx, e.g. e.onnx."),
        ("export --weights W --out none/e.onnx", "--out none/e.onnx: there is no folder none."),
        ("export --weights W --out file/e.onnx", f"--out file/e.onnx: file {FILE} --out."),
        ("import best.pt w.pt", "DST w.pt: must end with .safetensors, e.g. w.safetensors."),
        ("import best.pt none/w.safetensors", "DST none/w.safetensors: there is no folder none."),
        ("report runs/mine runs/mine --out r.pdf", "--out r.pdf: must end with .html, e.g. r.html."),
        ("report runs/mine runs/mine --out full", "--out full: is a folder. Name a file in it, e.g. full/out.html."),
        ("replay runs/mine --step 1 --out file", f"--out file: file {FILE} --out."),
        ("diff runs/mine runs/mine --json none/d.json", "--json none/d.json: there is no folder none."),
        ("doctor --json full", "--json full: is a folder. Name a file in it, e.g. full/out.json."),
        ("data check shapes --fix full", "--fix full: exists already and is not empty. Choose another --fix."),
        ("data split shapes --out full", "--out full: exists already and is not empty. Choose another --out."),
        ("data split shapes --out file", f"--out file: file {FILE} --out."),
        ("data convert shapes --to coco --out file/x", f"--out file/x: file {FILE} --out."),
        ("data audit shapes --out full", "--out full: exists already and is not empty. Choose another --out."),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_the_work(places: Path, command: str, said: str) -> None:
    before = sorted(places.rglob("*"))
    words = ["best.safetensors" if word == "W" else word for word in command.split()]
    assert said in lehr(*words, cwd=places, code=2).stderr
    assert sorted(places.rglob("*")) == before and (places / "file").read_text() == "dear"


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(dir: Path) -> None:
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    for command, said in (
        ("train", "lehr: runs: cannot be written (Permission denied). Choose another --project."),
        ("schedule --csv r.csv", "--csv r.csv: cannot be written (Permission denied). Choose another --csv file."),
        ("data split shapes --out new", "lehr: new: cannot be created (Permission denied). Choose another --out."),
        ("report runs/mine", "lehr: runs/mine: cannot be written (Permission denied)."),
        ("export --weights best.safetensors", "best.onnx: cannot be written (Permission denied)."),
    ):
        assert said in lehr(*command.split(), cwd=places, code=2).stderr
