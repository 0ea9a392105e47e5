"""Label files in forms that people have are read right and said aloud, or refused with the cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.commands import lehr
from tests.field.conftest import COLOURS, MakeCase, Painted, paint_of

from lehr.data.check import refuse_unusable
from lehr.errors import InputError
from lehr.sample import Fault, Severity

NAMES = ("cat", "traffic light", "dog", "type 1")
Box = tuple[int, NDArray[np.float64], tuple[int, int]]
"""Class, xyxy in pixels, width and height of the image."""
Line = Callable[[Box], str]


def make_set(
    root: Path, line: Line, images: int = 16, *, extra: str = "", head: str = "", codec: str = "utf-8"
) -> Path:
    """Paint a data set of two objects an image, with a line of labels each."""
    rng = np.random.default_rng(1)
    for index in range(images):
        split = "val" if index % 4 == 3 else "train"
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True, exist_ok=True)
        width, height = int(rng.integers(140, 200)), int(rng.integers(110, 160))
        image = np.full((height, width, 3), 90, np.uint8)
        lines = []
        for half in range(2):  # one object in the left half of the image, one in the right
            size = rng.integers((24, 24), (width // 2 - 4, height - 4))
            first = rng.integers((0, 0), (width // 2 - size[0], height - size[1]))
            first[0] += half * width // 2
            box = np.array([*first, *(first + size)], float)
            class_id = int(rng.integers(len(NAMES)))
            left, top, right, bottom = box.astype(int)
            image[top:bottom, left:right] = COLOURS[class_id][::-1]
            lines.append(line((class_id, box, (width, height))))
        assert cv2.imwrite(str(root / "images" / split / f"{index}.png"), image)
        text = head + "\n".join(lines) + "\n"
        (root / "labels" / split / f"{index}.txt").write_bytes(text.encode(codec))
    names = "[" + ", ".join(NAMES) + "]"
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {names}\n{extra}")
    return root / "data.yaml"


def shares(box: Box) -> list[float]:
    _, (x1, y1, x2, y2), (width, height) = box
    return [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]


def join(numbers: Sequence[float], separator: str = " ") -> str:
    return separator.join(f"{number:.6f}" for number in numbers)


def plain(box: Box) -> str:
    return f"{box[0]} {join(shares(box))}"


def named(box: Box) -> str:
    return f"{NAMES[box[0]]} {join(shares(box))}"


def in_pixels(box: Box) -> str:
    x1, y1, x2, y2 = box[1]
    return f"{box[0]} {(x1 + x2) / 2:g} {(y1 + y2) / 2:g} {x2 - x1:g} {y2 - y1:g}"


def corners(box: Box) -> list[float]:
    x1, y1, x2, y2 = box[1] / np.tile(box[2], 2)
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def keypoints(box: Box, count: int, numbers: int) -> str:
    x, y, w, h = shares(box)
    points = [(x + w * (0.4 - 0.37 * i % 0.8), y - h * (0.4 - 0.23 * i % 0.8), 1 + i % 2) for i in range(count)]
    return f"{plain(box)} " + " ".join(join(point[:2]) + (f" {point[2]}" if numbers == 3 else "") for point in points)


def dota(box: Box) -> str:
    x1, y1, x2, y2 = box[1]
    return (
        f"{x1:.1f} {y1:.1f} {x2:.1f} {y1:.1f} {x2:.1f} {y2:.1f} {x1:.1f} {y2:.1f} {NAMES[box[0]].replace(' ', '-')} 0"
    )


def turned(box: Box) -> list[float]:
    """Corners of the diamond whose bounding box is the box."""
    x, y, w, h = shares(box)
    return [x, y - h / 2, x + w / 2, y, x, y + h / 2, x - w / 2, y]


def kinds(faults: Sequence[Fault]) -> dict[str, int]:
    return {kind: sum(fault.kind == kind for fault in faults) for kind in {fault.kind for fault in faults}}


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        (plain, None, ""),
        (lambda box: f"{box[0]}.0 {join(shares(box))}", None, ""),
        (lambda box: f"{box[0]} " + " ".join(f"{v:.6e}" for v in shares(box)), None, ""),
        (lambda box: f"{box[0]},{join(shares(box), ',')}", "label-writing", "32 lines in 16 files have commas"),
        (lambda box: plain(box).replace(".", ","), "label-writing", "decimal commas"),
        (lambda box: plain(box).replace(".", ",").replace(" ", ";"), "label-writing", "semicolons"),
        (lambda box: f"{plain(box)}  # {NAMES[box[0]]}", "label-writing", "comments"),
        (lambda box: f"{plain(box)} 0.93", "extra-column", "32 lines in 16 files have a sixth number"),
        (lambda box: f"{plain(box)} 1", "extra-column", "confidence"),
        (lambda box: f"{plain(box)} {int(box[1][0]) + 2}", "extra-column", "track"),
        (lambda box: f"{plain(box)} 0.87 {int(box[1][0]) + 2}", "extra-column", "track"),
        (lambda box: f"{plain(box)} {int(box[1][0]) + 2} 0.87", "extra-column", "track"),
        (named, "class-names", "32 lines in 16 files begin with the name of a class"),
        (lambda box: f"{NAMES[box[0]]},{join(shares(box), ',')}", "class-names", "class"),
        (lambda box: f'"{NAMES[box[0]]}" {join(shares(box))}', "class-names", "class"),
        (lambda box: f"{NAMES[box[0]].upper().replace(' ', '_')} {join(shares(box))}", "class-names", "class"),
        (lambda box: f"{plain(box)} {NAMES[box[0]]}", "class-names", "class"),
        (lambda box: f"{NAMES[box[0]]} {join(shares(box))} 0.8", "extra-column", "confidence"),
        (in_pixels, "box-form", "pixels instead of shares"),
        (lambda box: f"{box[0]} {' '.join(f'{v:g}' for v in box[1])}", "box-form", "corners in pixels"),
        (
            lambda box: f"{box[0]} {join([*box[1][:2], *(box[1][2:] - box[1][:2])])}",
            "box-form",
            "top left corner, width and height in pixels",
        ),
        (lambda box: f"{NAMES[box[0]]} {' '.join(f'{v:g}' for v in box[1])}", "box-form", "corners in pixels"),
        (lambda box: f"{in_pixels(box)} 0.5", "box-form", "pixels"),
        (lambda box: f"{box[0]} {join(box[1] / np.tile(box[2], 2))}", "box-form", "corners (x1 y1 x2 y2)"),
        (lambda box: keypoints(box, 4, 3), "keypoints", "32 lines in 16 files are of a pose data set"),
        (lambda box: keypoints(box, 2, 3), "keypoints", "pose"),
        (lambda box: keypoints(box, 1, 3), "keypoints", "pose"),
        (lambda box: keypoints(box, 17, 3), "keypoints", "pose"),
        (lambda box: keypoints(box, 5, 2), "keypoints", "pose"),
        (lambda box: keypoints(box, 2, 2), "keypoints", "pose"),
        (lambda box: keypoints(box, 1, 2), "keypoints", "pose"),
        (lambda box: f"{box[0]} {join(corners(box))}", "polygon", "four corners"),
        (lambda box: f"{box[0]} {join([*corners(box), *corners(box)[:2]])}", "polygon", "polygons"),
        (lambda box: f"{box[0]} {join(corners(box))} 0.9", "extra-column", "confidence"),
        (lambda box: f"{box[0]} {join(np.array(corners(box)) * np.tile(box[2], 4))}", "box-form", "polygons in pixels"),
        (dota, "polygon", "DOTA"),
    ],
)
def test_a_form_of_label_lines_is_read_right_and_said_once(
    tmp_path: Path, line: Line, kind: str | None, words: str
) -> None:
    read = paint_of(make_set(tmp_path, line))
    assert read.misaligned == [] and read.count == 32
    refuse_unusable(read.dataset)
    assert all(fault.severity is not Severity.ERROR for fault in read.dataset.faults)
    assert max(kinds(read.dataset.faults).values(), default=1) <= 2  # a note a form, never one a file
    if kind is None:
        assert not read.dataset.faults
    else:
        assert any(fault.kind == kind and words in fault.message for fault in read.dataset.faults)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (lambda box: f"text {join(shares(box))}", ["0.txt:1", "'text' is not a number", "cat, traffic light", "name"]),
        (lambda box: f"0.9 {box[0]} {join(shares(box))}", ["the first could be a confidence"]),
        (lambda box: f"{box[0]} 0.9 {join(shares(box))}", ["begin at the third"]),
        (lambda box: f"{int(box[1][0])} {box[0]} {join(shares(box))}", ["begin at the third"]),
        (lambda box: f"{join(shares(box))} {box[0]}", ["the class seems to come last"]),
        (lambda box: f"{join(shares(box))} {NAMES[box[0]]}", ["the class comes last"]),
        (lambda box: join(shares(box)), ["must begin with the class"]),
        (lambda box: f"{box[0]} {join([100 * v for v in shares(box)])}", ["percentages", "Divide by 100"]),
        (lambda box: f"{plain(box)} -0.7", ["six numbers"]),
        (lambda box: f"{plain(box)} 37.5", ["angle"]),
        (lambda box: f"{box[0] + 1} {join(shares(box))}", ["out of range", "count from 1", "subtract 1"]),
        (lambda box: f"-1 {join(shares(box))}", ["class -1 is out of range"]),
        (lambda box: f"0.5 {join(shares(box))}", ["do not begin with a class id"]),
        (lambda box: plain(box).replace(".", ",").replace(" ", ","), ["decimal commas"]),
        (lambda box: f"{box[0]} {join(3 * box[1])}", ["do not fit the images as pixels"]),
        (lambda box: f"{NAMES[box[0]]} 0.00 0 -1.58 {join(box[1])} 1.6 1.7 3.6 -0.6 1.7 46.7 -1.5", ["KITTI"]),
    ],
)
def test_a_form_that_is_doubtful_is_refused_with_the_cause(tmp_path: Path, line: Line, words: list[str]) -> None:
    read = paint_of(make_set(tmp_path, line))
    with pytest.raises(InputError) as caught:
        refuse_unusable(read.dataset)
    for word in words:
        assert word in str(caught.value)
    assert read.count == 0 or "count from 1" in words  # nothing is trained on beside what is refused


def test_few_boxes_in_pixels_are_refused_and_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pixels instead of shares.*divide x and width by the image's width"):
        refuse_unusable(paint_of(make_set(tmp_path, in_pixels, images=4)).dataset)


def test_a_file_in_pixels_among_others_in_shares_is_refused(tmp_path: Path) -> None:
    yaml = make_set(tmp_path, plain)
    (tmp_path / "labels" / "train" / "0.txt").write_text("0 70 60 40 30\n")
    with pytest.raises(InputError, match=r"0\.txt:1.*1 line in 1 file seem to hold pixels, while the others"):
        refuse_unusable(paint_of(yaml).dataset)


def test_polygons_of_many_lengths_are_no_keypoints(tmp_path: Path) -> None:
    def polygon(box: Box) -> str:
        points = turned(box)
        doubled = [*points, *points[:2]] if int(box[1][1]) % 2 else [*points[:2], *points]
        return f"{box[0]} {join(points if int(box[1][0]) % 2 else doubled)}"

    read = paint_of(make_set(tmp_path, polygon))
    assert kinds(read.dataset.faults) == {"polygon": 1}
    widths = [box[2] - box[0] for sample in read.dataset.splits["train"] for box in sample.boxes]
    assert len(widths) == 24 and min(widths) > 20  # bounding boxes of whole objects


def test_turned_boxes_become_their_bounding_boxes(tmp_path: Path) -> None:
    boxes: list[Box] = []

    def line(box: Box) -> str:
        boxes.append(box)
        return f"{box[0]} {join(turned(box))}"

    read = paint_of(make_set(tmp_path, line, images=4))
    found = np.concatenate([s.boxes for split in ("train", "val") for s in read.dataset.splits[split]])
    np.testing.assert_allclose(found, [box[1] for box in boxes], atol=1e-3)


@pytest.mark.parametrize("extra", ["kpt_shape: [2, 2]\n", "task: pose\n"])
def test_few_rows_that_could_be_keypoints_are_refused_until_the_yaml_says_so(tmp_path: Path, extra: str) -> None:
    yaml = make_set(tmp_path, lambda box: keypoints(box, 2, 2), images=4)
    for index in (0, 1):
        (tmp_path / "labels" / "train" / f"{index}.txt").write_text("")
    with pytest.raises(InputError, match="a polygon, or a box with keypoints"):
        refuse_unusable(paint_of(yaml).dataset)
    yaml.write_text(yaml.read_text() + extra)
    read = paint_of(yaml)
    assert read.count == 4 and kinds(read.dataset.faults)["keypoints"] == 1 and not read.dataset.errors


def test_keypoints_of_another_number_than_the_yaml_states_are_refused(tmp_path: Path) -> None:
    read = paint_of(make_set(tmp_path, lambda box: keypoints(box, 4, 3), extra="kpt_shape: [5, 3]\n"))
    with pytest.raises(InputError, match=r"must have 20 numbers \(kpt_shape"):
        refuse_unusable(read.dataset)
    assert read.count == 0


def test_one_broken_row_among_keypoints_is_no_polygon(tmp_path: Path) -> None:
    yaml = make_set(tmp_path, lambda box: keypoints(box, 5, 2))
    label = tmp_path / "labels" / "train" / "0.txt"
    label.write_text(label.read_text().replace("\n", " 0.5 0.5\n", 1))
    read = paint_of(yaml)
    assert read.count == 31 and not read.misaligned
    assert kinds(read.dataset.faults) == {"keypoints": 1, "malformed-line": 1}


def test_visibilities_show_a_pose_data_set_even_where_most_rows_are_broken(tmp_path: Path) -> None:
    yaml = make_set(tmp_path, lambda box: keypoints(box, 2, 3), images=4)
    for index in range(3):
        label = tmp_path / "labels" / "train" / f"{index}.txt"
        label.write_text("\n".join(row.rsplit(" ", index + 1)[0] for row in label.read_text().splitlines()))
    read = paint_of(yaml)
    assert read.count == 2 and not read.misaligned
    with pytest.raises(InputError, match="with keypoints it must have 11 numbers"):
        refuse_unusable(read.dataset)


@pytest.mark.parametrize("row", ["0 0.5 0.5 0.2 7000", "0 0.9 0.1 0.9 0.3 0.3 7000.5"])
def test_a_value_far_beyond_the_image_is_not_cut_at_its_edge(tmp_path: Path, row: str) -> None:
    yaml = make_set(tmp_path, plain)
    label = tmp_path / "labels" / "train" / "0.txt"
    label.write_text(row)
    dataset = paint_of(yaml).dataset
    assert len(dataset.splits["train"][0].boxes) == 0
    assert [(f.path, f.line) for f in dataset.errors if "far beyond the edge" in f.message] == [(label, 1)]


def test_two_lines_that_ran_together_are_no_polygon(tmp_path: Path) -> None:
    yaml = make_set(tmp_path, plain, images=24)
    label = tmp_path / "labels" / "train" / "0.txt"
    label.write_text(label.read_text().replace("\n", "", 1))  # 9 numbers
    (tmp_path / "labels" / "train" / "1.txt").write_text("0 0.5 0.5 0.2 0.2 0.5 0.5\n")
    read = paint_of(yaml)
    assert read.count == 44 and not read.misaligned
    assert kinds(read.dataset.faults) == {"malformed-line": 2}


@pytest.mark.parametrize(
    ("codec", "head", "kind"),
    [
        ("utf-8-sig", "", None),
        ("utf-16", "", "label-encoding"),
        ("utf-16-le", "", "label-encoding"),
        ("utf-32", "", "label-encoding"),
        ("gbk", "# 行人和汽车\n", "label-encoding"),
        ("shift_jis", "# いぬとねこ\n", "label-encoding"),
        ("latin-1", "# Größe\n", "label-encoding"),
        ("utf-8", "class x_center y_center width height\n", "label-header"),
        ("utf-8", "class_id,x,y,w,h\n", "label-header"),
    ],
)
def test_files_of_any_encoding_and_with_headers_are_read(
    tmp_path: Path, codec: str, head: str, kind: str | None
) -> None:
    read = paint_of(make_set(tmp_path, plain, images=4, codec=codec, head=head))
    assert read.count == 8 and not read.misaligned
    assert kind is None or kinds(read.dataset.faults)[kind] == 1
    assert not read.dataset.errors


@pytest.mark.parametrize("codec", ["gbk", "shift_jis", "big5", "utf-8"])
def test_names_in_older_encodings_are_found(tmp_path: Path, codec: str) -> None:
    yaml = make_set(tmp_path, lambda box: f"{'馬犬人車'[box[0]]} {join(shares(box))}", images=4, codec=codec)
    yaml.write_text("train: images/train\nval: images/val\nnames: [馬, 犬, 人, 車]\n", encoding="utf-8")
    read = paint_of(yaml)
    assert read.count == 8 and kinds(read.dataset.faults)["class-names"] == 1 and not read.dataset.errors


def test_rows_of_different_kinds_in_one_file_are_each_read(tmp_path: Path) -> None:
    def line(box: Box) -> str:
        return [plain(box), f"{plain(box)} 0.5", named(box), f"{box[0]},{join(shares(box), ',')}"][int(box[1][0]) % 4]

    read = paint_of(make_set(tmp_path, line))
    assert read.count == 32 and not read.misaligned and not read.dataset.errors
    assert kinds(read.dataset.faults) == {"extra-column": 1, "class-names": 1, "label-writing": 1}


def test_values_slightly_above_one_are_cut_at_the_edge(tmp_path: Path) -> None:
    yaml = make_set(tmp_path, plain)
    (tmp_path / "labels" / "train" / "0.txt").write_text("0 0.5 0.5 1.004 1.001\n")
    sample = paint_of(yaml).dataset.splits["train"][0]
    np.testing.assert_array_equal(sample.boxes, [[0, 0, sample.width, sample.height]])
    assert not paint_of(yaml).dataset.faults


def aligned(read: Painted) -> bool:
    return read.misaligned == [] and read.count == 6


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("L01-label-bom", []),
        ("L03-comma-separated", ["commas"]),
        ("L05-confidence-6th", ["confidence"]),
        ("L08b-pose-4x3", ["pose"]),
        ("L08c-pose-2x3", ["pose"]),
        ("L08f-pose-yaml", ["pose", "kpt_shape"]),
        ("L16-utf16", ["UTF-16"]),
    ],
)
def test_labels_from_the_field_are_read_aloud(case: MakeCase, name: str, words: list[str]) -> None:
    folder = case(name)
    assert aligned(paint_of(folder / "data.yaml"))
    done = lehr("data", "check", "data.yaml", cwd=folder)
    assert " 0 errors" in done.stdout
    for word in words:
        assert word in done.stdout


def test_a_single_keypoint_from_the_field_is_no_triangle(case: MakeCase) -> None:
    folder = case("L08e-pose-1x2")
    read = paint_of(folder / "data.yaml")
    assert read.count == 0 and not read.misaligned
    with pytest.raises(InputError, match="a box with keypoints"):
        refuse_unusable(read.dataset)
    yaml = folder / "data.yaml"
    yaml.write_text(yaml.read_text() + "\nkpt_shape: [1, 2]\n")
    assert aligned(paint_of(yaml))


def test_a_name_for_an_id_from_the_field_is_refused_with_its_line(case: MakeCase) -> None:
    folder = case("L06-name-for-id")
    done = lehr("data", "check", "data.yaml", cwd=folder, code=1)
    assert "a class name is given instead of its id" in done.stdout and "train0.txt:1" in done.stdout
    with pytest.raises(InputError, match=r"train0\.txt:1.*'text'"):
        refuse_unusable(paint_of(folder / "data.yaml").dataset)
