"""JSON, JSON lines, CSV, COCO results, labels and crops: complete or not there, and harmless whatever is in names."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from tests.prediction.outputs.results import BOXES, NAMES, SCORES, broken, clip, found, frame_of, image

from lehr.detections import Detections
from lehr.errors import InputError
from lehr.prediction.frames import Frame, Output
from lehr.prediction.outputs.annotated_images import AnnotatedImages
from lehr.prediction.outputs.coco_results import CocoResults, read_coco_ids
from lehr.prediction.outputs.crops import Crops
from lehr.prediction.outputs.json_file import JsonFile, JsonLines
from lehr.prediction.outputs.source_names import SourceNames, file_stem, plain_name
from lehr.prediction.outputs.table import COLUMNS, Table
from lehr.prediction.outputs.yolo_labels import YoloLabels
from lehr.runtime.plain_text import as_json


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def give(output: Output, *frames: Frame, **options: object) -> None:
    for frame in frames:
        output.write(frame, found(frame, **options))  # type: ignore[arg-type]
    output.close()


def test_json_is_there_at_the_end_as_the_list_of_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "o.json"
    path.write_text("[]")
    output, frames = JsonFile(path), [image("a.png"), broken("b.png"), frame_of(clip(), 7)]
    for frame in frames:
        output.write(frame, found(frame))
        assert path.read_text() == "[]"
    output.close()
    read = [found(frame).as_dict() for frame in frames if frame.pixels is not None]
    assert path.read_text() == as_json(read, indent=1) + "\n"
    assert (read[1]["frame"], read[1]["time"]) == (7, 0.28) and listed(tmp_path) == ["o.json"]


@pytest.mark.parametrize("make", [JsonFile, Table, CocoResults])
def test_without_any_image_nothing_is_written(tmp_path: Path, make: type) -> None:
    give(make(tmp_path / "o"), broken("a.png"))
    assert listed(tmp_path) == []


@pytest.mark.parametrize("make", [JsonFile, Table, CocoResults])
def test_a_full_disk_leaves_the_file_that_was_there(
    tmp_path: Path, make: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "o"
    path.write_text("earlier")
    output = make(path)
    output.write(image("a.png"), found(image("a.png")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output._file._file, "write", lambda text: os.write(99999, b""))
        with pytest.raises(InputError):
            output.write(image("b.png"), found(image("b.png")))
    output.close()
    assert path.read_text() == "earlier" and listed(tmp_path) == ["o"]


def test_json_lines_are_whole_after_each_image(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text('{"an earlier": 1}\n')
    output = JsonLines(path)
    for count, frame in enumerate([image("a\n.png"), broken("b.png"), frame_of(clip(), 3)], 1):
        output.write(frame, found(frame))
        lines = path.read_text().splitlines()
        assert len(lines) == count and json.loads(lines[-1]) == found(frame).as_dict()
    assert json.loads(lines[1])["fault"] == "cannot be decoded"
    output.close()
    with pytest.raises(InputError, match=r"--jsonl .*nowhere.*cannot be written"):
        JsonLines(tmp_path / "nowhere" / "o.jsonl")


def test_a_table_has_a_row_an_object_and_no_formula(tmp_path: Path) -> None:
    give(Table(tmp_path / "o.csv"), image("=cmd.png"), broken("b.png"), image("c,.png"), tracks=[4, -1, 5])
    with (tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 7
    assert rows[1] == ["'=cmd.png", "", "", "0", "cat", "0.875", "10.0", "5.0", "30.0", "25.0", "4"]
    assert rows[3][4] == "'=1+1" and rows[2][-1] == "" and rows[4][0] == "c,.png"


def test_a_table_says_where_in_a_video_an_object_is(tmp_path: Path) -> None:
    give(Table(tmp_path / "o.csv"), frame_of(clip(), 30), image("a.png"), count=1)
    lines = (tmp_path / "o.csv").read_text().splitlines()
    assert lines[1].startswith("v.mp4,30,1.2,0,") and lines[2].startswith("a.png,,,0,")


def test_yolo_labels_are_shares_of_the_image_and_empty_without_objects(tmp_path: Path) -> None:
    names = SourceNames()
    output = YoloLabels(tmp_path / "labels", names)
    video = clip()
    frames = [image("x/a.png"), image("y/a.jpg", 640, 480), frame_of(video, 12), broken("b.png")]
    for frame, count in zip(frames, (2, 0, 1, 0), strict=True):
        output.write(frame, found(frame, count))
    output.close()
    assert listed(tmp_path / "labels") == ["a-2.txt", "a.txt", "v_000012.txt"]
    lines = (tmp_path / "labels" / "a.txt").read_text().splitlines()
    assert lines == ["0 0.312500 0.312500 0.312500 0.416667", "1 0.500000 0.500000 1.000000 1.000000"]
    assert (tmp_path / "labels" / "a-2.txt").read_text() == ""


def test_labels_have_scores_and_tracks_where_they_are_asked_for(tmp_path: Path) -> None:
    give(YoloLabels(tmp_path / "labels", SourceNames(), scores=True), image("a.png"), count=2, tracks=[7, -1])
    lines = [line.split() for line in (tmp_path / "labels" / "a.txt").read_text().splitlines()]
    assert [line[5:] for line in lines] == [["0.875000", "7"], ["0.500000"]]


def test_crops_are_the_pixels_of_their_boxes_and_stay_within_their_folder(tmp_path: Path) -> None:
    frame = image("a.png")
    assert frame.pixels is not None
    frame.pixels[5:25, 10:30] = 200
    give(Crops(tmp_path / "in" / "crops", SourceNames()), frame, frame_of(clip(), 2), tracks=[3, -1, -1])
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg"))
    assert files == sorted(
        f"in/crops/{folder}/{name}.jpg"
        for folder, number in (("cat", "1-track3"), ("_x", "2"), ("=1+1", "3"))
        for name in (f"a-{number}", f"v_000002-{number}")
    )
    crop = cv2.imread(str(tmp_path / "in/crops/cat/a-1-track3.jpg"))
    assert crop.shape == (20, 20, 3) and abs(int(crop.min()) - 200) < 4
    assert cv2.imread(str(tmp_path / "in/crops/=1+1/a-3.jpg")).shape == (8, 4, 3)  # of every pixel that it touches


def test_classes_whose_names_differ_in_case_alone_have_folders_of_their_own(tmp_path: Path) -> None:
    boxes, scores = np.array(BOXES, np.float32), np.array(SCORES, np.float32)
    frame = image("a.png")
    output = Crops(tmp_path, SourceNames())
    output.write(frame, Detections("a.png", 64, 48, boxes, scores, np.arange(3), ("Dog", "dog", "..")))
    assert listed(tmp_path) == ["Dog", "class-2", "dog-1"]


def test_coco_results_without_a_ground_truth_count_images_and_classes_from_one(tmp_path: Path) -> None:
    give(CocoResults(tmp_path / "o.json"), image("a.png"), broken("b.png"), frame_of(clip(), 5), count=1)
    first, second = json.loads((tmp_path / "o.json").read_text())
    assert first == {
        "image_id": 1, "category_id": 1, "bbox": [10, 5, 20, 20], "score": 0.875, "file_name": "a.png"
    }  # fmt: skip
    assert (second["image_id"], second["file_name"], second["frame"]) == (2, "v.mp4", 5)


def test_coco_results_have_the_ids_of_the_ground_truth(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = {
        "images": [
            {"id": 70, "file_name": "val/a.png", "width": 64, "height": 48},
            {"id": 71, "file_name": "train/a.png", "width": 64, "height": 48},
            {"id": 72, "file_name": "val/b.png", "width": 64, "height": 48},
        ],
        "categories": [{"id": 9, "name": "cat"}, {"id": 4, "name": "=1+1"}],
        "annotations": [
            {"id": 1, "image_id": 70, "category_id": 9, "bbox": [10, 5, 20, 20], "area": 400, "iscrowd": 0}
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    output = CocoResults(tmp_path / "o.json", read_coco_ids(tmp_path / "truth.json"))
    give(output, image("/data/val/a.png"), image("elsewhere/b.png"), image("none.png"))
    results = json.loads((tmp_path / "o.json").read_text())
    assert [(each["image_id"], each["category_id"]) for each in results] == [(70, 9), (70, 4), (72, 9), (72, 4)]
    loaded = COCO(str(tmp_path / "truth.json")).loadRes(str(tmp_path / "o.json"))
    assert len(loaded.getAnnIds()) == 4
    assert "has no image of the name of 1 that were predicted, e.g. none.png" in caplog.text
    assert "has no category ../x" in caplog.text


def test_annotated_images_keep_their_kind_and_each_has_its_own_name(tmp_path: Path) -> None:
    frames = [image("x/a.png"), image("y/a.png"), image("A.webp"), image("b.JPG"), broken("c.png"), frame_of(clip(), 0)]
    give(AnnotatedImages(tmp_path, SourceNames()), *frames)
    assert listed(tmp_path) == ["A-3.jpg", "a-2.png", "a.png", "b.JPG"]
    drawn = cv2.imread(str(tmp_path / "a.png"))
    assert drawn.shape == (48, 64, 3) and (drawn != 90).any() and (frames[0].pixels == 90).all()


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("shots/photo.jpg", "photo"),
        ("_a.b.png", "_a.b"),
        ("https://example.com/a/bus%2Fred.jpg?size=1#x", "red"),
        ("rtsp://user@10.0.0.7:554/", "10.0.0.7"),
        ("0", "camera-0"),
        ("image 3", "image 3"),
        ("a\x1b[2J\n.png", "a_[2J_"),
        ("...", "image"),
        ("x" * 300 + ".png", "x" * 180),
    ],
)
def test_files_are_called_after_their_source(source: str, stem: str) -> None:
    assert file_stem(source) == stem


@pytest.mark.parametrize("name", ["..", "", "/", "\\", "../../etc", "\x00", " . ", "a/../../b", "\udcff/.."])
def test_no_name_leads_out_of_its_folder(name: str, tmp_path: Path) -> None:
    plain = plain_name(name, "class-0")
    assert (tmp_path / plain).parent == tmp_path and plain not in ("", ".", "..") and "/" not in plain
    (tmp_path / plain).mkdir()


def test_a_source_has_one_name_for_all_outputs() -> None:
    names, one, other, video = SourceNames(), image("a.png"), image("a.jpg"), clip("a.mp4")
    assert [names.of(each) for each in (one, one, other, other)] == ["a", "a", "a-2", "a-2"]
    assert [names.of_each(frame_of(video, i)) for i in (0, 1)] == ["a-3_000000", "a-3_000001"]
    assert NAMES[1] == "../x"
