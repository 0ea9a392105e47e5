"""The page of several runs: differences with intervals, overlaid curves, options that differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.commands import lehr
from tests.conftest import Once, make_squares
from tests.engine.runs import run

from lehr.analysis.record import DetectionRecord
from lehr.errors import InputError
from lehr.evaluation.bootstrap import compare
from lehr.evaluation.metrics import measure
from lehr.report.comparison_page import comparison_page, run_names
from lehr.report.page import render_page
from lehr.report.pieces import Chart, Note, Table
from lehr.report.run_files import RunFiles, read_run
from lehr.report.sections.comparison import ComparedRun, overlaid_section, results_section
from lehr.sample import Sample

ODD = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def runs(once: Once) -> Path:
    """A folder with two runs on the same data, which differ in an option."""

    def make(folder: Path) -> None:
        data = make_squares(folder / "data", {"train": 8, "val": 12})
        run(data, folder, "one", epochs=2, digests=True)
        run(data, folder, "two", epochs=2, digests=True, hsv_h=0.3)

    return once("runs-side-by-side", make)


def a_record(found: float) -> DetectionRecord:
    """Twenty images with two objects each, a share of them found."""
    boxes = np.array([[4, 4, 20, 20], [30, 30, 60, 60]], np.float32)
    samples = tuple(Sample(Path(f"{i}.jpg"), 64, 64, boxes, np.array([0, 1])) for i in range(20))
    rng = np.random.default_rng(0)
    rows = [(i, *boxes[k], 0.9 - i / 100, k) for i in range(20) for k in (0, 1) if rng.random() < found]
    return DetectionRecord(("a", "b"), samples, np.array(rows, np.float64))


def files(folder: Path, scores: tuple[float, ...]) -> RunFiles:
    folder.mkdir()
    (folder / "config.yaml").write_text("epochs: 3\n")
    lines = [f"{epoch},{score},{score},0.5,0.5" for epoch, score in enumerate(scores, 1)]
    (folder / "results.csv").write_text("\n".join(["epoch,val/map,val/map50,val/precision,train/box", *lines]) + "\n")
    return read_run(folder)


def test_differences_have_the_intervals_of_the_bootstrap(tmp_path: Path) -> None:
    first = ComparedRun("first", files(tmp_path / "a", (0.2, 0.4)), a_record(0.5))
    second = ComparedRun("second", files(tmp_path / "b", (0.3, 0.9)), a_record(0.95))
    section = results_section([first, second])
    table = section.pieces[0]
    assert isinstance(table, Table)
    records = [measure(r.samples, r.names, r.detections, 300, record=True)[1] for r in (a_record(0.5), a_record(0.95))]
    assert records[0] is not None and records[1] is not None
    expected = compare(records[0], records[1])
    assert expected.verdict == "better"
    cell = table.rows[1][6]
    assert cell.sort == expected.difference and cell.word == "better" and cell.mark == "good"
    assert cell.small == f"{expected.low:.3f} to {expected.high:.3f}"
    assert section.answers == [f"second is {expected.describe('first')}."]
    assert [each.text for each in table.rows[1][:3]] == ["second", "2", "0.900"]


def test_records_that_cannot_be_compared_say_why(tmp_path: Path) -> None:
    first = ComparedRun("first", files(tmp_path / "a", (0.2,)), a_record(0.5))
    other = a_record(0.5)
    cases = {
        "has no detections": None,
        "its classes differ": replace(other, names=("a", "c")),
        "other images or other objects": replace(other, samples=other.samples[:-1], detections=other.detections[:5]),
    }
    for reason, record in cases.items():
        section = results_section([first, replace(first, name="other", record=record)])
        note = section.pieces[1]
        assert isinstance(note, Note) and reason in note.text and section.answers == []


def test_curves_lie_over_one_another(tmp_path: Path) -> None:
    pair = [ComparedRun(name, files(tmp_path / name, scores)) for name, scores in (("a", (0.2, 0.4)), ("b", (0.3,)))]
    charts = {each.name: each for each in overlaid_section(pair).pieces if isinstance(each, Chart)}
    assert list(charts) == ["map", "map50", "precision", "train-box"]
    assert [(each.name, list(each.y)) for each in charts["map"].series] == [("a", [0.2, 0.4]), ("b", [0.3])]


def test_the_command_compares_runs_on_one_page(runs: Path, tmp_path: Path) -> None:
    lehr("report", runs / "one", runs / "two", "--out", "both.html", "--no-plots", cwd=tmp_path)
    text = (tmp_path / "both.html").read_text()
    assert "--hsv-h" in text and "epoch 1, step 1: the batch has the same images with different pixels" in text
    page = comparison_page([runs / "one", runs / "two"])
    assert page.title == "one and two" and page.answers[0].startswith(("two is ", "two: no difference from one"))
    names = [row[0].text for piece in page.sections[2].pieces if isinstance(piece, Table) for row in piece.rows]
    assert names == ["--hsv-h", "two"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "two", "--serve"], "--serve: shows one run"),
        (["one", "--out", "x.html"], "is the file of a comparison"),
        (["one", "one/../one"], "is named twice"),
        (["one", "nothing"], "is not a run"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: list[str], message: str, runs: Path) -> None:
    assert message in lehr("report", *arguments, cwd=runs, code=2).stderr


def test_text_of_others_is_text(tmp_path: Path) -> None:
    folders = []
    for name in ("a", "b"):
        files(tmp_path / name, (0.2,))
        (tmp_path / name / "config.yaml").write_text(f"data: '{ODD}{name}'\n'{ODD}': {name}\n")
        (tmp_path / name / "results.csv").write_text(f"epoch,val/map,train/{ODD}\n1,0.2,0.1\n")
        folders.append(tmp_path / name)
    (tmp_path / "b" / "detections.safetensors").symlink_to("/etc/passwd")
    page = comparison_page(folders)
    text = render_page(page)
    assert ODD not in text and "&lt;script&gt;" in text
    assert any("detections.safetensors" in note and "link" in note for note in page.notes)


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    assert run_names([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    assert run_names([Path("/x/a"), Path("/y/a")]) == ["x/a", "y/a"]
    assert run_names([Path("/1/x/a"), Path("/2/x/a")]) == ["/1/x/a", "/2/x/a"]
    with pytest.raises(InputError, match=r"21 runs: a page compares up to 20"):
        comparison_page([tmp_path / str(number) for number in range(21)])
