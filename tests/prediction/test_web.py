"""What an address gives is read as an image, a video or a stream; nothing that the user did not name is fetched."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.prediction.http_server import HttpServer, Page, multipart
from tests.prediction.videos import is_on_object, paint, video_bytes, write_video

from lehr.errors import InputError
from lehr.prediction import remote
from lehr.prediction.frames import Frame
from lehr.prediction.inputs import open_images
from lehr.prediction.open_sources import open_readers
from lehr.prediction.remote import RemoteFile
from lehr.prediction.sources import find_sources


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image[..., ::-1])[1].tobytes()


def frames_of(address: str) -> list[Frame]:
    return list(open_images(address))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.001)


@pytest.mark.parametrize("path", ["/a.png", "/image?id=1", "/snapshot.cgi"])
def test_an_image_is_told_by_what_comes(path: str) -> None:
    with HttpServer({path: Page(encoded(paint(3)), "application/octet-stream")}) as server:
        [frame] = frames_of(server.address + path)
    assert frame.source == server.address + path and frame.clip is None
    np.testing.assert_array_equal(frame.pixels, paint(3))


def test_several_addresses_and_files_are_read_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "c.png").write_bytes(encoded(paint(2)))
    pages = {"/a.png": Page(encoded(paint(0))), "/b": Page(encoded(paint(1)))}
    with HttpServer(pages) as server:
        found = find_sources([server.address + "/a.png", server.address + "/b", str(tmp_path / "c.png")])
        [reader] = open_readers(found)
        frames = list(reader.frames(threading.Event()))
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.pixels, paint(index))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_video_ends_and_is_read_in_parts_where_its_index_is_at_its_end(ranges: bool) -> None:
    data = video_bytes("mp4", 12)
    with HttpServer({"/v.mp4": Page(data, ranges=ranges)}) as server:
        frames = frames_of(server.address + "/v.mp4")
        assert len(frames) == 12 and all(is_on_object(f.pixels, f.index) for f in frames if f.pixels is not None)
        clip = frames[0].clip
        assert clip is not None and not clip.live and clip.frames == 12


def test_a_file_is_read_on_where_its_connection_broke() -> None:
    data = bytes(range(256)) * 40
    with HttpServer({"/f": Page(data, ranges=True, breaks_after=3000), "/g": Page(data, breaks_after=3000)}) as server:
        file = RemoteFile(server.address + "/f")
        parts = []
        while part := file.read(700):
            parts.append(part)
        assert b"".join(parts) == data
        assert [wanted for _, wanted in server.requests][1:] == ["bytes=3000-", "bytes=6000-", "bytes=9000-"]
        assert file.seek(100) == 100 and file.read(5) == data[100:105] and file.seek(-4, 2) == len(data) - 4
        assert file.read(10) == data[-4:] and file.read(10) == b""
        file.close()
        broken = RemoteFile(server.address + "/g")
        with pytest.raises(InputError, match=r"/g: broke off after 3,000 bytes"):
            while broken.read(700):
                pass
        broken.close()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (Page(status=404), "the server answers 404"),
        (Page(status=500), "the server answers 500"),
        (Page(b"<!DOCTYPE html><html>no image</html>", "text/html"), "gives text/html and no image or video"),
        (Page(b'{"error": 1}', "application/json"), "gives application/json and no image or video"),
        (Page(b""), "is not a video that can be read"),
        (Page(encoded(paint(0))[:200], "image/png"), "is truncated|damaged|cannot be decoded|ends"),
        (Page(status=302, headers={"Location": "file:///etc/passwd"}), "not followed|not allowed"),
        (Page(status=302, headers={"Location": "ftp://127.0.0.1/a"}), "redirects to ftp, which is not followed"),
        (Page(status=302, headers={"Location": "/page"}), "redirect"),
    ],
)
def test_what_cannot_be_read_says_so(page: Page, words: str) -> None:
    with HttpServer({"/page": page}) as server, pytest.raises(InputError, match=words) as caught:
        frames_of(server.address + "/page")
    assert str(caught.value).startswith(server.address + "/page: ")


def test_a_redirect_to_an_address_is_followed() -> None:
    pages = {"/a": Page(status=301, headers={"Location": "/b.png"}), "/b.png": Page(encoded(paint(1)))}
    with HttpServer(pages) as server:
        [frame] = frames_of(server.address + "/a")
    assert frame.pixels is not None and frame.source.endswith("/a")


def test_a_server_that_is_not_there_says_so() -> None:
    server = HttpServer({})
    server.cut()
    with pytest.raises(InputError, match="cannot be reached"):
        frames_of(server.address + "/a.png")


def test_a_password_is_given_where_it_is_asked_for_and_not_shown() -> None:
    page = Page(encoded(paint(1)), password=base64.b64encode(b"admin:ge heim").decode())
    with HttpServer({"/a.png": page}) as server:
        host = f"127.0.0.1:{server.port}/a.png"
        [frame] = frames_of(f"http://admin:ge%20heim@{host}")
        assert frame.pixels is not None and frame.source == f"http://admin:***@{host}"
        with pytest.raises(InputError, match=r"admin:\*\*\*@127.*answers 401") as caught:
            frames_of(f"http://admin:falsch@{host}")
        assert "falsch" not in str(caught.value)


@pytest.mark.parametrize("kind", ["image/x-ms-bmp", "multipart"])
def test_an_image_larger_than_its_pixels_is_not_read_to_its_end(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lehr.prediction.pixels.PART", 1000)
    monkeypatch.setattr("lehr.data.images.files.OTHER_BYTES", 5000, raising=False)
    head = encoded(paint(0), ".bmp")
    sent = Page(head, parts=[head, *[bytes(10_000)] * 100_000], seconds=0)
    with HttpServer({"/a.bmp": sent}) as server, pytest.raises(InputError, match="more than"):
        frames_of(server.address + "/a.bmp")


def test_a_stream_of_jpegs_has_no_end() -> None:
    parts = multipart([encoded(paint(index), ".jpg") for index in range(10)])
    page = Page(kind="multipart/x-mixed-replace;boundary=frame", parts=parts)
    with HttpServer({"/mjpg": page}) as server:
        [reader] = open_readers(find_sources([server.address + "/mjpg"]))
        assert reader.live
        stop = threading.Event()
        frames = list(_until(reader.frames(stop), stop, 15))
    assert len(frames) >= 15 and frames[3].clip is not None and frames[3].clip.live
    assert frames[3].pixels is not None and is_on_object(frames[3].pixels, 3)


def _until(frames: Iterator[Frame], stop: threading.Event, count: int) -> Iterator[Frame]:
    for number, frame in enumerate(frames, 1):
        yield frame
        if number >= count:
            stop.set()


def hls_pages(folder: Path) -> dict[str, Page]:
    write_video(folder / "v.m3u8", 30, container="hls", container_options={"hls_time": "0.4", "hls_list_size": "0"})
    return {f"/{path.name}": Page(path.read_bytes()) for path in folder.iterdir()}


def test_a_playlist_gives_the_parts_on_its_own_host(tmp_path: Path) -> None:
    with HttpServer(hls_pages(tmp_path)) as server:
        [reader] = open_readers(find_sources([server.address + "/v.m3u8"]))
        stop = threading.Event()
        frames = list(_until(reader.frames(stop), stop, 30))
    assert len(frames) == 30 and all(is_on_object(f.pixels, f.index) for f in frames if f.pixels is not None)


@pytest.mark.parametrize("target", ["file://{folder}/v0.ts", "http://localhost:{port}/v0.ts"])
def test_a_playlist_reaches_neither_files_nor_other_hosts(target: str, tmp_path: Path) -> None:
    pages = hls_pages(tmp_path)
    with HttpServer(pages) as other, HttpServer(dict(pages)) as server:
        text = pages["/v.m3u8"].body.decode()
        evil = text.replace("v0.ts", target.format(folder=tmp_path, port=other.port))
        server._pages["/v.m3u8"] = Page(evil.encode())  # type: ignore[index]
        with pytest.raises(InputError):
            open_readers(find_sources([server.address + "/v.m3u8"]))[0].frames(threading.Event()).__next__()
        assert other.requests == []
