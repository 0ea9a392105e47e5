"""The section of mistakes: its table, its choice of images, and what is drawn on them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pytest
from tests.analysis.cases import random_record

from lehr.analysis.mistakes import KINDS, Kind, Mistakes, classify
from lehr.analysis.record import DetectionRecord
from lehr.report.mistake_images import APART, GAP, GREY, HEAD, MAX_BYTES, PANEL, RIGHT, WRONG, PanelBox, side_by_side
from lehr.report.pieces import Gallery, Matrix, Note, Section, Table
from lehr.report.sections.mistakes import MAX_IMAGES, mistakes_section, panel_boxes, worst_images
from lehr.sample import Sample

ODD = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def record() -> DetectionRecord:
    return random_record(3, 60, ignored=True)


@pytest.fixture(scope="module")
def mistakes(record: DetectionRecord) -> Mistakes:
    return classify(record, 0.3)


@pytest.fixture(scope="module")
def section(record: DetectionRecord, mistakes: Mistakes) -> Section:
    return mistakes_section(record, mistakes, {Kind.MISSED: 0.125, Kind.CLASS: 0.25, Kind.BACKGROUND: 0.0})


T = TypeVar("T")


def piece(section: Section, kind: type[T]) -> T:
    return next(piece for piece in section.pieces if isinstance(piece, kind))


def test_the_table_has_every_kind_with_its_count_and_what_mending_it_gives(
    section: Section, mistakes: Mistakes
) -> None:
    rows = {row[0].text: [cell.text for cell in row[2:]] for row in piece(section, Table).rows}
    assert list(rows) == [kind.value for kind in KINDS]
    counted = Counter(KINDS[number].value for number in mistakes.kinds)
    assert {kind: int(row[0]) for kind, row in rows.items()} == {kind: counted[kind] for kind in rows}
    assert (rows["class"][2], rows["missed"][2], rows["both"][2]) == ("+0.250", "+0.125", "-")
    assert (
        section.answers[1].startswith("Fixing all mistakes of the kind 'class'")
        and "+0.250 mAP50" in section.answers[1]
    )


def test_classes_are_counted_with_the_worst_first(
    section: Section, record: DetectionRecord, mistakes: Mistakes
) -> None:
    matrix = piece(section, Matrix)
    totals = [sum(row) for row in matrix.values]
    assert totals == sorted(totals, reverse=True) and sum(totals) == len(mistakes)
    for name, row in zip(matrix.rows, matrix.values, strict=True):
        own = [KINDS[k] for k, c in zip(mistakes.kinds, mistakes.classes, strict=True) if record.names[c] == name]
        assert row == [own.count(kind) for kind in KINDS]


def test_the_worst_images_come_first_and_each_kind_has_its_worst(mistakes: Mistakes) -> None:
    weights: Counter[int] = Counter()
    of_kind: dict[int, Counter[int]] = {kind: Counter() for kind in range(len(KINDS))}
    for index in range(len(mistakes)):
        mistake = mistakes[index]
        weight = 1.0 if mistake.score is None else mistake.score
        weights[mistake.image] += weight
        of_kind[int(mistakes.kinds[index])][mistake.image] += weight
    chosen = worst_images(mistakes, 12, 1)
    assert len(chosen) == 12 and [weights[image] for image in chosen] == sorted(
        (weights[i] for i in chosen), reverse=True
    )
    assert max(weights, key=weights.__getitem__) == chosen[0]
    for counted in of_kind.values():
        top = max(counted.values())
        assert any(counted[image] == pytest.approx(top) for image in chosen)
    assert worst_images(mistakes, 1000, 1) == sorted(weights, key=lambda image: (-weights[image], image))


def test_every_box_of_an_image_is_drawn_once_with_what_it_is(record: DetectionRecord, mistakes: Mistakes) -> None:
    drawn: Counter[str] = Counter()
    for image, sample in enumerate(record.samples):
        truth, detections = panel_boxes(record, mistakes, image, mistakes.of_image(image))
        assert len(truth) == len(sample.boxes) + len(sample.ignored.boxes)
        rows = np.flatnonzero((record.detections[:, 0] == image) & (record.detections[:, 5] >= 0.3))
        assert len(detections) == len(rows)
        assert [box.score for box in detections] == sorted(record.detections[rows, 5], reverse=True)
        drawn.update(box.mistake or ("apart" if box.apart else "right") for box in detections)
        drawn.update(f"truth {box.mistake or ('apart' if box.apart else 'right')}" for box in truth)
    counts = mistakes.counts()
    for kind in KINDS[:-1]:
        assert drawn[kind.value] == counts[kind] > 0
    assert drawn["truth missed"] == counts[Kind.MISSED] > 0
    assert drawn["right"] == drawn["truth right"] == len(mistakes.right) and drawn["apart"] == len(mistakes.ignored) > 0
    assert set(drawn) == {
        *(kind.value for kind in KINDS[:-1]), "right", "apart",
        *(f"truth {each}" for each in ("missed", "localisation", "class", "right", "apart")),
    }  # fmt: skip


def test_the_gallery_can_be_filtered_by_kind_and_class(
    section: Section, record: DetectionRecord, mistakes: Mistakes
) -> None:
    gallery = piece(section, Gallery)
    assert len(gallery.thumbnails) == MAX_IMAGES
    for image, thumbnail in zip(worst_images(mistakes), gallery.thumbnails, strict=True):
        found = mistakes.of_image(image)
        assert thumbnail.title == record.samples[image].path.name
        assert {tag for tag in thumbnail.tags if tag.startswith("kind")} == {f"kind: {each.kind}" for each in found}
        assert {f"class: {record.names[each.class_id]}" for each in found} <= set(thumbnail.tags)
        assert len(thumbnail.jpeg) <= MAX_BYTES and thumbnail.alt.startswith("Truth and detections of")


def test_missing_photographs_are_said_and_their_boxes_drawn_all_the_same(section: Section) -> None:
    assert "40 of 40 photographs could not be read" in piece(section, Note).text
    assert all("photograph missing" in each.text for each in piece(section, Gallery).thumbnails)


def test_a_detector_without_mistakes_has_a_section(record: DetectionRecord) -> None:
    right = np.concatenate(
        [
            np.column_stack((np.full(len(s.boxes), i), s.boxes, np.ones(len(s.boxes)), s.classes))
            for i, s in enumerate(record.samples)
        ]
    )
    clean = DetectionRecord(record.names, tuple(replace(s, difficult=None) for s in record.samples), right)
    section = mistakes_section(clean, classify(clean, 0.5))
    gallery = piece(section, Gallery)
    assert not gallery.thumbnails and gallery.empty == "No mistake at confidence 0.50 and above."
    assert "0 false positives and 0 missed objects" in section.answers[0] and len(section.pieces) == 2


def test_without_any_detection_all_objects_are_missed(record: DetectionRecord) -> None:
    none = DetectionRecord(record.names, record.samples, np.zeros((0, 7)))
    section = mistakes_section(none, classify(none, 0.5))
    assert {tag for each in piece(section, Gallery).thumbnails for tag in each.tags if "kind" in tag} == {
        "kind: missed"
    }


def test_names_of_files_and_classes_stay_on_their_line() -> None:
    sample = Sample(
        Path("<script>alert(1)<&script>\n\x1b[31m.jpg"), 64, 64, np.array([[1, 1, 30, 30]], np.float32), np.array([0])
    )
    record = DetectionRecord((f"{ODD}\n",), (sample,), np.zeros((0, 7)))
    (thumbnail,) = piece(mistakes_section(record, classify(record, 0.5)), Gallery).thumbnails
    assert thumbnail.title == r"<script>alert(1)<&script>\n\x1b[31m.jpg" and thumbnail.tags == [
        "kind: missed",
        rf"class: {ODD}\n",
    ]


def photograph(path: Path, width: int, height: int) -> Sample:
    rng = np.random.default_rng(0)
    cv2.imwrite(str(path), rng.integers(0, 40, (height, width, 3), np.uint8))
    return Sample(path, width, height, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def pixels(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def near(image: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    return np.abs(image - colour).sum(2) < 120


def test_truth_is_left_and_detections_are_right(tmp_path: Path) -> None:
    sample = photograph(tmp_path / "a.png", 840, 420)
    jpeg, trouble = side_by_side(
        sample,
        [PanelBox((100, 100, 300, 300), 0), PanelBox((500, 100, 700, 300), 0, "missed")],
        [PanelBox((110, 100, 310, 300), 0, "", 0.9), PanelBox((20, 20, 60, 400), 0, "", 0.5, apart=True)],
        ("a",),
    )
    assert trouble == "" and len(jpeg) <= MAX_BYTES
    image = pixels(jpeg)
    assert image.shape == (210 + HEAD, 2 * PANEL + GAP, 3)
    truth, detections = image[HEAD:, :PANEL], image[HEAD:, PANEL + GAP :]
    assert near(truth, RIGHT)[120:145, 48:52].any(1).all() and not near(truth, RIGHT)[:, 160:].any()
    dashes = near(truth, WRONG)[60:145, 348:353].any(1)  # the right side of what was missed
    assert 0.3 < dashes.mean() < 0.95 and not near(detections, WRONG).any()
    assert near(detections, RIGHT)[120:145, 53:57].any(1).all() and near(detections, APART)[60:190, 8:12].any(1).all()


@pytest.mark.parametrize("what", ["missing", "other", "text"])
def test_a_photograph_that_is_gone_or_another_leaves_grey(tmp_path: Path, what: str) -> None:
    sample = photograph(tmp_path / "a.png", 300, 200)
    if what == "missing":
        sample.path.unlink()
    elif what == "other":
        photograph(sample.path, 200, 300)
    else:
        sample.path.write_text("no image")
    jpeg, trouble = side_by_side(sample, [], [], ("a",))
    assert str(sample.path) in trouble
    assert (np.abs(pixels(jpeg)[HEAD + 2 :, : PANEL - 2] - GREY) < 6).all()


def test_a_photograph_of_noise_fits_too(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8))
    sample = Sample(path, 900, 900, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert len(side_by_side(sample, [], [], ("a",))[0]) <= MAX_BYTES


def test_of_very_many_false_positives_the_best_are_drawn() -> None:
    sample = Sample(Path("a.jpg"), 64, 64, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    scores = np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, 300))
    rows = np.column_stack((np.zeros(300), np.tile((1, 1, 9, 9), (300, 1)), scores, np.zeros(300)))
    record = DetectionRecord(("a",), (sample,), rows)
    mistakes = classify(record, 0.05)
    _, detections = panel_boxes(record, mistakes, 0, mistakes.of_image(0))
    assert [box.score for box in detections] == sorted(scores, reverse=True)[:40]
    section = mistakes_section(record, mistakes)
    (thumbnail,) = piece(section, Gallery).thumbnails
    assert thumbnail.text == "300 background; the 40 best false positives are drawn; photograph missing"
    assert piece(section, Matrix).texts == [["0", "0", "0", "0", "300", "0"]]
