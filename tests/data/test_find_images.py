"""The images of a folder: all that are read, and what looks like one is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

import lehr.data.images.kinds as kinds
from lehr.data.find_images import images_in, scan_images
from lehr.sample import Severity


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def names_in(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in images_in(root)]


def test_images_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    names = ["b.jpg", "a/z.png", "a/b/c.JPEG", "c/a.tif", "a.jpg", "a-1/x.gif", "B.bmp", "ü.webp"]
    touch(tmp_path, *names, "a/notes.txt", "classes.txt")
    assert images_in(tmp_path) == sorted(tmp_path / name for name in names)


def test_what_is_hidden_or_left_by_systems_is_passed_over(tmp_path: Path) -> None:
    hidden = ["._a.jpg", ".b.jpg", "__MACOSX/a.jpg", ".ipynb_checkpoints/a-checkpoint.jpg", "@eaDir/a.jpg/THUMB_M.jpg"]
    touch(tmp_path, "a.jpg", *hidden, "Thumbs.db", ".DS_Store", "$RECYCLE.BIN/x.png")
    scan = scan_images(tmp_path)
    assert scan.images == [tmp_path / "a.jpg"] and scan.faults == []


def test_a_hidden_folder_that_is_named_itself_is_read(tmp_path: Path) -> None:
    touch(tmp_path, ".cache/data/a.jpg")
    assert names_in(tmp_path / ".cache") == ["data/a.jpg"]


@pytest.mark.parametrize(
    ("name", "words", "severity"),
    [
        ("a.dng", "raw photograph", Severity.ERROR),
        ("a.exr", "Convert it to JPEG, PNG or TIFF", Severity.ERROR),
        ("a.mp4", "Extract its frames", Severity.WARNING),
        ("a.svg", "Export it as PNG", Severity.WARNING),
    ],
)
def test_what_looks_like_an_image_and_is_not_read_is_reported(
    name: str, words: str, severity: Severity, tmp_path: Path
) -> None:
    touch(tmp_path, "in/b.jpg", f"in/{name}", "in/b.txt", "in/data.npy")
    scan = scan_images(tmp_path)
    assert scan.images == [tmp_path / "in" / "b.jpg"]
    assert [(fault.path, fault.severity) for fault in scan.faults] == [(tmp_path / "in" / name, severity)]
    assert words in scan.faults[0].message


def test_a_raw_photograph_beside_its_jpeg_is_only_a_warning(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.dng")
    assert [fault.severity for fault in scan_images(tmp_path).faults] == [Severity.WARNING]


@pytest.mark.parametrize(("name", "package"), [("a.heic", "pillow-heif"), ("a.jxl", "pillow-jxl-plugin")])
def test_a_missing_decoder_is_named(name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "has_decoder", lambda name: name == "AVIF")
    kinds.read_suffixes.cache_clear()
    try:
        touch(tmp_path, name, "b.avif")
        scan = scan_images(tmp_path)
        assert scan.images == [tmp_path / "b.avif"]
        assert f"pip install '{package}'" in scan.faults[0].message and scan.faults[0].severity is Severity.ERROR
    finally:
        kinds.read_suffixes.cache_clear()


def test_links_are_followed_each_folder_once(tmp_path: Path) -> None:
    touch(tmp_path, "store/s.jpg", "images/a.jpg", "images/in/b.jpg")
    images = tmp_path / "images"
    (images / "file.jpg").symlink_to(tmp_path / "store" / "s.jpg")
    (images / "more").symlink_to(tmp_path / "store")
    (images / "again").symlink_to(images / "in")  # its images are there already
    (images / "in" / "back").symlink_to(images)  # leads back
    (tmp_path / "store" / "loop").symlink_to(tmp_path / "store")
    assert names_in(images) == ["a.jpg", "file.jpg", "in/b.jpg", "more/s.jpg"]


def test_links_without_a_target_are_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "b.jpg").symlink_to("../annex/b.jpg")
    (tmp_path / "self.png").symlink_to("self.png")
    (tmp_path / "notes.txt").symlink_to("nowhere.txt")
    scan = scan_images(tmp_path)
    assert scan.images == [tmp_path / "a.jpg"]
    assert sorted((fault.kind, fault.path.name) for fault in scan.faults) == [
        ("dangling-link", "b.jpg"),
        ("dangling-link", "self.png"),
    ]
    assert all(
        "../annex/b.jpg" in f.message and "git annex get" in f.message for f in scan.faults if f.path.name == "b.jpg"
    )
