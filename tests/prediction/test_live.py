"""Cameras and streams are opened again when they break; their frames are numbered and timed on."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cv2
import pytest
from tests.prediction.http_server import HttpServer, Page, multipart
from tests.prediction.rtsp_server import RtspServer
from tests.prediction.videos import h264_frames, is_on_object, paint, write_video

from lehr.errors import InputError
from lehr.prediction import live
from lehr.prediction.frames import Frame
from lehr.prediction.live import open_camera, open_stream, read_live
from lehr.prediction.open_sources import open_readers
from lehr.prediction.sources import find_sources


def collect(
    frames: Callable[[threading.Event], Iterator[Frame]], count: int, at: dict[int, Callable[[], None]] | None = None
) -> list[Frame]:
    """Frames of a live source, until there are so many; meanwhile, when there are `at` so many, do something."""
    stop, found = threading.Event(), []
    for frame in frames(stop):
        found.append(frame)
        if at and len(found) in at:
            at[len(found)]()
        if len(found) >= count:
            stop.set()
    return found


def require_numbered(frames: list[Frame]) -> None:
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len({id(frame.clip) for frame in frames}) == 1
    times = [frame.time for frame in frames if frame.time is not None]
    assert len(times) == len(frames) and all(later > earlier for earlier, later in itertools.pairwise(times))


def test_an_rtsp_stream_is_read_cut_and_comes_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE", 0.05)
    caplog.set_level(logging.WARNING, "lehr")
    with RtspServer(list(h264_frames(20))) as server:

        def cut_and_come_back() -> None:
            server.cut()
            threading.Timer(0.3, server.come_back).start()

        reader = read_live(server.address, partial(open_stream, server.address))
        frames = collect(reader, 40, {15: cut_and_come_back})
        assert server.connections == 2
    require_numbered(frames)
    readable = [frame for frame in frames if frame.pixels is not None]
    assert len(readable) >= 38 and is_on_object(readable[4].pixels, 4)  # type: ignore[arg-type]
    assert readable[0].clip is not None and readable[0].clip.live
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2 and "opening it again" in messages[0] and "is back after" in messages[1]


def test_a_stream_over_http_is_read_cut_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE", 0.05)
    images = [cv2.imencode(".jpg", paint(index)[..., ::-1])[1].tobytes() for index in range(10)]
    page = Page(kind="multipart/x-mixed-replace;boundary=frame", parts=multipart(images), seconds=0.01)
    with HttpServer({"/live": page}) as server:

        def cut_and_come_back() -> None:
            server.cut()
            threading.Timer(0.2, server.come_back).start()

        [reader] = open_readers(find_sources([server.address + "/live"]))
        frames = collect(reader.frames, 30, {10: cut_and_come_back})
        assert len(server.requests) >= 2
    require_numbered(frames)


def test_two_streams_are_read_at_once() -> None:
    from lehr.prediction.inputs import open_images

    units = list(h264_frames(20))
    with RtspServer(units) as one, RtspServer(units) as two:
        frames = open_images([one.address, two.address])
        found = [next(frames) for _ in range(40)]
        frames.close()  # type: ignore[attr-defined]
    for server in (one, two):
        own = [frame.index for frame in found if frame.source == server.address]
        assert len(own) > 5 and own == sorted(own)


def test_pauses_grow_and_a_stream_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0)
            clock[0] += timeout or 0
            return False

    clock = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])

    def fail() -> Any:
        raise InputError("cam: cannot be opened (refused).")

    monkeypatch.setattr(live, "MAX_SILENCE_SECONDS", 100)
    with pytest.raises(InputError, match=r"cam: gave no frame for 100 s \(cannot be opened \(refused\)\)"):
        list(read_live("cam", fail)(Stop()))
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_camera_that_is_unplugged_is_opened_again(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lehr.prediction.video import open_container

    write_video(tmp_path / "camera.mkv", 5)
    opened: list[int] = []

    def open_again(number: int) -> Any:
        opened.append(number)
        return open_container((tmp_path / "camera.mkv").open("rb"), f"camera {number}")

    monkeypatch.setattr("lehr.prediction.open_sources.open_camera", open_again)
    monkeypatch.setattr(live, "FIRST_PAUSE", 0.01)
    [reader] = open_readers(find_sources(["7"]))
    assert reader.live and reader.name == "camera 7"
    frames = collect(reader.frames, 12)
    require_numbered(frames)
    assert opened == [7, 7, 7] and frames[0].source == "camera 7"


def test_a_camera_that_is_not_there_says_so() -> None:
    with pytest.raises(InputError, match="camera 99"):
        open_camera(99)
    with pytest.raises(InputError, match="camera 99"):
        open_readers(find_sources(["99"]))


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:9/live", "tcp://127.0.0.1:9", "rtmp://127.0.0.1:9/live"])
def test_a_stream_that_is_not_there_says_so_at_once(address: str) -> None:
    began = time.monotonic()
    with pytest.raises(InputError, match=r"cannot be reached|cannot be opened|gives no answer"):
        open_readers(find_sources([address]))
    assert time.monotonic() - began < 5


def test_a_password_of_a_stream_is_not_shown() -> None:
    with pytest.raises(InputError) as caught:
        open_stream("rtsp://admin:geheim@127.0.0.1:9/live")
    assert "admin:***@" in str(caught.value) and "geheim" not in str(caught.value)
