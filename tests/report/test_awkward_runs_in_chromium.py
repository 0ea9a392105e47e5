"""Pages of awkward runs in a real browser: names of an enemy, one class, 80 classes, nothing found, nothing there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.report_page import write_run
from tests.chromium import opened

from lehr.analysis.record import DetectionRecord
from lehr.analysis.record_file import load_record, save_record
from lehr.report.run_page import build_page

ODD = "<script>alert(1)</script>"
FILE = "<img src=x onerror=alert(1)>.jpg"
"""A slash cannot be in a file's name."""


def hostile(record: DetectionRecord) -> DetectionRecord:
    """Name a class and the file of each image like an enemy."""
    samples = []
    for number, sample in enumerate(record.samples):
        path = sample.path.with_name(f"{number}{FILE}")
        sample.path.rename(path)
        samples.append(replace(sample, path=path))
    return replace(record, names=(ODD, *record.names[1:]), samples=tuple(samples))


def nothing_found(record: DetectionRecord) -> DetectionRecord:
    return replace(record, detections=record.detections[:0])


def nothing_there(record: DetectionRecord) -> DetectionRecord:
    bare = tuple(replace(each, boxes=each.boxes[:0], classes=each.classes[:0]) for each in record.samples)
    return replace(record, samples=bare)


def class_without_instances(record: DetectionRecord) -> DetectionRecord:
    return replace(record, names=(*record.names, "never seen"))


@pytest.mark.parametrize(
    ("classes", "change", "shown"),
    [
        (3, hostile, (ODD, FILE)),
        (1, None, ("class 0",)),
        (80, None, ("class 79",)),
        (3, nothing_found, ("mAP50 0.000",)),
        (3, nothing_there, ("no object",)),
        pytest.param(2, class_without_instances, ("never seen",), marks=pytest.mark.slow),
    ],
)
def test_the_page_is_whole(browser: Any, tmp_path: Path, classes: int, change: Any, shown: tuple[str, ...]) -> None:
    folder = tmp_path / "run"
    write_run(folder, images=8, classes=classes, epochs=2, detections=10)
    if change is not None:
        save_record(change(load_record(folder / "detections.safetensors")), folder / "detections.safetensors")
    path, _ = build_page(folder, plot_kinds=())
    with opened(browser, path, 390, 800) as found:
        page = found.page
        charts = page.locator(".plot").count()
        assert charts == page.locator(".plot[data-drawn=yes]").count() > 10
        assert page.locator("section").count() == 6
        assert all(text in page.inner_text("main") for text in shown)
        sizes = page.eval_on_selector_all(".thumbnail img", "all => all.map(each => each.naturalWidth)")
        assert all(sizes) and page.evaluate("document.documentElement.scrollWidth") <= 390
