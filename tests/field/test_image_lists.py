"""Lists of images as people and their tools write them: read right, or each fault with the list's line."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path

import pytest
from tests.commands import lehr
from tests.field.conftest import MakeCase, paint_of
from tests.field.painted_sets import paint, paint_splits, write_lists

from lehr.data.load import load_dataset
from lehr.errors import InputError
from lehr.sample import Dataset, Severity

YAML = "train: train.txt\nval: val.txt\nnames: [cat, dog]\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Y10f-bom-list", []),
        ("Y10g-cvat-data-list", ["train.txt:1", "4 lines", "for data"]),
        ("Y10j-comment-list", []),
        ("Y10k-bare-list", ["train.txt:1", "bare name", "images/train"]),
    ],
)
def test_cases(name: str, words: list[str], case: MakeCase, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = case(name)
    done = lehr("data", "check", "data.yaml", cwd=folder)
    for word in words:
        assert word in done.stdout
    monkeypatch.chdir(folder)
    painted = paint_of("data.yaml")
    assert painted.count == 6 and not painted.misaligned


def test_an_export_without_val_is_read_divided_and_then_trains(case: MakeCase, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = case("Y11-cvat-ultralytics")
    arguments = ("--model", "yolov8n", "--width", "0.125", "--imgsz", "64", "--epochs", "1", "--explain")
    done = lehr("train", "--data", "data.yaml", "--model", "yolov8n", "--epochs", "1", cwd=folder, code=2)
    assert "no split 'val'" in done.stderr and "lehr data split data.yaml" in done.stderr
    lehr("data", "split", "data.yaml", "--out", "new", cwd=folder)
    lehr("train", "--data", "new/data.yaml", *arguments, cwd=folder)
    monkeypatch.chdir(folder)
    painted = paint_of("new/data.yaml")
    assert painted.count == 6 and not painted.misaligned


@pytest.fixture
def root(tmp_path: Path) -> Path:
    paint_splits(tmp_path / "set")
    (tmp_path / "set" / "data.yaml").write_text(YAML)
    return tmp_path / "set"


def read(root: Path) -> tuple[Dataset, list[str]]:
    """Read the set; all its boxes must be right."""
    painted = paint_of(root / "data.yaml")
    assert painted.count == 6 and not painted.misaligned
    assert not painted.dataset.errors
    return painted.dataset, [str(fault) for fault in painted.dataset.faults]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("images/{0}/{1}.png", None),
        ("./images/{0}/{1}.png", None),
        ("\t images/{0}/{1}.png  ", None),
        ('"images/{0}/{1}.png"', "without quotes"),
        ("'images/{0}/{1}.png',", "without quotes"),
        ("images\\{0}\\{1}.png", "without quotes"),
        (".\\images\\{0}\\{1}.png", "without quotes"),
        ("images/{0}/{1}.png 1", "further columns"),
        ("images/{0}/{1}.png\t96\t96", "further columns"),
        ("images/{0}/{1}.png,96,96", "further columns"),
        ("images/{0}/{1}.png 10,12,40,46,0 5,5,9,9,1", "boxes are not read from lists"),
        ("/home/me/set/images/{0}/{1}.png", "for /home/me/set"),
        ("D:\\me\\set\\images\\{0}\\{1}.png", "for me/set"),
        ("//server/share/images/{0}/{1}.png", "for /server/share"),
        ("data/images/{0}/{1}.png", "for data"),
        ("../other/images/{0}/{1}.png", "for other"),
        ("file:///home/me/images/{0}/{1}.png", "for /home/me"),
        ("{1}.png", "bare name"),
        ("images/{0}/{1}", "with the suffix of the image"),
        ("images/{0}/{1} -1", "further columns"),
        ("Images/{0}/{1}.PNG", "images/train"),
        ("labels/{0}/{1}.txt", "images of the label files"),
    ],
)
def test_lines_as_people_have_them_are_read_and_what_is_not_certain_is_said(
    root: Path, line: str, words: str | None
) -> None:
    write_lists(root, line)
    _, said = read(root)
    if words is None:
        assert not said
    else:
        assert any(words in each and "train.txt:1" in each for each in said), said
        assert len(said) <= 4


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_lists_are_read_in_other_encodings(root: Path, encoding: str) -> None:
    write_lists(root, "images/{0}/{1}.png")
    for name in ("train.txt", "val.txt"):
        text = (root / name).read_text()
        (root / name).write_bytes(text.encode(encoding))
    assert len(read(root)[0].splits["train"]) == 4


def test_comments_titles_and_empty_lines_are_passed_over(root: Path) -> None:
    write_lists(root, "images/{0}/{1}.png")
    text = (root / "train.txt").read_text()
    (root / "train.txt").write_text("filename\n\n" + text.replace("\n", "\r\n\r\n"))
    (root / "val.txt").write_text("# images to validate\n" + (root / "val.txt").read_text())
    dataset, said = read(root)
    assert len(dataset.splits["train"]) == 4 and len(said) == 1 and "line of titles" in said[0]


def test_names_with_spaces_hashes_and_either_form_of_accents_are_found(root: Path) -> None:
    names = ["my photo 1.png", "#2.png", unicodedata.normalize("NFD", "été.png"), "a.b.png"]
    for number, name in enumerate(names):
        paint(root / "pool" / name, root / "pool" / f"{name[:-4]}.txt", number)
    lines = [f"pool/{unicodedata.normalize('NFC', name)}" for name in names]
    (root / "train.txt").write_text("\n".join([*lines, "#2.png"]))
    (root / "val.txt").write_text("pool/a.b.png")
    painted = paint_of(root / "data.yaml")
    assert painted.count == 5 and not painted.misaligned and not painted.dataset.errors


def test_what_is_not_found_is_a_fault_with_the_list_s_line(root: Path) -> None:
    write_lists(root, "images/{0}/{1}.png")
    lines = [
        "images/train/gone.png",
        "https://example.org/a.png",
        "images/train",
        "images/train/train0.png",
        "data.yaml",
    ]
    with (root / "train.txt").open("a") as file:
        file.write("\n".join(lines))
    dataset = load_dataset(str(root / "data.yaml"))
    found = {(fault.kind, fault.line, fault.severity) for fault in dataset.faults}
    assert found == {
        ("unreadable-image", 5, Severity.ERROR),
        ("unreadable-image", 6, Severity.ERROR),
        ("unreadable-image", 7, Severity.ERROR),
        ("duplicate-image", 8, Severity.WARNING),
        ("unreadable-image", 9, Severity.ERROR),
    }
    said = {fault.line: fault.message for fault in dataset.faults}
    assert "no such image" in said[5] and "web address" in said[6] and "is a folder" in said[7]
    assert "not an image file" in said[9]
    assert len(dataset.splits["train"]) == 4


def test_a_list_that_names_nothing_that_is_there_is_refused(root: Path) -> None:
    write_lists(root, "elsewhere/{0}/x{1}.png")
    with pytest.raises(InputError, match=r"data\.yaml:1: 'train': .*train\.txt names no image that is there"):
        load_dataset(str(root / "data.yaml"))


def test_one_prefix_is_found_for_the_whole_list_and_no_image_is_put_in_for_another(root: Path) -> None:
    """An image of `train` that is missing is not replaced by one of the same name elsewhere."""
    write_lists(root, "/old/set/images/{0}/{1}.png")
    (root / "images" / "train" / "train1.png").rename(root / "images" / "train1.png")
    dataset = load_dataset(str(root / "data.yaml"))
    assert ("unreadable-image", 2) in [(fault.kind, fault.line) for fault in dataset.errors]
    assert len(dataset.splits["train"]) == 3


def test_a_bare_name_that_could_be_two_images_is_not_guessed(root: Path) -> None:
    write_lists(root, "{1}.png")
    (root / "train.txt").write_text("train0.png\nval0.png\n")
    paint(root / "more" / "train0.png", root / "more" / "train0.txt", 3)
    dataset = load_dataset(str(root / "data.yaml"))
    assert ["could be" in fault.message for fault in dataset.errors] == [True]


def test_a_name_in_two_places_is_refused(root: Path) -> None:
    (root / "lists").mkdir()
    paint_splits(root / "lists")
    (root / "lists" / "train.txt").write_text("images/train/train0.png\n")
    (root / "data.yaml").write_text(YAML.replace("train.txt", "lists/train.txt"))
    write_lists(root, "images/{0}/{1}.png")
    with pytest.raises(InputError, match=r"train\.txt:1: 'images/train/train0\.png' could be .* or .*lists/images"):
        load_dataset(str(root / "data.yaml"))
    (root / "lists" / "train.txt").write_text("./images/train/train0.png\n")
    assert "lists" in str(load_dataset(str(root / "data.yaml")).splits["train"][0].path)


def test_a_list_relative_to_the_working_folder_is_read_aloud(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lists(root, "set/images/{0}/{1}.png")
    for name in ("train.txt", "val.txt"):
        (root.parent / "lists").mkdir(exist_ok=True)
        (root / name).rename(root.parent / "lists" / name)
    (root.parent / "lists" / "data.yaml").write_text(YAML)
    monkeypatch.chdir(root.parent)
    dataset = load_dataset("lists/data.yaml")
    assert len(dataset.splits["train"]) == 4 and f"from {os.path.abspath('.')}" in str(dataset.faults[0])  # noqa: PTH100


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("list.txt", b"\x00\x01\x02", "cannot be read as text"),
        ("a.zip", b"PK\3\4", "Unpack it"),
        ("train.json", b"{}", "--data"),
    ],
)
def test_what_is_no_list_is_refused(root: Path, name: str, data: bytes, words: str) -> None:
    (root / name).write_bytes(data)
    (root / "data.yaml").write_text(YAML.replace("train.txt", name))
    with pytest.raises(InputError, match=words):
        load_dataset(str(root / "data.yaml"))


def test_a_line_of_thousands_of_folders_is_refused_at_once(root: Path) -> None:
    write_lists(root, "images/{0}/{1}.png")
    (root / "train.txt").write_text("images/train/train0.png\n" + "y/" * 20_000 + "train1.png\n")
    (root / "data.yaml").write_text(YAML)
    started = time.perf_counter()
    faults = load_dataset(str(root / "data.yaml")).errors
    assert time.perf_counter() - started < 2 and [fault.line for fault in faults] == [2]
