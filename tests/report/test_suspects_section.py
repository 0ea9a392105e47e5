"""The section of suspected label errors: a row and a crop each, and none that cannot be shown."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lehr.analysis.record import DetectionRecord
from lehr.report.page import Page, render_page
from lehr.report.pieces import Gallery, Note, Table
from lehr.report.sections.suspects import MAX_BYTES, suspects_section
from lehr.sample import Sample

EVIL = "<script>alert(1)</script>"


def the_record(folder: Path, images: int = 30) -> DetectionRecord:
    """Images with an object each, of which the last has nothing labelled, and one is labelled as another class."""
    samples, rows = [], []
    for index in range(images):
        path = folder / f"{index}.png"
        cv2.imwrite(str(path), np.full((120, 160, 3), 40 + index, np.uint8))
        count = 0 if index == images - 1 else 1
        boxes = np.array([[20, 20, 90, 90]] * count, np.float32).reshape(-1, 4)
        samples.append(Sample(path, 160, 120, boxes, np.full(count, int(index == 3), np.int64)))
        rows.append([index, 20, 20, 90, 90, 0.9, 0])
    return DetectionRecord((EVIL, "plate"), tuple(samples), np.array(rows, np.float64))


def test_each_suspect_has_a_row_and_a_crop_that_can_be_filtered(tmp_path: Path) -> None:
    section = suspects_section(the_record(tmp_path))
    gallery = next(piece for piece in section.pieces if isinstance(piece, Gallery))
    table = next(piece for piece in section.pieces if isinstance(piece, Table))
    assert [row[1].text for row in table.rows] == [thumb.title.split(" ")[1] for thumb in gallery.thumbnails]
    assert {row[2].text for row in table.rows} == {"wrong class", "missing object"}
    assert {"kind: wrong class", f"class: {EVIL}", "class: plate"} <= {
        t for each in gallery.thumbnails for t in each.tags
    }
    for thumb in gallery.thumbnails:
        assert len(thumb.jpeg) <= MAX_BYTES
        assert cv2.imdecode(np.frombuffer(thumb.jpeg, np.uint8), cv2.IMREAD_COLOR).max() > 150  # boxes are drawn
    assert "2 suspected label errors are in 2 images" in section.answers[0]


def test_text_of_others_reaches_the_page_escaped(tmp_path: Path) -> None:
    page = render_page(Page("t", "k", [], [], [], [suspects_section(the_record(tmp_path))]))
    assert EVIL not in page and "&lt;script&gt;alert(1)" in page


def test_suspects_are_listed_where_the_images_are_gone(tmp_path: Path) -> None:
    record = the_record(tmp_path)
    for sample in record.samples:
        sample.path.unlink()
    section = suspects_section(record)
    assert not any(isinstance(piece, Gallery) for piece in section.pieces)
    assert any(isinstance(piece, Note) and piece.text.startswith("2 suspects not shown") for piece in section.pieces)


def test_no_suspect_is_said_in_words(tmp_path: Path) -> None:
    samples = the_record(tmp_path).samples[:3]
    section = suspects_section(
        DetectionRecord(("a", "b"), samples, np.array([[i, 20, 20, 90, 90, 0.9, 0] for i in range(3)]))
    )
    assert section.answers == ["No label is suspected to be wrong."]
