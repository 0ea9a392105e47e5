"""The standard input gives an image, a video, or names of sources, told apart by its first bytes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.prediction.videos import is_on_object, paint, video_bytes

from lehr.errors import InputError
from lehr.prediction.open_sources import read_sources
from lehr.prediction.sources import FoundSources, Kind, find_sources


class Pipe(io.RawIOBase):
    """A pipe that gives a few bytes at a time and cannot be rewound."""

    def __init__(self, data: bytes, at_once: int) -> None:
        self._data, self._at_once, self._place = data, at_once, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = self._data[self._place : self._place + min(self._at_once, len(buffer))]
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)


def piped(data: bytes, monkeypatch: pytest.MonkeyPatch, at_once: int = 1000) -> FoundSources:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Pipe(data, at_once))))
    return find_sources(["-"])


@pytest.mark.parametrize("at_once", [7, 1000, 10**6])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_an_image_is_read(at_once: int, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cv2.imencode(suffix, paint(2)[..., ::-1])[1].tobytes()
    [frame] = read_sources(piped(data, monkeypatch, at_once))
    assert frame.source == "standard input" and frame.pixels is not None and frame.clip is None
    assert is_on_object(frame.pixels, 2)


@pytest.mark.parametrize(
    ("container", "options"),
    [
        ("matroska", {}),
        ("mpegts", {}),
        ("mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("avi", {"codec": "mjpeg", "pixel_format": "yuvj420p", "options": {"b": "2000000"}}),
    ],
)
@pytest.mark.parametrize("at_once", [100, 10**6])
def test_a_video_is_read(
    container: str, options: dict[str, object], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = piped(video_bytes(container, 12, **options), monkeypatch, at_once)
    assert [each.kind for each in found.sources] == [Kind.STANDARD_INPUT]
    frames = list(read_sources(found))
    assert len(frames) == 12
    assert all(frame.pixels is not None and is_on_object(frame.pixels, frame.index) for frame in frames)


@pytest.mark.parametrize("at_once", [3, 10**6])
def test_names_are_sources(at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "ü.png"):
        cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tofile(tmp_path / name)
    found = piped(f"{tmp_path}/a.png\n{tmp_path}/ü.png\n".encode(), monkeypatch, at_once)
    assert [path.name for path in found.images] == ["a.png", "ü.png"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "nothing came"),
        (b"gone.png\n", "none of its 1 lines names a source; line 1: gone.png"),
        (b"\n", "names no source"),
        (b"PK\x03\x04" + bytes(100), "is not a video that can be read"),
    ],
)
def test_what_is_none_of_these_says_so(data: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=f"standard input: {words}"):
        list(read_sources(piped(data, monkeypatch)))


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(b"x")))
    with pytest.raises(InputError, match="is a terminal"):
        find_sources(["-"])
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="is closed"):
        find_sources(["/dev/stdin"])
