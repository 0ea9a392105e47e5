"""Images of COCO JSON: turned, resized, renamed and moved, and still under their boxes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from tests.commands import lehr
from tests.field.painted_coco import (
    SIZE,
    Content,
    Paint,
    aligned,
    box_of,
    each,
    make,
    paint,
    refused,
    said,
)

from lehr.data.load import load_dataset

EXIF = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How to store an image so that EXIF shows it upright."""


def turn(path: Path, orientation: int) -> None:
    """Store an image turned, with the orientation that turns it back."""
    exif = Image.Exif()
    exif[EXIF] = orientation
    with Image.open(path) as image:
        stored = image.transpose(TURNS[orientation])
    stored.save(path, exif=exif)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("resize", [1, 2])
def test_boxes_of_stored_pixels_are_turned_with_the_image(
    orientation: int, resize: int, tmp_path: Path, painted: Paint
) -> None:
    """Images are painted and labelled as stored; EXIF then shows them turned."""

    def exif_only(path: Path) -> None:
        exif = Image.Exif()
        exif[EXIF] = orientation
        with Image.open(path) as image:
            image.resize((SIZE[0] * resize, SIZE[1] * resize), Image.Resampling.NEAREST).save(path, exif=exif)

    folder = make(tmp_path)
    for path in folder.rglob("*.png"):
        exif_only(path)
    words = ["EXIF", "turned"] + (["scaled", "by 2"] if resize > 1 else [])
    said(aligned(painted, folder, 6), *words)


def test_boxes_of_the_image_as_displayed_stay(tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path)
    for path, orientation in zip(sorted((folder / "train").iterdir()), (6, 8, 5, 7), strict=True):
        turn(path, orientation)
    assert not aligned(painted, folder, 6).faults


def test_stated_sizes_that_no_box_fits_are_not_believed(tmp_path: Path, painted: Paint) -> None:
    """Label Studio states the stored size, yet boxes are those of the image as displayed."""

    def exchanged(content: Content) -> None:
        for image in content["images"]:
            image["width"], image["height"] = image["height"], image["width"]
        each(content, bbox=lambda a: [a["bbox"][0] + 55, *a["bbox"][1:]])

    for name, orientation in (("turned", 6), ("upright", None)):
        folder = make(tmp_path / name, exchanged, paint_images=False)
        for split, count in (("train", 4), ("val", 2)):
            for i in range(count):
                x1, y1, x2, y2 = box_of(i)
                path = folder / split / f"{split}{i}.png"
                paint(path, (x1 + 55, y1, x2 + 55, y2), i % 2)
                if orientation is not None:
                    turn(path, orientation)
        said(aligned(painted, folder, 6), "width and height swapped", "as displayed")


def test_half_turns_follow_the_quarter_turns_of_their_json(tmp_path: Path, painted: Paint) -> None:
    def tag(path: Path, orientation: int) -> None:
        exif = Image.Exif()
        exif[EXIF] = orientation
        with Image.open(path) as image:
            image.copy().save(path, exif=exif)

    folder = make(tmp_path / "raw", counts=(4, 4))
    for split in ("train", "val"):
        for path, orientation in zip(sorted((folder / split).iterdir()), (6, 3, 2, 4), strict=True):
            tag(path, orientation)
    said(aligned(painted, folder, 8), "turned")
    unstated = make(tmp_path / "unstated", lambda c: [r.pop("width") for r in c["images"]])
    for path in unstated.rglob("*.png"):
        turn(path, 6)
    said(aligned(painted, unstated, 6), "nothing in the JSON")
    folder = make(tmp_path / "alone", counts=(4, 4))
    for path in folder.rglob("*.png"):
        turn(path, 3)
    said(aligned(painted, folder, 8), "nothing in the JSON")


def test_boxes_are_scaled_with_resized_images(tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path / "a")
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            image.resize((64, 48)).save(path)
    said(aligned(painted, folder, 6), "4 images", "scaled", "by 0.5", "128x96")
    (tmp_path / "b").mkdir()
    folder = make(tmp_path / "b")
    for path in (folder / "train").iterdir():
        with Image.open(path) as image:
            image.resize((96, 96)).save(path)
    dataset = load_dataset(str(folder))
    assert [f.kind for f in dataset.broken] == ["other-size"] * 4 and "128x96" in str(dataset.broken[0])
    assert not dataset.splits["train"] and len(dataset.splits["val"]) == 2
    assert "--skip-broken" in lehr("train", "--data", folder, "--model", "yolov8n", cwd=tmp_path, code=2).stderr


@pytest.mark.parametrize(
    "size", [{}, {"width": None, "height": None}, {"width": 0, "height": 0}, {"width": "128", "height": "96"}]
)
def test_sizes_that_are_missing_or_text(size: Content, tmp_path: Path, painted: Paint) -> None:
    def change(content: Content) -> None:
        for image in content["images"]:
            del image["width"], image["height"]
            image |= size

    assert not aligned(painted, make(tmp_path, change), 6).faults


NAMES = {
    "url": "https://host.example/bucket/{}?X-Signature=abc&n=1",
    "query": "upload/{}?d=1",
    "windows": "C:\\Users\\me\\ds\\{}",
    "backslash": "images\\1/{}",
    "file": "file:///data/ds/{}",
    "local-files": "/data/local-files/?d=ds/{}",
    "upload": "data/upload/4/0123abcd-{}",
    "dots": "../../other/{}",
    "s3": "s3://bucket/a/b/{}",
    "spaces": "  {} ",
}


@pytest.mark.parametrize("pattern", NAMES.values(), ids=NAMES.keys())
def test_images_are_found_by_the_end_of_their_names(pattern: str, tmp_path: Path, painted: Paint) -> None:
    def change(content: Content) -> None:
        for image in content["images"]:
            image["file_name"] = pattern.format(image["file_name"])

    dataset = aligned(painted, make(tmp_path, change, images="images"), 6)
    said(dataset, "4 of 4 images", "2 of 2 images")
    assert len(dataset.faults) == 2


def test_names_that_stand_as_they_are(tmp_path: Path, painted: Paint) -> None:
    def change(content: Content) -> None:
        for image in content["images"]:
            image["file_name"] = str(tmp_path / "ds" / "elsewhere" / image["file_name"])

    assert not aligned(painted, make(tmp_path / "ds", change, images="elsewhere"), 6).faults

    def deeper(content: Content) -> None:
        for image in content["images"]:
            image["file_name"] = f"a b/{image['file_name']}"

    assert not aligned(painted, make(tmp_path / "deep", deeper, images="images/a b"), 6).faults


def test_percent_signs_and_case(tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path, lambda c: [r.update(file_name=r["file_name"].replace(".", "%20x.")) for r in c["images"]])
    for path in list(folder.rglob("*.png")):
        path.rename(path.with_name(path.name.replace(".", " x.")))
    said(aligned(painted, folder, 6), "end of their name")
    folder = make(tmp_path / "nfd", lambda c: [r.update(file_name=f"caf\u00e9-{r['file_name']}") for r in c["images"]])
    for path in list(folder.rglob("*.png")):
        path.rename(path.with_name(f"cafe\u0301-{path.name}"))
    said(aligned(painted, folder, 6), "end of their name")
    folder = make(tmp_path / "case", lambda c: [r.update(file_name=r["file_name"].upper()) for r in c["images"]])
    said(aligned(painted, folder, 6), "end of their name")


def test_a_name_that_fits_two_files_is_refused(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "a", lambda c: [r.update(file_name=f"/x/{r['file_name']}") for r in c["images"]], images="one"
    )
    shutil.copytree(folder / "one", folder / "two")
    dataset = load_dataset(str(folder))
    assert {f.kind for f in dataset.broken} == {"ambiguous-image"} and len(dataset.broken) == 6
    assert "one/train0.png" in str(dataset.broken[0]) and "two/train0.png" in str(dataset.broken[0])
    folder = make(tmp_path / "b", images="images/{split}")
    shutil.copytree(folder / "images" / "train", folder / "images" / "copy")
    assert not load_dataset(str(folder)).faults
    shutil.copytree(folder / "images" / "train", folder / "train")
    said(load_dataset(str(folder)), "once more")
    paint(folder / "train" / "train0.png", box_of(1), 0)
    refused(folder, "not the same in both", "train0.png")


def test_lvis_has_addresses_alone(tmp_path: Path, painted: Paint) -> None:
    def change(content: Content) -> None:
        for image in content["images"]:
            image["coco_url"] = f"http://images.cocodataset.org/train2017/{image.pop('file_name')}"
            image |= {"neg_category_ids": [1], "not_exhaustive_category_ids": []}

    folder = make(tmp_path, change, train="lvis_v1_train.json", val="lvis_v1_val.json", images="train2017")
    said(aligned(painted, folder, 6), "4 of 4 images")


def test_images_that_no_json_lists_are_told(tmp_path: Path) -> None:
    folder = make(tmp_path, images="images")
    assert not load_dataset(str(folder)).faults
    paint(folder / "images" / "further.png", box_of(0), 0)
    (folder / "images" / "notes.txt").touch()
    dataset = load_dataset(str(folder))
    assert [f.kind for f in dataset.faults] == ["unused-image"]
    said(dataset, "1 image", "further.png")


def test_an_image_that_is_nowhere_is_told(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "train" / "train0.png").unlink()
    dataset = load_dataset(str(folder))
    assert [f.kind for f in dataset.broken] == ["unreadable-image"] and "train0.png" in str(dataset.broken[0])
