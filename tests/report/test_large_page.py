"""The page of a large run stays within its bounds of time, memory and bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.report_page import measure, write_run


@pytest.mark.slow
def test_a_page_of_5000_images_80_classes_and_300_epochs_is_built_within_its_bounds(tmp_path: Path) -> None:
    write_run(tmp_path / "run", images=5000, classes=80, epochs=300, detections=100)
    seconds, memory, size = measure(tmp_path / "run")
    assert seconds < 30 and memory < 1024 and size < 5


def test_the_page_of_the_benchmark_s_run_has_every_section(tmp_path: Path) -> None:
    from lehr.report.pieces import Note
    from lehr.report.run_files import read_run
    from lehr.report.run_page import run_page

    write_run(tmp_path / "run", images=12, classes=4, epochs=20, detections=20)
    page = run_page(read_run(tmp_path / "run"))
    names = [section.name for section in page.sections]
    assert names == ["curves", "quality", "mistakes", "suspects", "data", "options"]
    assert not any(isinstance(section.pieces[0], Note) for section in page.sections) and not page.notes


def test_a_run_s_page_does_without_torch() -> None:
    code = "import sys, lehr.report.run_page, lehr.report.run_files; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
