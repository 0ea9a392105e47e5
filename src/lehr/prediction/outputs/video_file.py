"""A video that is written frame by frame: H.264 in MP4, playable as far as it was written if the process is killed.

While it is written, the file is fragmented: each second is complete. When it is closed it becomes an
ordinary MP4, which every player and editor opens; that of a camera or stream stays fragmented.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lehr.augment.letterbox import letterbox
from lehr.errors import InputError
from lehr.prediction.frames import Clip
from lehr.prediction.outputs.sound_track import SoundTrack

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

ENCODERS = {
    "libx264": {"preset": "veryfast", "crf": "23", "bf": "0"},
    "libopenh264": {"b": "6M"},
    "mpeg4": {"q": "4", "qmin": "3", "qmax": "6"},
}
"""Encoders with their options, the first that is there is taken: H.264 where it is. Without frames that are encoded out
of order, so that the first has the time 0 in a fragmented file too."""
CONTAINER = {"movflags": "hybrid_fragmented", "flush_packets": "1"}
LIVE_CONTAINER = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
"""Of cameras and streams, which may last for days: the file stays fragmented, so that no index of it is held until the
end (70 to 120 bytes per frame)."""
BT709 = 1
"""Colours of HD video (ITU-R BT.709), by their number in H.264."""
MAX_TICKS = 1_000_000
"""Units of time in a second at most; `MAX_MPEG4_TICKS` in MPEG-4 Part 2, which counts in 16 bits."""
MAX_MPEG4_TICKS = 65535
FINE_TICKS = 90_000
"""Units of time in a second where neither rate nor time stamps of a clip have one in common."""


class VideoFile:
    """An MP4 of the frames of a clip, with their times and, where MP4 holds it, its sound.

    Frames of odd sides get a row or a column more, a copy of the last, since H.264 halves the resolution of colours.

    Args:
        path: the file; replaced where it is there.
        clip: rate, times and sound.
        pixels: the first frame, whose size is that of the video.

    Raises:
        InputError: the file cannot be written, or no encoder takes frames of that size.
    """

    def __init__(self, path: Path, clip: Clip, pixels: NDArray[np.uint8]) -> None:
        import av

        self._av, self._path, self._clip = av, path, clip
        self._height, self._width = pixels.shape[:2]
        name = next((each for each in ENCODERS if _is_there(each)), None)
        if name is None:
            raise InputError("Videos cannot be written: this build of PyAV has no encoder of H.264 or MPEG-4.")
        self._tick, self._on_grid = _tick(clip, MAX_TICKS if name != "mpeg4" else MAX_MPEG4_TICKS)
        self._last = -1
        self._sound: SoundTrack | None = None
        options = LIVE_CONTAINER if clip.live else CONTAINER
        try:
            self._container: OutputContainer = av.open(str(path.absolute()), "w", format="mp4", options=options)
            self._stream = self._make_stream(name)
            self._sound = SoundTrack.open(clip, self._container)
            self._container.start_encoding()
        except (OSError, ValueError, av.error.FFmpegError) as error:
            raise self._failed(error) from None

    def write(self, pixels: NDArray[np.uint8], index: int, seconds: float | None) -> None:
        """Append a frame.

        Args:
            pixels: uint8 (height, width, 3), RGB; one of another size than the first is letterboxed to it.
            index: its place in the clip.
            seconds: its time from the clip's first frame; None to go by its place.

        Raises:
            InputError: it cannot be written.
        """
        if pixels.shape[:2] != (self._height, self._width):
            pixels = letterbox(pixels, self._width, self._height)[0]
        even = np.pad(pixels, ((0, self._height % 2), (0, self._width % 2), (0, 0)), mode="edge")
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.time_base, frame.pts = self._tick, self._next(index, seconds)
        frame.pict_type = self._av.video.frame.PictureType.NONE
        try:
            self._container.mux(self._stream.encode(frame))
            self._copy_sound(float(frame.pts * self._tick))
        except (OSError, ValueError, self._av.error.FFmpegError) as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """End the video, which becomes an ordinary MP4.

        Raises:
            InputError: it cannot be written.
        """
        try:
            self._container.mux(self._stream.encode(None))
            self._copy_sound(float((self._last + 1) * self._tick) + float(1 / self._clip.rate))
        except (OSError, ValueError, self._av.error.FFmpegError) as error:
            raise self._failed(error) from None
        finally:
            if self._sound is not None:
                self._sound.close()
            self._end()

    def _end(self) -> None:
        try:
            self._container.close()
        except (OSError, ValueError, self._av.error.FFmpegError) as error:
            raise self._failed(error) from None

    def _make_stream(self, name: str) -> VideoStream:
        stream: Any = self._container.add_stream(name, rate=self._clip.rate.limit_denominator(10**6))
        stream.width, stream.height = self._width + self._width % 2, self._height + self._height % 2
        stream.pix_fmt, stream.options = "yuv420p", ENCODERS[name]
        stream.time_base = stream.codec_context.time_base = self._tick
        context = stream.codec_context
        context.gop_size = max(1, min(250, round(self._clip.rate)))
        context.sample_aspect_ratio = self._clip.pixel_aspect
        context.colorspace = context.color_primaries = context.color_trc = BT709
        return stream  # type: ignore[no-any-return]

    def _next(self, index: int, seconds: float | None) -> int:
        """The time of a frame in ticks: after that of the one before it."""
        steady = index / self._clip.rate
        time = steady if seconds is None else Fraction(seconds)
        if self._on_grid and abs(time - steady) <= self._clip.time_base:
            time = steady  # to which rounding of the source's time stamps had added a little
        self._last = max(self._last + 1, round(time / self._tick))
        return self._last

    def _copy_sound(self, seconds: float) -> None:
        if self._sound is not None:
            self._sound.copy_until(seconds)

    def _failed(self, error: BaseException) -> InputError:
        reason = getattr(error, "strerror", None) or error
        size = f"{self._width}x{self._height}"
        return InputError(f"{self._path}: the video of {size} pixels cannot be written ({reason}).")


def _is_there(name: str) -> bool:
    """Return whether PyAV's build has an encoder."""
    import av

    try:
        return bool(av.codec.Codec(name, "w"))
    except (ValueError, av.error.FFmpegError):
        return False


def _tick(clip: Clip, max_ticks: int) -> tuple[Fraction, bool]:
    """The unit of time of a video: rate and time stamps of the clip are multiples of it, if there is one.

    Returns:
        Seconds; and whether the rate is a multiple, so that frames at a steady rate keep exactly it.
    """
    stamps = clip.time_base.denominator
    common = math.lcm(clip.rate.numerator, stamps)
    if common <= max_ticks:
        return Fraction(1, common), True
    if clip.rate.numerator <= max_ticks and clip.rate.numerator >= stamps:
        return Fraction(1, clip.rate.numerator), True
    return Fraction(1, min(max_ticks, stamps if 1000 <= stamps <= max_ticks else FINE_TICKS)), False
