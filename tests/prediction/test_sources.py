"""Names give their images, videos and streams; whatever else is named is refused for what it is, with what to do."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from lehr.data.faults import group_faults
from lehr.errors import InputError
from lehr.prediction.addresses import shown
from lehr.prediction.sources import FoundSources, Kind, check_sources, find_sources


def draw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return path


def names(found: FoundSources) -> list[str]:
    return [path.name for path in found.images]


def left_out(found: FoundSources) -> list[str]:
    return [fault.path.name for fault in found.left_out]


def refused(source: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        find_sources([str(source)])
    return str(caught.value)


def test_a_file_a_folder_and_a_glob_give_each_image_once(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.png"):
        draw(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    found = find_sources([str(tmp_path / "c.png"), str(tmp_path), str(tmp_path / "*")])
    assert names(found) == ["c.png", "a.jpg", "b.png"] and left_out(found) == ["notes.txt"]


def test_folders_give_what_is_in_folders_and_links_in_a_circle_end(tmp_path: Path) -> None:
    draw(tmp_path / "a" / "b" / "c.png")
    draw(tmp_path / "store" / "d.png")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    assert names(find_sources([str(tmp_path / "a")])) == ["c.png", "d.png"]
    assert names(find_sources([f"{tmp_path}/a*"])) == ["c.png", "d.png"]  # as a shell would name the folders


def test_what_systems_write_beside_images_is_passed_over(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    for name in ("._a.png", ".DS_Store", ".ipynb_checkpoints/a.png", "__MACOSX/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7junk")
    for source in (tmp_path, tmp_path / "*.png"):
        found = find_sources([str(source)])
        assert names(found) == ["a.png"] and found.left_out == ()


def test_images_that_are_not_read_are_counted_and_named(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    for name in ("b.psd", "c.svg", "d.psd", "e.eps", "a.txt", "a.xml"):
        (tmp_path / name).touch()
    found = find_sources([str(tmp_path)])
    assert names(found) == ["a.png"] and left_out(found) == ["b.psd", "c.svg", "d.psd", "e.eps"]
    lines = list(map(str, group_faults(found.left_out)))
    assert len(lines) == 2 and all(line.startswith("warning: 2 ") for line in lines)
    assert f"{tmp_path / 'b.psd'}; {tmp_path / 'd.psd'}" in lines[0] + lines[1]
    assert len(left_out(find_sources([str(tmp_path / "*")]))) == 6  # a pattern names them all


def test_links_without_their_image_and_closed_folders_are_broken(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("store/b.png")
    for source in (tmp_path, f"{tmp_path}/*"):
        with pytest.raises(InputError, match=r"b\.png: is a link to store(.|\n)*1 of 2 images(.|\n)*--skip-broken"):
            check_sources(find_sources([str(source)]), skip_broken=False)
        assert check_sources(find_sources([str(source)]), skip_broken=True) == []


def test_images_of_more_than_8_bits_are_said_to_be_scaled(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8), 4000, np.uint16))
    assert [note.kind for note in check_sources(find_sources([str(tmp_path)]), skip_broken=False)] == ["deep-image"]


def test_names_with_brackets_blanks_and_other_letters_are_found(tmp_path: Path) -> None:
    for folder, name in (("a [1]", "b.png"), ("猫", "[x].png"), ("a*b", "c d.png")):
        path = draw(tmp_path / folder / "x.png").rename(tmp_path / folder / name)
        for source in (path, path.parent, path.parent / "*.png"):
            assert names(find_sources([str(source)])) == [name]


def test_an_image_of_any_name_is_taken_where_it_is_named(tmp_path: Path) -> None:
    for name in ("photo", "photo.txt", "photo.dat", "photo.mp4", "photo.zip"):
        draw(tmp_path / "x.jpg").rename(tmp_path / name)
        assert names(find_sources([str(tmp_path / name)])) == [name]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("https://youtu.be/abc", ["is a page with a video"]),
        ("https://www.youtube.com/watch?v=abc", ["is a page with a video"]),
        ("s3://bucket/a.jpg", ["is an address of a kind that is not read (s3)", "https", "rtsp"]),
        ("concat:a.mp4|b.mp4", ["no such video"]),
        ("example.com/images/a.jpg", ["Name https://example.com/images/a.jpg"]),
        ("gone.mp4", ["no such video"]),
        ("images.zip", ["no such image", "Archives are not read"]),
        ("file:///home/me/a.jpg", ["Name the file itself: /home/me/a.jpg"]),
        ("data:image/png;base64," + "A" * 5000, ["is a data URL"]),
        ("screen", ["the screen is not read"]),
        ("screen 0 100 100", ["the screen is not read"]),
        ("", ["empty name"]),
        (" ", ["empty name"]),
        ("x" * 5000, ["is not a name of a file"]),
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


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.zip", b"", ["is an archive", "unpack"]),
        ("a.tar.gz", b"\x1f\x8b\x08", ["is an archive"]),
        ("a.pdf", b"%PDF-1.7", ["is a PDF", "pdftoppm"]),
        ("list.csv", b"a.jpg\nb.jpg\n", ["is text", "ends in .txt"]),
        ("live.m3u8", b"#EXTM3U\n", ["is a playlist", "http"]),
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
    assert all(word in message for word in ["Images and videos are read", *words])


def test_a_zip_of_any_name_is_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images", "w") as file:
        file.writestr("a.txt", "a")
    assert "is an archive" in refused(tmp_path / "images")


def test_a_folder_or_glob_without_images_says_what_it_holds(tmp_path: Path) -> None:
    assert "the folder holds no images and no videos; it holds no files" in refused(tmp_path)
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").touch()
    message = refused(tmp_path)
    assert "it holds 2 .txt. Images end in" in message and "; videos in " in message and ".mp4" in message
    assert "matches no image or video, only 2 .txt" in refused(tmp_path / "*")


def test_images_whose_names_have_no_ending_are_found_out(tmp_path: Path) -> None:
    draw(tmp_path / "x.png").rename(tmp_path / "frame1")
    message = refused(tmp_path)
    assert f"{tmp_path / 'frame1'} is an image all the same: rename it" in message and ".png" in message
    assert names(find_sources([str(tmp_path / "frame1")])) == ["frame1"]


def test_a_name_that_is_not_there_leads_to_what_may_have_been_meant(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "photo1.jpg")
    assert "photo1.jpg" in refused(tmp_path / "images" / "phto1.jpg")
    assert f"Write slashes: {tmp_path}/images/photo1.jpg" in refused(f"{tmp_path}\\images\\photo1.jpg")
    assert "Without quotes and blanks it exists" in refused(f"'{tmp_path}/images/photo1.jpg' ")
    (tmp_path / "gone.jpg").symlink_to("store/gone.jpg")
    assert "is a link to store/gone.jpg, which does not exist" in refused(tmp_path / "gone.jpg")


def kinds(found: FoundSources) -> list[tuple[Kind, str]]:
    return [(each.kind, each.name) for each in found.sources]


@pytest.mark.parametrize(
    ("source", "kind", "name"),
    [
        ("https://example.com/a.jpg", Kind.WEB, ""),
        ("HTTP://example.com/v.mp4?x=1", Kind.WEB, ""),
        ("http://10.0.0.2/live.m3u8", Kind.WEB, ""),
        ("rtsp://x/y", Kind.STREAM, ""),
        ("rtmp://10.0.0.1:1935/live", Kind.STREAM, ""),
        ("0", Kind.CAMERA, "0"),
        ("12", Kind.CAMERA, "12"),
        ("webcam", Kind.CAMERA, "0"),
        ("/dev/video3", Kind.CAMERA, "3"),
    ],
)
def test_addresses_and_cameras_are_told_by_their_names(
    source: str, kind: Kind, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = find_sources([source])
    assert kinds(found) == [(kind, name or source)]
    assert found.is_endless == (kind in (Kind.STREAM, Kind.CAMERA))


def test_a_file_or_folder_named_like_a_camera_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "0" / "a.png")
    draw(tmp_path / "x.png").rename(tmp_path / "1")
    assert kinds(find_sources(["0", "1"])) == [(Kind.IMAGE, "0/a.png"), (Kind.IMAGE, "1")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.mp4", b"AAAA"),
        ("v", b"\0\0\0\x20ftypisom\0\0\2\0"),
        ("v.jpg", b"RIFF\0\0\0\0AVI LIST"),
        ("v.bin", b"\x1aE\xdf\xa3\1\0\0\0"),
        ("v.ts", b"G"),
    ],
)
def test_videos_are_told_by_their_ending_or_first_bytes_and_looked_at_first(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    found = find_sources([str(tmp_path / name)])
    assert kinds(found) == [(Kind.VIDEO, str(tmp_path / name))] and found.images == ()
    with pytest.raises(InputError, match=r"(?s)v.*: .*1 of 1 sources cannot be read.*--skip-broken"):
        check_sources(found, skip_broken=False)
    assert check_sources(found, skip_broken=True) == []


def test_videos_of_folders_and_globs_are_taken_in_order_with_the_images(tmp_path: Path) -> None:
    for name in ("a.png", "c.png", "d/e.png"):
        draw(tmp_path / name)
    for name in ("b.mp4", "d/f.mkv", "app.ts"):
        (tmp_path / name).touch()
    found = find_sources([str(tmp_path)])
    assert [each.path.name for each in found.sources if each.path] == ["a.png", "b.mp4", "c.png", "e.png", "f.mkv"]
    assert names(found) == ["a.png", "c.png", "e.png"], "a .ts in a folder is a program's text"
    assert kinds(find_sources([f"{tmp_path}/*.mp4"])) == [(Kind.VIDEO, str(tmp_path / "b.mp4"))]


def test_videos_of_a_folder_are_passed_over_with_a_note_where_pyav_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lehr.prediction.sources.has_av", lambda: False)
    draw(tmp_path / "a.png")
    (tmp_path / "b.mp4").touch()
    for source in (str(tmp_path), f"{tmp_path}/*"):
        found = find_sources([source])
        assert names(found) == ["a.png"] and left_out(found) == ["b.mp4"]
        assert "pip install '.[video]'" in found.left_out[0].message


def test_a_list_names_sources_a_line_each_from_here_or_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    draw(tmp_path / "here" / "a.png")
    draw(tmp_path / "lists" / "b.png")
    draw(tmp_path / "folder" / "c.png")
    lines = ["# cameras and images", "a.png", "", "b.png\r", str(tmp_path / "folder"), "rtsp://x/y", "gone.png"]
    path = tmp_path / "lists" / "all.txt"
    path.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    found = find_sources([str(path)])
    assert [name for _, name in kinds(found)] == [
        "a.png",
        str(tmp_path / "lists" / "b.png"),
        str(tmp_path / "folder" / "c.png"),
        "rtsp://x/y",
    ]
    with pytest.raises(InputError, match=r"all\.txt:7: gone\.png: no such image(.|\n)*1 of 5 sources cannot be read"):
        check_sources(found, skip_broken=False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "names no source"),
        (b"# nothing\n\n", "names no source"),
        (b"gone.png\n", r"none of its 1 lines names a source; line 1: gone\.png: no such image"),
        (b"a\n\xff\xfe", r"l\.txt:2: is not UTF-8"),
        (b"l.txt\n", "is a list in a list"),
        (b"-\n", "standard input is not an entry"),
    ],
)
def test_a_list_that_names_nothing_says_so(
    content: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "l.txt").write_bytes(content)
    with pytest.raises(InputError, match=words):
        find_sources(["l.txt"])


def test_a_folder_that_is_watched_may_be_empty(tmp_path: Path) -> None:
    found = find_sources([str(tmp_path)], watch=True)
    assert kinds(found) == [(Kind.GROWING_FOLDER, str(tmp_path))] and found.is_endless


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("rtsp://admin:geheim@10.0.0.1:554/live?channel=1", "rtsp://admin:***@10.0.0.1:554/live?channel=1"),
        ("rtsp://admin@10.0.0.1/live", "rtsp://admin@10.0.0.1/live"),
        ("rtsp://admin:ge@heim@10.0.0.1/live", "rtsp://admin:***@10.0.0.1/live"),
        ("rtsp://admin:ge/heim@10.0.0.1/live", "rtsp://..."),
        ("http://x/a.jpg?Access_Token=geheim&n=2&X-Amz-Signature=geheim", "http://x/a.jpg?Access_Token=***&n=2"),
        ("http://x/a?user=u&password=geheim", "http://x/a?user=u&password=***"),
        ("a.jpg", "a.jpg"),
    ],
)
def test_passwords_of_addresses_are_not_shown(address: str, expected: str) -> None:
    assert "geheim" not in shown(address) and "heim@" not in shown(address) and shown(address).startswith(expected)
