"""Frames of video files and of whatever else FFmpeg demuxes, decoded by PyAV.

A video is a foreign file: it is opened by `lehr.runtime.reading` and handed over as an open file, so that a playlist in
it can open no other; only containers of a list are recognised; sizes are bounded before a frame is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.data.limits import max_pixels, too_many_pixels
from lehr.errors import InputError
from lehr.prediction.frames import Clip, Frame
from lehr.runtime.counted import counted
from lehr.runtime.installing import how_to_install
from lehr.runtime.reading import MIB, open_file

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,rm,mxf,ivf,obu,m4v,h264,hevc,"
    "av1,mjpeg,mpjpeg,dv,gif,nut,wtv"
)
"""Containers that are recognised: none of them is a playlist, reads other files, or draws by a program."""
BUFFER = MIB
"""Bytes that are read of a file at once."""
USUAL_RATE = Fraction(25)
"""Frames per second of a video that does not state them."""
MAX_RATE = 1000
"""Frames per second beyond which a video does not know its rate."""
MAX_FAILURES = 1000
"""Packets in a row that cannot be read before the rest of a video is given up."""
MAX_THREADS = 4
"""Threads that decode a video."""
FULL_TURN, QUARTER = 360, 90


class VideoFault(InputError):
    """A video that cannot be read; the message names it and says why."""


@dataclass(slots=True)
class Position:
    """Position in a clip, kept when a stream is opened again.

    Attributes:
        clip: known from the first frame on.
        index: of the next frame.
        time: of the last frame, seconds from the first; below 0 before it.
    """

    clip: Clip | None = None
    index: int = 0
    time: float = -1.0


def has_av() -> bool:
    """Return whether PyAV is installed, without importing it."""
    return find_spec("av") is not None


def import_av() -> ModuleType:
    """Import PyAV.

    Raises:
        InputError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise InputError(f"Videos and streams need PyAV ({error}). {how_to_install('video')}") from None
    return av


def read_video(path: Path, name: str | None = None) -> Iterator[Frame]:
    """The frames of a video file, in the order in which they are shown; those that cannot be decoded with their fault.

    Args:
        path: the file.
        name: what it is called; None for its path.

    Raises:
        InputError: it is not a video, has no frame that can be decoded, or PyAV is missing.
    """
    shown = name or str(path)
    with _opened(path, shown) as file, closing(open_container(file, shown)) as container:
        yield from decode(container, shown, Position(), path=path)


def probe_video(path: Path) -> None:
    """Look at the header of a video file.

    Raises:
        InputError: it is not a video that can be read, or PyAV is missing.
    """
    with _opened(path, str(path)) as file, closing(open_container(file, str(path))) as container:
        video_stream(container, str(path))


def open_container(
    file: Any,
    name: str,
    *,
    container_format: str | None = None,
    options: Mapping[str, str] | None = None,
    seconds: tuple[float, float] | None = None,
    **more: Any,
) -> InputContainer:
    """Open what FFmpeg can demux.

    Args:
        file: an open binary file; or a name that FFmpeg opens, as a device or a stream.
        name: what it is called, for messages.
        container_format: of FFmpeg, if it is known.
        options: of FFmpeg, in addition to the limits that always hold.
        seconds: to wait for it to open, and for each part of it, where it may hang.
        more: what else `av.open` takes.

    Raises:
        VideoFault: it cannot be opened.
        InputError: PyAV is missing.
    """
    av = import_av()
    limits = {"max_pixels": str(max_pixels()), "format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
    given = {**limits, **(options or {})}
    try:
        container: InputContainer = av.open(
            file, "r", format=container_format, options=given, timeout=seconds, buffer_size=BUFFER, **more
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoFault(f"{name}: {describe_error(error, is_mp4=_starts_like_mp4(file))}") from None
    return container


def decode(
    container: InputContainer, name: str, position: Position, *, path: Path | None = None, live: bool = False
) -> Iterator[Frame]:
    """The frames of an open container's best video stream, from a position on.

    Args:
        container: what `open_container` opened.
        name: what its frames are called.
        position: counts on, so that a stream that is opened again continues its frames.
        path: the video's file.
        live: whether it is a camera or a stream.

    Raises:
        VideoFault: there is no video in it, or no frame that can be decoded; of a stream, it broke.
    """
    stream = video_stream(container, name)
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = MAX_THREADS
    base = stream.time_base or Fraction(1, 1000)
    start: float | None = None
    pending: list[str] = []
    for decoded in _decoded(container, stream, name, live):
        fault = decoded if isinstance(decoded, str) else _fault_of(decoded)
        if position.clip is None:
            if fault or isinstance(decoded, str):
                pending.append(fault)
                continue
            position.clip = _clip_of(container, stream, decoded, name, path, live)
            for earlier in pending:
                yield _next_frame(position, None, earlier, None)
        if fault or isinstance(decoded, str):
            yield _next_frame(position, None, fault, None)
            continue
        time = None if decoded.pts is None else float(decoded.pts * base)
        if time is not None and start is None:  # a stream that is opened again continues behind what came before
            start = time - (0.0 if position.time < 0 else position.time + float(1 / position.clip.rate))
        elapsed = None if time is None or start is None else time - start
        pixels, fault = _pixels(decoded, position.clip)
        yield _next_frame(position, pixels, fault, elapsed)
    if position.clip is None and not live:
        raise VideoFault(
            f"{name}: none of its {counted(len(pending), 'frame')} can be decoded ({pending[0]}). Copy or "
            f"record it again."
            if pending
            else f"{name}: holds no frames. It was perhaps not recorded or copied to its end."
        )


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The stream of a container that a player would show.

    Raises:
        VideoFault: there is none, or its frames are too large.
    """
    stream = container.streams.best("video")
    if stream is None or stream.type != "video":
        held = ", ".join(sorted({each.type for each in container.streams})) or "nothing"
        raise VideoFault(f"{name}: holds no video, only {held}.")
    video: VideoStream = stream  # type: ignore[assignment]  # as its type says
    if video.codec_context is None:
        raise VideoFault(f"{name}: is of a codec that is not known here. Convert it, e.g. ffmpeg -i IN OUT.mp4")
    too_large = too_many_pixels(video.width, video.height)
    if too_large is not None:
        raise VideoFault(f"{name}: {too_large}")
    return video


def describe_error(error: Exception, *, is_mp4: bool = False) -> str:
    """Say why FFmpeg could not read something, without its name.

    Args:
        error: as PyAV raised it.
        is_mp4: whether the file begins like an MP4, whose index may be missing.
    """
    text = str(getattr(error, "strerror", None) or error).rstrip(".")
    kind = type(error).__name__
    if is_mp4 and kind == "InvalidDataError":
        return (
            "its index is missing or damaged: the recording or the copy was cut off before its end. Copy it again, or "
            "repair it with a tool for MP4 files without a moov box."
        )
    if kind in ("InvalidDataError", "ArgumentError"):
        return "is not a video that can be read: its container is not recognised, or damaged from the beginning on."
    if kind in ("ExitError", "TimeoutError"):
        return "gives no answer in time."
    if kind.startswith("HTTP") or kind in ("ConnectionRefusedError", "ConnectionResetError"):
        return f"cannot be reached ({text})."
    return f"cannot be opened ({text})."


def _opened(path: Path, name: str) -> Any:
    try:
        return open_file(path)
    except OSError as error:
        raise VideoFault(f"{name}: {error.strerror or error}.") from None


def _starts_like_mp4(file: Any) -> bool:
    """Return whether an open file begins like an MP4."""
    try:
        file.seek(0)
        return bool(file.read(8)[4:] == b"ftyp")
    except (AttributeError, OSError, ValueError, TypeError):
        return False


def _decoded(container: InputContainer, stream: VideoStream, name: str, live: bool) -> Iterator[VideoFrame | str]:
    """Decoded frames, and a fault for each packet that cannot be decoded."""
    av = import_av()
    packets = container.demux(stream)
    failures = 0
    while failures < MAX_FAILURES:
        try:
            packet = next(packets, None)
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, OSError, IndexError) as error:  # PyAV's, where a stream appears in the middle
            if live or not isinstance(error, av.error.InvalidDataError | IndexError):
                raise VideoFault(f"{name}: broke off: {describe_error(error)}") from None
            failures += 1
            packets = container.demux(stream)
            yield f"cannot be read ({_short(error)})"
            continue
        if packet is None:
            return
        frames, fault = _decode_packet(packet)
        failures = 0 if not fault else failures + 1
        if fault:
            yield fault
        yield from frames


def _decode_packet(packet: Packet[VideoStream]) -> tuple[list[VideoFrame], str]:
    """The frames of a packet, and why it could not be decoded where it could not."""
    av = import_av()
    try:
        return packet.decode(), ""
    except av.error.EOFError:
        return [], ""
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        return [], f"cannot be decoded ({_short(error)})"


def _fault_of(frame: VideoFrame) -> str:
    """Why a decoded frame is not to be used; empty if it is."""
    if frame.is_corrupt:
        return "is damaged"
    return too_many_pixels(frame.width, frame.height) or ""


def _short(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _clip_of(
    container: InputContainer, stream: VideoStream, first: VideoFrame, name: str, path: Path | None, live: bool
) -> Clip:
    """Describe a clip by its first frame and what its container says."""
    sideways = _quarters(first) % 2 == 1
    width, height = (first.height, first.width) if sideways else (first.width, first.height)
    rate = next(
        (Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate and 0 < rate <= MAX_RATE),
        USUAL_RATE,
    )
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    aspect = aspect if aspect > 0 else Fraction(1)
    return Clip(
        name,
        width,
        height,
        rate,
        stream.time_base or Fraction(1, 1000),
        stream.frames or None,
        bool(container.streams.audio),
        live,
        path,
        1 / aspect if sideways else aspect,
    )


def _next_frame(position: Position, pixels: NDArray[np.uint8] | None, fault: str, elapsed: float | None) -> Frame:
    """Make the next frame of a clip; its time rises whatever the video says."""
    clip = position.clip
    if clip is None:
        raise AssertionError("a frame comes after its clip")
    if elapsed is None or elapsed <= position.time:
        elapsed = 0.0 if position.time < 0 else position.time + float(1 / clip.rate)
    frame = Frame(
        clip.source,
        pixels,
        f"{clip.source}, frame {position.index}: {fault}" if fault else "",
        position.index,
        elapsed,
        clip,
    )
    position.index += 1
    position.time = elapsed
    return frame


def _pixels(frame: VideoFrame, clip: Clip) -> tuple[NDArray[np.uint8] | None, str]:
    """The pixels of a frame as displayed, in its clip's size; or why they cannot be had."""
    av = import_av()
    try:
        pixels: NDArray[Any] = np.rot90(frame.to_ndarray(format="rgb24"), _quarters(frame))
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        return None, f"cannot be turned into colours ({_short(error)})"
    if pixels.shape[:2] != (clip.height, clip.width):  # some streams change their size
        pixels = cv2.resize(np.ascontiguousarray(pixels), (clip.width, clip.height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(pixels, np.uint8), ""


def _quarters(frame: VideoFrame) -> int:
    """Quarter turns against the clock by which a frame is displayed; none if the video says nonsense."""
    try:
        return round(frame.rotation / QUARTER) % (FULL_TURN // QUARTER)
    except (ValueError, OverflowError):
        return 0
