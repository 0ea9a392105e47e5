"""Boxes on photographs: where they belong, dashed or solid, with a name that the font has."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from lehr.data.images.jpeg import encode_jpeg
from lehr.detections import Detections
from lehr.detections.annotate import annotate
from lehr.drawing.boxes import DrawnBox, class_colour, draw_boxes, drawable
from lehr.drawing.contact_sheet import CELL, MARGIN, contact_sheet

RED = (255, 0, 0)


def drawn(*boxes: DrawnBox, side: int = 200) -> np.ndarray:
    canvas = np.zeros((side, side, 3), np.uint8)
    draw_boxes(canvas, boxes)
    return canvas


def test_a_solid_box_covers_its_outline_and_a_dashed_one_part_of_each_side() -> None:
    solid = drawn(DrawnBox((20, 40, 120, 160), "", RED)).any(2)
    dashed = drawn(DrawnBox((20, 40, 120, 160), "", RED, dashed=True)).any(2)
    ys, xs = np.nonzero(solid)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (20, 40, 120, 160)
    for side in (np.s_[40, 20:121], np.s_[160, 20:121], np.s_[40:161, 20], np.s_[40:161, 120]):
        assert solid[side].all() and 0.4 < dashed[side].mean() < 0.9
    assert not (dashed & ~solid).any()


def test_a_name_can_be_read_on_its_ground() -> None:
    dark, bright = np.zeros((200, 200, 3), np.uint8), np.full((200, 200, 3), 255, np.uint8)
    draw_boxes(dark, [DrawnBox((20, 40, 120, 160), "III", (20, 20, 120))], 1)
    draw_boxes(bright, [DrawnBox((20, 40, 120, 160), "III", (250, 250, 120))], 1)
    assert dark.mean(2).max() > 180 and bright.mean(2).min() < 80


@pytest.mark.parametrize("box", [(-50, -1e30, 1e30, 500), (float("nan"), 0, float("inf"), 10), (150, 150, 20, 20)])
@pytest.mark.parametrize("dashed", [False, True])
def test_boxes_that_no_image_holds_are_drawn_along_its_edge(box: tuple[float, ...], dashed: bool) -> None:
    assert drawn(DrawnBox(box, "name", RED, dashed)).any()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat", "cat"),
        ("Bärtierchen", "Bartierchen"),
        ("кошка", "class 7"),
        ("猫", "class 7"),
        ("a\x1bb", "class 7"),
        ("x" * 500, "x" * 29 + "..."),
    ],
)
def test_a_name_is_drawn_with_letters_that_the_font_has(name: str, shown: str) -> None:
    assert drawable(name, 7) == shown


def test_noise_fits_into_the_bytes_it_is_given() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    for limit in (60_000, 20_000, 3_000):
        data = encode_jpeg(noise, limit)
        assert limit / 3 < len(data) <= limit
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_jpeg_keeps_the_colours() -> None:
    red = np.full((32, 32, 3), RED, np.uint8)
    blue, green, red_again = cv2.imdecode(np.frombuffer(encode_jpeg(red, 5000), np.uint8), cv2.IMREAD_COLOR)[16, 16]
    assert red_again > 240 and green < 15 and blue < 15


def test_a_sheet_shows_every_image_with_its_own_boxes() -> None:
    side = 2 * CELL
    images = np.zeros((5, 3, side, side), np.uint8)
    images[:, 2] = np.arange(5)[:, None, None] * 20  # blue says which image it is
    boxes = np.zeros((5, 2, 4), np.float32)
    classes = np.full((5, 2), -1)
    boxes[4, 0], classes[4, 0] = (100, 200, 300, 400), 1
    sheet = contact_sheet(images, boxes, classes, ("a", "b"))
    step = CELL + MARGIN
    assert sheet.shape == (2 * step + MARGIN, 3 * step + MARGIN, 3)
    for number in range(5):
        row, column = divmod(number, 3)
        cell = sheet[row * step + MARGIN :, column * step + MARGIN :][:CELL, :CELL]
        assert cell[5, 5].tolist() == [0, 0, number * 20]
        ys, xs = np.nonzero((cell == class_colour(1)).all(2))
        if number == 4:  # at half the size, and its name above it
            assert (xs.min(), xs.max(), ys.max()) == (50, 150, 200) and 85 <= ys.min() < 100
        else:
            assert not len(xs)


def test_an_image_full_of_objects_names_the_largest_of_each_class() -> None:
    boxes = np.zeros((1, 40, 4), np.float32)
    boxes[0, :, :2], boxes[0, :, 2:] = 60, 100
    boxes[0, 7] = (20, 30, 200, 250)
    few, many = boxes[:, 7:8], boxes[:, [7] + [8] * 39]
    black = np.zeros((1, 3, CELL, CELL), np.uint8)
    first = contact_sheet(black, few, np.zeros((1, 1), np.int64), ("cell",))
    full = contact_sheet(black, many, np.zeros((1, 40), np.int64), ("cell",))
    above = np.s_[MARGIN : MARGIN + 30, MARGIN + 20 : MARGIN + 100]
    assert first[above].any() and (first[above] == full[above]).all()
    assert not full[MARGIN + 40 : MARGIN + 59, MARGIN + 60 : MARGIN + 100].any()  # no name above the small ones


def test_a_followed_object_has_its_number_and_the_colour_of_its_track(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[DrawnBox] = []
    monkeypatch.setattr("lehr.detections.annotate.draw_boxes", lambda canvas, boxes: drawn.extend(boxes))
    found = Detections(
        "a", 40, 30, np.zeros((2, 4), np.float32), np.array([0.9, 0.5], np.float32), np.zeros(2, np.int64), ("cat",)
    )
    image = np.zeros((30, 40, 3), np.uint8)
    annotate(image, dataclasses.replace(found, track_ids=np.array([7, -1])))
    assert [(each.label, each.colour) for each in drawn] == [
        ("cat 0.50", class_colour(0)),
        ("#7 cat 0.90", class_colour(7)),
    ]
