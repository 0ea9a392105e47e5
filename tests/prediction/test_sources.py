"""Files, folders and globs give their images; whatever else is named is refused for what it is, with what to do."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from lehr.data.faults import group_faults
from lehr.errors import InputError
from lehr.prediction.sources import FoundImages, check_images, find_images


def draw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return path


def names(found: FoundImages) -> list[str]:
    return [path.name for path in found.images]


def left_out(found: FoundImages) -> list[str]:
    return [fault.path.name for fault in found.left_out]


def refused(source: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        find_images([str(source)])
    return str(caught.value)


def test_a_file_a_folder_and_a_glob_give_each_image_once(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.png"):
        draw(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    found = find_images([str(tmp_path / "c.png"), str(tmp_path), str(tmp_path / "*")])
    assert names(found) == ["c.png", "a.jpg", "b.png"] and left_out(found) == ["notes.txt"]


def test_folders_give_what_is_in_folders_and_links_in_a_circle_end(tmp_path: Path) -> None:
    draw(tmp_path / "a" / "b" / "c.png")
    draw(tmp_path / "store" / "d.png")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    assert names(find_images([str(tmp_path / "a")])) == ["c.png", "d.png"]
    assert names(find_images([f"{tmp_path}/a*"])) == ["c.png", "d.png"]  # as a shell would name the folders


def test_what_systems_write_beside_images_is_passed_over(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    for name in ("._a.png", ".DS_Store", ".ipynb_checkpoints/a.png", "__MACOSX/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7junk")
    for source in (tmp_path, tmp_path / "*.png"):
        found = find_images([str(source)])
        assert names(found) == ["a.png"] and found.left_out == ()


def test_images_and_videos_that_are_not_read_are_counted_and_named(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    for name in ("b.psd", "c.svg", "d.psd", "e.mp4", "a.txt", "a.xml"):
        (tmp_path / name).touch()
    found = find_images([str(tmp_path)])
    assert names(found) == ["a.png"] and left_out(found) == ["b.psd", "c.svg", "d.psd", "e.mp4"]
    lines = list(map(str, group_faults(found.left_out)))
    assert len(lines) == 2 and all(line.startswith("warning: 2 ") for line in lines)
    assert f"{tmp_path / 'b.psd'}; {tmp_path / 'd.psd'}" in lines[0] + lines[1]
    assert len(left_out(find_images([str(tmp_path / "*")]))) == 6  # a pattern names them all


def test_links_without_their_image_and_closed_folders_are_broken(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("store/b.png")
    for source in (tmp_path, f"{tmp_path}/*"):
        with pytest.raises(InputError, match=r"b\.png: is a link to store(.|\n)*1 of 2 images(.|\n)*--skip-broken"):
            check_images(find_images([str(source)]), skip_broken=False)
        assert check_images(find_images([str(source)]), skip_broken=True) == []


def test_images_of_more_than_8_bits_are_said_to_be_scaled(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8), 4000, np.uint16))
    assert [note.kind for note in check_images(find_images([str(tmp_path)]), skip_broken=False)] == ["deep-image"]


def test_names_with_brackets_blanks_and_other_letters_are_found(tmp_path: Path) -> None:
    for folder, name in (("a [1]", "b.png"), ("猫", "[x].png"), ("a*b", "c d.png")):
        path = draw(tmp_path / folder / "x.png").rename(tmp_path / folder / name)
        for source in (path, path.parent, path.parent / "*.png"):
            assert names(find_images([str(source)])) == [name]


def test_an_image_of_any_name_is_taken_where_it_is_named(tmp_path: Path) -> None:
    for name in ("photo", "photo.txt", "photo.dat", "photo.mp4", "photo.zip"):
        draw(tmp_path / "x.jpg").rename(tmp_path / name)
        assert names(find_images([str(tmp_path / name)])) == [name]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("https://example.com/a.jpg", ["is a URL", "curl -LO https://example.com/a.jpg"]),
        ("HTTP://example.com/v.mp4?x=1", ["is a video or a stream", "ffmpeg"]),
        ("https://youtu.be/abc", ["is a video or a stream"]),
        ("rtsp://x/y", ["is a video or a stream", "ffmpeg -i rtsp://x/y frames/%06d.jpg"]),
        ("rtmp://10.0.0.1:1935/live", ["is a video or a stream"]),
        ("s3://bucket/a.jpg", ["is a URL"]),
        ("www.youtube.com/watch?v=abc", ["is a video or a stream"]),
        ("example.com/images/a.jpg", ["is a URL"]),
        ("http://10.0.0.2/live.m3u8", ["is a video or a stream"]),
        ("gone.mp4", ["no such image", "Only image files are read"]),
        ("images.zip", ["no such image", "Only image files are read"]),
        ("file:///home/me/a.jpg", ["Name the file itself: /home/me/a.jpg"]),
        ("data:image/png;base64," + "A" * 5000, ["is a data URL"]),
        ("0", ["camera", "/dev/video0"]),
        ("12", ["camera", "/dev/video12"]),
        ("webcam", ["camera"]),
        ("screen", ["the screen is not read"]),
        ("screen 0 100 100", ["the screen is not read"]),
        ("-", ["standard input"]),
        ("", ["empty name"]),
        (" ", ["empty name"]),
        ("x" * 5000, ["is no name of a file"]),
        ("a\0b", ["no such image"]),
        ("none.jpg", ["no such image, folder or glob"]),
        ("none/*.jpg", ["no such image, folder or glob", "There is no folder none"]),
    ],
)
def test_what_is_no_file_is_refused_for_what_it_is(
    source: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refused(source)
    assert all(word in message for word in words) and len(message) < 1000
    if "stream" in words[0] or "URL" in words[0] or "camera" in words[0]:
        assert "Only image files are read" in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("v.mp4", b"AAAA", ["is a video", "ffmpeg"]),
        ("v", b"\0\0\0\x20ftypisom\0\0\2\0", ["is a video", "ffmpeg"]),
        ("v.jpg", b"RIFF\0\0\0\0AVI LIST", ["is a video"]),
        ("v.bin", b"\x1aE\xdf\xa3\1\0\0\0", ["is a video"]),
        ("a.zip", b"", ["is an archive", "unpack"]),
        ("a.tar.gz", b"\x1f\x8b\x08", ["is an archive"]),
        ("a.pdf", b"%PDF-1.7", ["is a PDF", "pdftoppm"]),
        ("list.txt", b"a.jpg\nb.jpg\n", ["is text", "xargs"]),
        ("data.yaml", b"train: images\n", ["is a YAML file", "lehr val --data"]),
        ("a.json", b"{}", ["is text"]),
        ("a.npy", b"\x93NUMPY", ["holds arrays"]),
        ("best.safetensors", b"", ["--weights"]),
        ("yolov8n.pt", b"PK\x03\x04", ["--weights"]),
    ],
)
def test_files_that_are_no_images_are_refused_for_what_they_are(
    name: str, content: bytes, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path / name)
    assert all(word in message for word in ["Only image files are read", *words])


def test_a_zip_of_any_name_is_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images", "w") as file:
        file.writestr("a.txt", "a")
    assert "is an archive" in refused(tmp_path / "images")


def test_a_folder_or_glob_without_images_says_what_it_holds(tmp_path: Path) -> None:
    assert "the folder holds no images; it holds no files" in refused(tmp_path)
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").touch()
    assert "it holds 2 .txt. Images end in" in refused(tmp_path)
    assert "matches no image, only 2 .txt" in refused(tmp_path / "*")
    (tmp_path / "v.mp4").touch()
    assert "it holds 2 .txt, 1 .mp4" in refused(tmp_path) and "ffmpeg" in refused(tmp_path)
    assert "ffmpeg" in refused(tmp_path / "*.mp4")


def test_images_whose_names_have_no_ending_are_found_out(tmp_path: Path) -> None:
    draw(tmp_path / "x.png").rename(tmp_path / "frame1")
    message = refused(tmp_path)
    assert f"{tmp_path / 'frame1'} is an image all the same: rename it" in message and ".png" in message
    assert names(find_images([str(tmp_path / "frame1")])) == ["frame1"]


def test_a_name_that_is_not_there_leads_to_what_may_have_been_meant(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "photo1.jpg")
    assert "photo1.jpg" in refused(tmp_path / "images" / "phto1.jpg")
    assert f"Write slashes: {tmp_path}/images/photo1.jpg" in refused(f"{tmp_path}\\images\\photo1.jpg")
    assert "Without quotes and blanks it exists" in refused(f"'{tmp_path}/images/photo1.jpg' ")
    (tmp_path / "gone.jpg").symlink_to("store/gone.jpg")
    assert "is a link to store/gone.jpg, which does not exist" in refused(tmp_path / "gone.jpg")
