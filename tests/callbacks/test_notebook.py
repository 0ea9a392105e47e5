"""A run in a notebook is one live output: by made-up events here, and in a real kernel (slow)."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from tests.callbacks.made_run import events_of, made_run

from lehr.callbacks.notebook import NotebookCallback, NotebookView, display_callbacks, notebook_view
from lehr.callbacks.notebook_page import COLOURS
from lehr.runtime.console import Console
from lehr.runtime.notebook import LiveCell, in_notebook
from lehr.runtime.progress import progress


class Cell(LiveCell):
    """Keeps what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[str, str]] = []

    def show(self, html: str, text: str) -> None:
        self.shown.append((html, text))


def drawn(tmp_path: Path, fitness: list[float], crowded: bool = False) -> list[tuple[str, str]]:
    """All states of a run's output."""
    cell = Cell()
    view = NotebookView(cell)
    with Console(tmp_path / "train.log", handler=view) as output:
        output.say("Data <set>: 640 images")
        listeners = display_callbacks(output)
        assert isinstance(listeners[0], NotebookCallback)
        for event in events_of(made_run(tmp_path, epochs=9, crowded=crowded, batches=2), fitness):
            for listener in listeners:
                getattr(listener, event.method)(event)
    return cell.shown


def test_a_run_is_one_output_with_table_curves_and_what_was_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = drawn(tmp_path, [0.1, 0.2, 0.15])
    assert capsys.readouterr().out == ""
    assert any("epoch 2/9 validation" in html for html, _ in shown) and any("epoch 1/9<" in html for html, _ in shown)
    html, text = shown[-1]
    page = ElementTree.fromstring(html)
    rows = [[cell.text or "" for cell in row] for row in page.iter("tr")]
    assert (
        rows[0][:3] == ["epoch", "memory", "box"]
        and "size" not in rows[0]
        and [row[0] for row in rows[1:]] == ["1/9", "2/9", "3/9"]
    )
    assert [row[-1] for row in rows[1:]] == ["★", "★", ""] and "★ the best epoch so far" in html
    charts = list(page.iter("svg"))
    assert len(charts) == 2
    lines = [[path for path in chart.iter("path") if path.get("stroke") in COLOURS] for chart in charts]
    assert [len(each) for each in lines] == [3, 2]
    assert all(path.get("d", "").count("L") == 2 for each in lines for path in each)
    assert "Data &lt;set&gt;" in html and "Best epoch 2" in html and "white blood cell" in html
    assert "validation" not in html.split("Best epoch")[0].split("</table>")[0]  # no bar stays
    assert text.splitlines()[1].split()[:2] == ["epoch", "memory"] and "Best epoch 2" in text
    assert "2/9" in (tmp_path / "train.log").read_text()


def test_curves_are_of_what_the_best_epoch_is_chosen_by_and_stay_inside(tmp_path: Path) -> None:
    html, _ = drawn(tmp_path, [0.0, 0.6], crowded=True)[-1]
    chart = list(ElementTree.fromstring(html).iter("svg"))[1]
    assert {"mAP50_300", "mAP50-95_300"} <= {text.text for text in chart.iter("text")}
    width, height = (float(side) for side in (chart.get("viewBox") or "").split()[2:])
    for text in chart.iter("text"):
        letters = 7 * len(text.text or "")
        x, before = float(text.get("x", 0)), {"middle": 0.5, "end": 1.0}.get(text.get("text-anchor", ""), 0.0)
        assert x - before * letters >= -5 and x + (1 - before) * letters <= width + 5
        assert 0 < float(text.get("y", 0)) <= height


def test_nothing_learned_has_no_star_and_one_epoch_no_curve(tmp_path: Path) -> None:
    html, _ = drawn(tmp_path, [0.0])[-1]
    assert "★" not in html and "<svg" not in html and "Nothing was learned yet" in html


def test_a_notebook_is_a_kernel_and_not_ipython_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not in_notebook() and notebook_view(True) is None
    shell.kernel = object()
    assert in_notebook() and notebook_view(True) is not None and notebook_view(False) is None


def test_a_display_that_fails_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    LiveCell().show("<b>x</b>", "x")


def test_progress_shows_nothing_of_quick_work_nor_outside_of_notebooks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("validation", 10) as move:
        move(10)
    assert capsys.readouterr() == ("", "")
    cell = Cell()
    monkeypatch.setattr("lehr.runtime.progress.LiveCell", lambda: cell)
    monkeypatch.setattr("lehr.runtime.progress.in_notebook", lambda: True)
    with progress("validation", 10) as move:
        move(10)
    assert cell.shown == []
    monkeypatch.setattr("lehr.runtime.progress.QUICK_SECONDS", 0.0)
    monkeypatch.setattr("lehr.runtime.progress.REDRAW_SECONDS", 0.0)
    with progress("validation", 10) as move:
        move(5)
        move(10)
    assert len(cell.shown) == 3 and "5/10" in cell.shown[0][0] and "10/10" in cell.shown[-1][0]


@pytest.mark.slow
def test_a_saved_notebook_holds_one_output_a_training(tmp_path: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    cells = [
        "from lehr import Detector\ndetector = Detector('yolov8n')",
        "detector.train(data='shapes', imgsz=64, epochs=2, batch=64, device='cpu', width=0.125, depth=0.33);",
        "import lehr.runtime.progress as p\np.QUICK_SECONDS = p.REDRAW_SECONDS = 0\n"
        "evaluation = detector.val('shapes', imgsz=64)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = notebook.cells[1].outputs
    assert output.output_type == "display_data" and output.data["text/html"].count("<tr>") == 3
    assert "Trained in" in output.data["text/html"] and "2/2" in output.data["text/plain"]
    (bar,) = notebook.cells[2].outputs
    assert "validation" in bar.data["text/html"]
