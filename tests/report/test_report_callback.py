"""The page at the end of a training: there in time, and never at the cost of the run."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.commands import lehr
from tests.conftest import MakeYolo
from tests.report.test_run_page import a_run

from lehr.report import run_page
from lehr.report.callback import ReportCallback, plot_seconds

SMALL = (
    "--model",
    "yolov8n",
    "--width",
    "0.125",
    "--imgsz",
    "64",
    "--epochs",
    "1",
    "--workers",
    "0",
    "--device",
    "cpu",
)


def ended(folder: Path, seconds: float = 1.0) -> Any:
    return SimpleNamespace(run=SimpleNamespace(folder=folder), seconds=seconds)


@pytest.fixture(autouse=True)
def with_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEHR_REPORT")


def test_a_run_ends_with_its_page(tmp_path: Path) -> None:
    folder, said = a_run(tmp_path / "run"), list[str]()
    ReportCallback(said.append).on_train_end(ended(folder))
    assert "<h1>run</h1>" in (folder / "report.html").read_text()
    assert len(said) == 1 and said[0].startswith(f"Page: {folder / 'report.html'}, built in ")
    assert said[0].endswith(f"; lehr report {folder} draws the plots.") and not (folder / "plots").exists()


@pytest.mark.parametrize("error", [ValueError("odd\n\x1b[2J"), MemoryError(), OSError(28, "No space left on device")])
def test_a_page_that_fails_is_said_and_ends_nothing(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(run_page, "build_page", fails)
    said: list[str] = []
    ReportCallback(said.append).on_train_end(ended(tmp_path))
    assert len(said) == 1 and said[0].startswith(f"The page could not be built ({type(error).__name__}")
    assert f"lehr report {tmp_path}" in said[0] and "\x1b" not in said[0]


def test_the_environment_switches_pages_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEHR_REPORT", "off")
    folder, said = a_run(tmp_path / "run"), list[str]()
    ReportCallback(said.append).on_train_end(ended(folder))
    assert not said and not (folder / "report.html").exists()


def test_plots_take_a_hundredth_of_a_run_at_most_or_a_few_seconds() -> None:
    assert [plot_seconds(seconds) for seconds in (1, 59, 60, 500, 1000, 1e6)] == [0, 0, 5, 5, 10, 20]
    assert plot_seconds(math.nan) == 0


def test_lehr_train_ends_with_a_page_unless_it_shall_not(tmp_path: Path, make_yolo: MakeYolo) -> None:
    given = ("train", *SMALL, "--data", make_yolo(counts={"train": 4, "val": 2}))
    lehr(*given, cwd=tmp_path)
    folder = tmp_path / "runs" / "train"
    first = (folder / "report.html").read_text()
    assert "Training losses step by step" in first and "Training batches as the model saw them" in first
    assert "Page: runs/train/report.html" in (folder / "train.log").read_text()
    assert (folder / "results.csv").stat().st_mtime <= (folder / "report.html").stat().st_mtime
    lehr(*given, "--no-report", "--name", "without", cwd=tmp_path)
    assert not (tmp_path / "runs/without/report.html").exists()
    for name in ("best.safetensors", "last.safetensors"):
        assert (folder / name).read_bytes() == (tmp_path / "runs/without" / name).read_bytes()
    done = lehr("report", "runs/without", "--no-plots", cwd=tmp_path)
    assert done.stdout == "Page: runs/without/report.html\n"
    done = lehr("report", "runs/without/weights", cwd=tmp_path, code=2)
    assert "is not a run: it has no config.yaml" in done.stderr
