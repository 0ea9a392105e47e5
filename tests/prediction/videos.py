"""Small videos with an object that moves, written by PyAV in any container, and their bytes damaged."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, SIDE = 96, 64, 16
COLOUR = (220, 40, 40)


def corner_of(index: int, width: int = WIDTH, height: int = HEIGHT) -> tuple[int, int]:
    """Left and top of the object in a frame, pixels: it goes to and fro."""
    room = (width - SIDE, height - SIDE)
    steps = (2 * index, index)
    left, top = (abs((step + side) % (2 * side) - side) for step, side in zip(steps, room, strict=True))
    return left, top


def paint(index: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """A grey frame with a red square, RGB."""
    image = np.full((height, width, 3), 60, np.uint8)
    left, top = corner_of(index, width, height)
    image[top : top + SIDE, left : left + SIDE] = COLOUR
    return image


def found_corner(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Where the object is in decoded pixels: left and top."""
    rows, columns = np.nonzero((pixels[..., 0].astype(int) - pixels[..., 1]) > 60)
    return float(columns.min()), float(rows.min())


def is_on_object(pixels: NDArray[np.uint8], index: int) -> bool:
    """Return whether decoded pixels show the object where frame `index` has it."""
    return math.dist(found_corner(pixels), corner_of(index, pixels.shape[1], pixels.shape[0])) <= 2


def write_video(
    file: Path | io.BytesIO,
    count: int = 20,
    *,
    codec: str = "libx264",
    container: str | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    rate: int | Fraction = 25,
    times: Iterable[Fraction] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    sound: bool = False,
) -> None:
    """Write a video whose frame `i` shows `paint(i)`.

    Args:
        file: where to.
        count: of frames.
        codec: of FFmpeg.
        container: of FFmpeg; None for what the file's name says.
        size: width and height, pixels.
        rate: frames a second.
        times: of the frames, seconds; None for one every 1 / rate.
        options: of the codec; a key frame every 10 frames unless they say otherwise.
        container_options: of the container.
        pixel_format: of FFmpeg.
        sound: add a silent sound track.
    """
    with av.open(
        file if isinstance(file, io.BytesIO) else str(file), "w", format=container, options=container_options
    ) as out:
        stream: Any = out.add_stream(codec, rate=rate, options={"g": "10", "bf": "0", **(options or {})})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        track: Any = out.add_stream("aac", rate=8000, layout="mono") if sound else None
        if times is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        out.start_encoding()
        for index, time in zip(range(count), times or (Fraction(index) / rate for index in range(count)), strict=False):
            frame = av.VideoFrame.from_ndarray(paint(index, *size), format="rgb24")
            frame.time_base = Fraction(1, 1000) if times is not None else 1 / Fraction(rate)
            frame.pts = round(time / frame.time_base)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if track is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 8000
            for place in range(math.ceil(count / rate * 8000 / 1024)):
                silence.pts = place * 1024
                out.mux(track.encode(silence))
            out.mux(track.encode())


def video_bytes(container: str, count: int = 20, **options: Any) -> bytes:
    """The bytes of a video."""
    file = io.BytesIO()
    write_video(file, count, container=container, **options)
    return file.getvalue()


def without_bytes(data: bytes, start: float, end: float) -> bytes:
    """Data with a part of it lost, as shares of its length."""
    return data[: int(len(data) * start)] + data[int(len(data) * end) :]


def h264_frames(count: int, **options: Any) -> Iterator[bytes]:
    """Encoded H.264 of `paint(i)` frame by frame, as NAL units with start codes."""
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = {"g": "5", "bf": "0", "tune": "zerolatency", **options}
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(paint(index), format="rgb24")
        frame.pts = index
        for packet in context.encode(frame):
            yield bytes(packet)
    for packet in context.encode():
        yield bytes(packet)
