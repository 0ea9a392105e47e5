"""Figures of a page as files: every kind of piece, awkward values, and a bound on the time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lehr.report.drawing import MAX_LEGEND, draw_piece, draw_sections
from lehr.report.pieces import Chart, Gallery, Marker, Matrix, Note, Section, Series, Thumbnail

ODD = "<script>$a_b$ \x1b[2J"


def a_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 30, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def line(name: str = "line", **more: object) -> Chart:
    series = [Series(ODD, [1, 2, 3], [1.0, None, 1e-3])]
    return Chart(name, ODD, "epoch", "loss", series, "a line", **more)  # type: ignore[arg-type]


def colours(path: Path) -> set[str]:
    """Return which of red, green and blue stand out somewhere in an image."""
    pixels = cv2.imread(str(path)).astype(int)
    others = [np.maximum(pixels[..., (channel + 1) % 3], pixels[..., (channel + 2) % 3]) for channel in range(3)]
    names = ("blue", "green", "red")
    return {name for channel, name in enumerate(names) if (pixels[..., channel] - others[channel] > 60).any()}


@pytest.mark.parametrize(
    "piece",
    [
        line(markers=[Marker(2, f"best {ODD}")], log_y=True),
        Chart("empty", "Empty", "x", "y", [Series("a", [], [])], "nothing", log_y=True),
        Chart("bars", "Bars", "class", "n", [Series("a", [0], [3]), Series("b", [0], [2])], "b", "bars", labels=[ODD]),
        Chart("points", "P", "x", "y", [Series("a", [3, 1], [1, 2]), Series("b", [1], [1])], "p", draw="points"),
        Matrix("matrix", "M", [ODD, "b"], [ODD], [[1.0], [None]], "truth", "found"),
        Matrix("none", "M", [], [], [], "truth", "found"),
        Gallery("gallery", "G", [Thumbnail(a_jpeg(), "red", ODD), Thumbnail(b"broken", "", "")]),
        Gallery("no-image", "G", [], empty="No mistakes."),
    ],
    ids=lambda piece: piece.name,
)
def test_every_piece_is_drawn(piece: Chart | Matrix | Gallery, tmp_path: Path) -> None:
    draw_piece(piece, tmp_path / "a.png")
    assert (cv2.imread(str(tmp_path / "a.png")) < 200).sum() > 100
    if piece.name == "gallery":
        assert "red" in colours(tmp_path / "a.png")


def test_of_many_series_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    many = [Series(f"class {number}", [0, 1], [number, 0]) for number in range(80)]
    draw_piece(Chart("pr", "PR", "recall", "precision", many, "curves"), tmp_path / "a.svg")
    draw_piece(Chart("pr", "PR", "recall", "precision", many[:MAX_LEGEND], "curves"), tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_text().count("class ") < 80 // 2
    assert "74 more" in (tmp_path / "a.svg").read_text() and "more" not in (tmp_path / "b.svg").read_text()


def sections() -> Sequence[Section]:
    return [Section("a", "A", [line("one"), Note("text"), line("two")])]


def test_figures_are_files_of_their_names_and_none_begins_after_its_time(tmp_path: Path) -> None:
    assert draw_sections(sections(), tmp_path / "plots", kinds=(".png", ".svg")) == []
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["one.png", "one.svg", "two.png", "two.svg"]
    assert draw_sections(sections(), tmp_path / "late", seconds=0) == ["one", "two"]
    assert draw_sections(sections(), tmp_path / "late", kinds=()) == [] and not (tmp_path / "late").exists()


@pytest.mark.parametrize("name", ["../one", "a/b", "", ".hidden", "A b"])
def test_a_figure_cannot_be_written_elsewhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a name of a figure"):
        draw_sections([Section("a", "A", [line(name)])], tmp_path / "plots")
