"""The section of the data says in words and charts what the summary counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lehr.analysis.data_summary import save_data_summary, summarize_anchors, summarize_data
from lehr.data.images.jpeg import encode_jpeg
from lehr.report.chart_data import chart_data
from lehr.report.drawing import draw_piece
from lehr.report.pieces import Chart, Gallery, Note, Section, Series, Table
from lehr.report.sections.data import data_section
from lehr.sample import Dataset, Fault, Sample

ODD = "<script>alert(1)</script>"


def split(objects: list[tuple[int, float, float]], images: int = 2) -> list[Sample]:
    """Images of 100 x 100 pixels, all objects, of class, width and height, in the first."""
    boxes = np.array([[0, 0, w, h] for _, w, h in objects], np.float32).reshape(-1, 4)
    first = Sample(Path("0.jpg"), 100, 100, boxes, np.array([index for index, *_ in objects], np.int64))
    empty = Sample(Path("1.jpg"), 100, 100, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    return [first, *[empty] * (images - 1)]


def section(folder: Path, names: tuple[str, ...], train: Any, val: Any, **more: Any) -> Section:
    summary = summarize_data(Dataset("x", names, {"train": train, "val": val}, more.pop("faults", ())), 100)
    save_data_summary(folder / "data.json", summary.model_copy(update=more))
    built = data_section(folder)
    assert built is not None
    return built


def pieces(built: Section) -> dict[str, Any]:
    return {getattr(piece, "name", "") or getattr(piece, "title", ""): piece for piece in built.pieces}


def test_classes_stand_in_order_with_their_shares(tmp_path: Path) -> None:
    built = section(tmp_path, ("rare", ODD), split([(1, 20, 20)] * 30 + [(0, 5, 40)] * 2, 4), split([(1, 20, 20)]))
    found = pieces(built)
    chart = found["class-counts"]
    assert chart.labels == [ODD, "rare"] and [list(each.y) for each in chart.series] == [[30, 2], [1, 0]]
    assert [cell.text for cell in found["Classes"].rows[1]] == ["rare", "2", "1", "6.2%", "14", "0", "0"]
    assert built.answers == [
        "2 classes; 4 images with 32 objects for training; 2 images with 1 object for validation.",
        "No object in the validation split: rare.",
        f"Classes are uneven: {ODD} has 15 times the objects of rare.",
        "75% of the training images have no object.",
        "6.2% of the training objects are less than 8 pixels wide or high at 100 pixels, less than a cell of the "
        "finest feature map.",
    ]


def test_every_chart_has_a_value_for_each_label(tmp_path: Path) -> None:
    built = section(tmp_path, ("a",), split([(0, 3, 90), (0, 64, 32)]), split([]))
    charts = {piece.name: piece for piece in built.pieces if isinstance(piece, Chart)}
    assert set(charts) == {"class-counts", "box-sizes", "aspect-ratios", "widths-heights"}
    for name in ("class-counts", "box-sizes", "aspect-ratios"):
        assert all(len(each.x) == len(each.y) == len(charts[name].labels) for each in charts[name].series)
    sizes = dict(zip(charts["box-sizes"].labels, charts["box-sizes"].series[0].y, strict=True))
    assert {side: share for side, share in sizes.items() if share} == {"16": 50, "45": 50}
    ratios = dict(zip(charts["aspect-ratios"].labels, charts["aspect-ratios"].series[0].y, strict=True))
    assert {ratio: share for ratio, share in ratios.items() if share} == {"0.12": 50, "2": 50}
    assert charts["widths-heights"].series[0].x == [3, 64] and len(charts["widths-heights"].series) == 1
    heat = pieces(built)["positions"]
    assert heat.values[9][0] == 50 and heat.values[3][6] == 50 and sum(map(sum, heat.values)) == 100


def test_anchors_lie_over_the_sizes_level_by_level(tmp_path: Path) -> None:
    fit = summarize_anchors(np.array([[[8, 9], [4, 5]], [[50, 60], [70, 20]]], np.float64), np.array([[9.0, 9]]), 4.0)
    built = section(tmp_path, ("a",), split([(0, 9, 9)]), split([]), anchors=fit)
    chart = pieces(built)["widths-heights"]
    assert [(each.name, each.x, each.y) for each in chart.series[1:]] == [
        ("anchors of level 1", [4, 8], [5, 9]),
        ("anchors of level 2", [50, 70], [60, 20]),
    ]
    assert "An anchor answers for 100% of the training objects" in built.answers[-1]


def test_a_run_without_any_object_has_a_section(tmp_path: Path) -> None:
    built = section(tmp_path, ("a",), split([]), [])
    assert "widths-heights" not in pieces(built)
    assert built.answers[1:] == ["No object in the training split: a.", "No object in the validation split: a."]


def test_faults_say_what_to_do(tmp_path: Path) -> None:
    faults = tuple(Fault("unreadable-image", Path(f"{ODD}{i}.jpg"), "cannot be read.") for i in range(7))
    built = section(tmp_path, ("a",), split([(0, 9, 9)]), [], faults=faults)
    (row,) = pieces(built)["Faults of the data"].rows
    assert [cell.text for cell in row] == [
        "error",
        "7",
        "images that cannot be read",
        "Replace or remove them.",
        "first 3",
    ]
    assert row[4].folded.startswith(f"{ODD}0.jpg: error:") and row[4].folded.count("\n") == 2
    assert "7 errors in the data; the table of faults says which." in built.answers


def test_a_folder_without_data_has_no_section(tmp_path: Path) -> None:
    assert data_section(tmp_path) is None


def test_a_damaged_summary_is_said(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")
    built = data_section(tmp_path)
    assert built is not None and isinstance(built.pieces[0], Note) and "is not a summary" in built.pieces[0].text


def test_sheets_are_shown_in_order_and_only_those_that_are_images(tmp_path: Path) -> None:
    plots, jpeg = tmp_path / "plots", encode_jpeg(np.zeros((20, 20, 3), np.uint8), 5000)
    plots.mkdir()
    (plots / "train-batch-without-mosaic.jpg").write_bytes(jpeg)
    (plots / "train-batch-first.jpg").write_bytes(jpeg)
    (plots / "train-batch-middle.jpg").write_bytes(b"<svg onload=alert(1)>")
    built = data_section(tmp_path)
    assert built is not None
    (gallery,) = built.pieces
    assert isinstance(gallery, Gallery) and [each.title for each in gallery.thumbnails] == [
        "First batch",
        "Without mosaic",
    ]
    assert gallery.thumbnails[0].jpeg == jpeg


@pytest.mark.parametrize("make", ["large", "wide", "link"])
def test_a_sheet_that_lehr_did_not_write_is_not_read(tmp_path: Path, make: str) -> None:
    plots = tmp_path / "plots"
    plots.mkdir()
    if make == "large":
        (plots / "train-batch-first.jpg").write_bytes(b"\xff\xd8\xff" + bytes(300_000))
    elif make == "wide":
        (plots / "train-batch-first.jpg").write_bytes(encode_jpeg(np.zeros((10, 2000, 3), np.uint8), 50_000))
    else:
        (tmp_path / "other.jpg").write_bytes(encode_jpeg(np.zeros((20, 20, 3), np.uint8), 5000))
        (plots / "train-batch-first.jpg").symlink_to(tmp_path / "other.jpg")
    assert data_section(tmp_path) is None


def test_axes_of_widths_and_heights_are_logarithmic(tmp_path: Path) -> None:
    chart = pieces(section(tmp_path, ("a",), split([(0, 9, 18), (0, 3, 4)]), []))["widths-heights"]
    drawn = chart_data(chart)
    assert drawn["logX"] and drawn["logY"] and drawn["x"] == [(3, 9)]
    zero = replace(chart, series=[Series("a", [0, 2], [5, 6])])  # as an image without pixels would have
    assert chart_data(zero)["x"] == [(2,)] and chart_data(zero)["series"][0]["y"] == [6]
    draw_piece(chart, tmp_path / "a.svg")
    assert "a.svg" in {path.name for path in tmp_path.iterdir()}


def test_a_table_of_faults_without_any_says_so(tmp_path: Path) -> None:
    table = pieces(section(tmp_path, ("a",), split([(0, 9, 9)]), []))["Faults of the data"]
    assert isinstance(table, Table) and not table.rows and table.empty == "No fault was found in images and labels."
