"""The section on quality and the page of an evaluation: right numbers, few lines, any names, nothing to measure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.analysis.cases import random_record
from tests.commands import lehr
from tests.conftest import MakeYolo

from lehr.analysis.analyse import analyse
from lehr.analysis.record import DetectionRecord
from lehr.analysis.record_file import load_record
from lehr.evaluation.metrics import evaluate_detections
from lehr.models.build import build_model
from lehr.report.analysis_page import write_analysis
from lehr.report.page import Page, render_page
from lehr.report.pieces import Chart, Matrix, Section, Table
from lehr.report.sections.quality import MAX_CURVES, quality_section
from lehr.weights.write import save_weights

SCRIPT = "<script>alert(1)</script>"


def section_of(record: DetectionRecord) -> Section:
    found = analyse(record)
    return quality_section(found.quality, found.confusion)


def named(section: Section) -> dict[str, Chart | Matrix]:
    return {piece.name: piece for piece in section.pieces if isinstance(piece, Chart | Matrix)}


def test_lines_that_are_drawn_have_the_areas_that_the_evaluator_says() -> None:
    record = random_record(1)
    metrics = evaluate_detections(record.samples, record.names, record.detections)
    section = section_of(record)
    chart = named(section)["precision-recall"]
    assert isinstance(chart, Chart)
    areas = {series.name.split(",")[0]: np.mean([y or 0 for y in series.y]) for series in chart.series}
    assert areas.pop("all classes") == pytest.approx(metrics.map50, abs=1e-6)
    known = {name: numbers.map50 for name, numbers in metrics.classes.items() if numbers.instances}
    assert areas == pytest.approx(known, abs=1e-6)
    assert f"mAP50-95 {metrics.map:.3f}, mAP50 {metrics.map50:.3f}" in section.answers[0]
    confidence = named(section)["confidence"]
    assert isinstance(confidence, Chart) and confidence.markers[0].x == metrics.confidence
    table = next(piece for piece in section.pieces if isinstance(piece, Table) and piece.title == "Classes")
    last = [cell.text for cell in table.rows[3]]
    assert last == ["class 3", "0", *["-"] * 7]  # without objects


def test_many_classes_have_few_lines_and_one_matrix_and_a_page_of_bounded_size() -> None:
    record = random_record(5, images=200, classes=80)
    section = section_of(record)
    pieces = named(section)
    chart = pieces["precision-recall"]
    assert isinstance(chart, Chart) and len(chart.series) == MAX_CURVES + 1 and "weakest classes of 79" in chart.caption
    assert "confusion-shares" in pieces and "confusion-counts" not in pieces
    page = render_page(Page("a", "lehr val", [], [], [], [section]))
    assert len(page) < 1_500_000


@pytest.mark.parametrize("classes", [2, 3])
def test_names_reach_the_page_as_text(classes: int) -> None:
    record = replace(random_record(2, classes=classes), names=(SCRIPT, *(f"b{i}" for i in range(classes - 1))))
    page = render_page(Page(SCRIPT, "lehr val", [], [], [], [section_of(record)]))
    assert SCRIPT not in page and "&lt;script&gt;alert(1)" in page


def test_nothing_found_and_nothing_there_say_so() -> None:
    record = random_record(1)
    nothing_found = section_of(replace(record, detections=record.detections[:0]))
    assert "mAP50-95 0.000" in nothing_found.answers[0]
    bare = tuple(replace(each, boxes=each.boxes[:0], classes=each.classes[:0]) for each in record.samples)
    for detections in (record.detections, record.detections[:0]):
        section = section_of(replace(record, samples=bare, detections=detections))
        assert section.answers == () and render_page(Page("a", "lehr val", [], [], [], [section]))
    with_one = replace(record, names=("a",), samples=record.samples[:0], detections=record.detections[:0])
    assert "no object" in render_page(Page("a", "lehr val", [], [], [], [section_of(with_one)]))


def test_an_evaluation_leaves_page_numbers_and_detections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lehr.report.analysis_page.draw_sections", lambda *_, **__: ["none"])
    record = random_record(3)
    answers, late = write_analysis(record, tmp_path, "weights on val", [("Data", SCRIPT)], ["a note"])
    assert late == ["none"] and "mAP50" in answers[0]
    numbers = json.loads((tmp_path / "analysis.json").read_text())
    assert (
        numbers["mistakes"]["counts"]["missed"] == sum(m["kind"] == "missed" for m in numbers["mistakes"]["each"]) > 0
    )
    assert numbers["gains"]["gains"]["missed"] > 0 and len(numbers["confusion"]["counts"]) == 5
    assert np.array_equal(load_record(tmp_path / "detections.safetensors").detections, record.detections)
    page = (tmp_path / "report.html").read_text()
    assert "Confusion matrix" in page and "Mistakes" in page and SCRIPT not in page


def test_val_writes_the_page_of_weights(make_yolo: MakeYolo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lehr.report.analysis_page.draw_sections", lambda *_, **__: [])
    data = make_yolo(counts={"train": 1, "val": 3})
    weights = tmp_path / "w.safetensors"
    save_weights(build_model("yolov8n", ["small", "large"], 64, width=0.125), weights)
    given = ("val", "--weights", weights, "--data", data, "--imgsz", "64", "--device", "cpu", "--analyze")
    done = lehr(*given, cwd=tmp_path)
    assert "Page: runs/val/report.html" in done.stdout and (tmp_path / "runs" / "val" / "analysis.json").is_file()
    assert "Page: runs/val-2/report.html" in lehr(*given, cwd=tmp_path).stdout
    taken = lehr(*given, "runs/val", cwd=tmp_path, code=2)
    assert "runs/val: exists already and is not empty. Choose another --analyze." in taken.stderr
