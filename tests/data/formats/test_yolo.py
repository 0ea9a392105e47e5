"""YOLO data sets are read as people have them, and what is wrong in them is told with file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.conftest import MakeYolo, draw_squares

from lehr.data.formats.yolo_labels import label_path
from lehr.data.load import load_dataset, require_split
from lehr.errors import InputError


def test_folders_and_names_are_read_with_boxes_in_pixels(make_yolo: MakeYolo) -> None:
    dataset = load_dataset(str(make_yolo()))
    assert dataset.names == ("small", "large") and not dataset.faults
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 6, "val": 4}
    first = dataset.splits["train"][0]
    assert (first.width, first.height) == (64, 64)
    np.testing.assert_allclose(first.boxes, [[4, 6, 20, 22]], atol=1e-4)
    np.testing.assert_array_equal(first.classes, [0])


def test_a_folder_that_holds_a_data_yaml_is_enough(make_yolo: MakeYolo) -> None:
    assert len(load_dataset(str(make_yolo().parent)).splits["train"]) == 6


def test_lists_of_folders_text_files_of_images_and_name_maps_are_read(make_yolo: MakeYolo) -> None:
    yaml = make_yolo()
    root = yaml.parent
    (root / "few.txt").write_text("./images/train/0.jpg\nimages/train/3.jpg\n\n")
    yaml.write_text(
        f"path: {root}\ntrain: [images/train, images/val]\nval: few.txt\nnc: 2\nnames: {{0: small, 1: large}}\n"
    )
    dataset = load_dataset(str(yaml))
    assert [len(dataset.splits[split]) for split in ("train", "val")] == [10, 2]
    assert dataset.names == ("small", "large")


def test_a_relative_path_is_taken_from_the_yaml_not_from_where_one_stands(
    make_yolo: MakeYolo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = make_yolo()
    (tmp_path / "configs").mkdir()
    moved = tmp_path / "configs" / "set.yaml"
    moved.write_text("path: ../data\n" + yaml.read_text())
    monkeypatch.chdir(tmp_path.parent)
    assert len(load_dataset(str(moved)).splits["val"]) == 4


def test_the_last_folder_images_becomes_labels() -> None:
    assert label_path(Path("/a/images/b/images/train/x.y.jpg")) == Path("/a/images/b/labels/train/x.y.txt")
    assert label_path(Path("/a/b/x.jpg")) == Path("/a/b/x.txt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("val:", "vla:"), ["data.yaml:2", "vla", "val"]),
        (lambda text: text + "nc: 3\n", ["data.yaml:4", "nc", "3", "2"]),
        (lambda text: text.replace("images/val", "images/nowhere"), ["data.yaml:2", "nowhere", "does not exist"]),
        (lambda text: "train: [\n", ["data.yaml", "YAML"]),
        (lambda text: text.replace("names", "#names"), ["data.yaml", "names"]),
        (lambda text: "names: [a]\n", ["train", "val"]),
        (lambda text: text.replace("[small, large]", "[small, small]"), ["small", "twice"]),
        (lambda text: text.replace("[small, large]", "{0: small, 2: large}"), ["count", "0"]),
        (lambda text: "just words", ["data.yaml", "must hold"]),
    ],
)
def test_a_wrong_data_yaml_is_told_with_its_line_and_the_remedy(
    make_yolo: MakeYolo, change: object, words: list[str]
) -> None:
    yaml = make_yolo()
    assert callable(change)
    yaml.write_text(change(yaml.read_text()))
    with pytest.raises(InputError) as caught:
        load_dataset(str(yaml))
    for word in words:
        assert word in str(caught.value)


def test_every_fault_of_a_label_file_is_told_with_its_line_and_the_good_boxes_stay(make_yolo: MakeYolo) -> None:
    yaml = make_yolo()
    label = yaml.parent / "labels" / "train" / "0.txt"
    label.write_text(
        "0 0.5 0.5 0.2 0.2\n"  # 1 good
        "0 0.5 0.5 0.2\n"  # 2 a number is missing
        "2 0.5 0.5 0.2 0.2\n"  # 3 no such class: there are 0 and 1
        "0 0.5 0.5 0.2 0\n"  # 4 no area
        "0 1.5 0.5 0.2 0.2\n"  # 5 outside
        "0 0.5 0.5 0.2 0.2\n"  # 6 the first once more
        "\n"
        "1 0.95 0.5 0.2 0.2\n"  # 8 reaches outside
        "zero 0.5 0.5 0.1 0.1\n"  # 9 no class of that name
        "1 nan 0.5 0.1 0.1\n"  # 10 no finite number
    )
    dataset = load_dataset(str(yaml))
    found = {(fault.kind, fault.line) for fault in dataset.faults if fault.path == label}
    assert found == {
        ("malformed-line", 2),
        ("class-out-of-range", 3),
        ("box-without-area", 4),
        ("box-outside-image", 5),
        ("duplicate-box", 6),
        ("box-outside-image", 8),
        ("unknown-class-name", 9),
        ("malformed-line", 10),
    }
    sample = next(s for s in dataset.splits["train"] if s.label_path == label)
    np.testing.assert_allclose(sample.boxes, [[25.6, 25.6, 38.4, 38.4], [54.4, 25.6, 64, 38.4]], atol=1e-3)


def test_polygons_become_their_bounding_boxes_aloud(make_yolo: MakeYolo) -> None:
    yaml = make_yolo()
    label = yaml.parent / "labels" / "train" / "0.txt"
    label.write_text("1 0.1 0.2 0.5 0.2 0.3 0.8\n")
    dataset = load_dataset(str(yaml))
    np.testing.assert_allclose(dataset.splits["train"][0].boxes, [[6.4, 12.8, 32, 51.2]], rtol=1e-6)
    assert dataset.splits["train"][0].classes.tolist() == [1]
    assert [(fault.kind, fault.path, fault.line) for fault in dataset.faults] == [("polygon", label, 1)]


def test_broken_files_are_found(make_yolo: MakeYolo) -> None:
    yaml = make_yolo()
    root = yaml.parent
    image = root / "images" / "train" / "1.jpg"
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    (root / "images" / "train" / "2.jpg").write_bytes(b"no picture at all")
    (root / "labels" / "train" / "3.txt").write_bytes(bytes(range(256)))
    (root / "labels" / "train" / "4.txt").unlink()
    dataset = load_dataset(str(yaml))
    kinds = {(fault.kind, fault.path.name) for fault in dataset.faults}
    assert kinds == {
        ("truncated-image", "1.jpg"),
        ("unreadable-image", "2.jpg"),
        ("unreadable-label", "3.txt"),
        ("missing-label", "4.jpg"),
    }
    assert len(dataset.splits["train"]) == 3  # without labels an image is background, the other three are unusable
    assert len(dataset.broken) == 3


def test_an_empty_label_file_is_a_background_image_and_no_fault(make_yolo: MakeYolo) -> None:
    yaml = make_yolo()
    (yaml.parent / "labels" / "train" / "0.txt").write_text("")
    dataset = load_dataset(str(yaml))
    assert not dataset.faults and len(dataset.splits["train"][0].classes) == 0


def test_an_empty_split_is_refused(make_yolo: MakeYolo) -> None:
    yaml = make_yolo(counts={"train": 0, "val": 2})
    with pytest.raises(InputError, match="train"):
        require_split(load_dataset(str(yaml)), "train")


def test_a_rotated_photograph_is_measured_as_it_is_shown(tmp_path: Path) -> None:
    from PIL import Image

    from lehr.data.images import probe_image, read_image

    draw_squares(tmp_path / "flat.jpg", [(0, 0, 32, 16)])
    with Image.open(tmp_path / "flat.jpg") as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.crop((0, 0, 64, 40)).save(tmp_path / "turned.jpg", exif=exif)
    assert probe_image(tmp_path / "turned.jpg") == (40, 64)
    assert read_image(tmp_path / "turned.jpg").shape == (64, 40, 3)
