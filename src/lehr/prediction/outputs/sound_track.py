"""The sound of a video, copied next to the frames, which are encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from io import FileIO
from typing import TYPE_CHECKING, Self

from lehr.errors import InputError
from lehr.prediction.frames import Clip
from lehr.prediction.video import open_container, video_stream
from lehr.runtime.console import LOGGER
from lehr.runtime.plain_text import one_line
from lehr.runtime.reading import open_file

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

IN_MP4 = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
"""Codecs of sound that MP4 holds, and players take from it."""


class SoundTrack:
    """The first sound track of a clip's file, copied packet by packet and not encoded again.

    Args:
        clip: whose sound it is.
        source: its file, open, with the file beneath it.
        stream: the track in it.
        copy: the track in the file that is written.
        container: that file.
    """

    def __init__(
        self,
        clip: Clip,
        source: tuple[InputContainer, FileIO],
        stream: AudioStream,
        copy: AudioStream,
        container: OutputContainer,
    ) -> None:
        self._clip, self._source, self._copy, self._container = clip, source, copy, container
        video = video_stream(source[0], clip.source)
        self._first = float((video.start_time or 0) * video.time_base) if video.time_base else 0.0
        self._packets: Iterator[Packet[AudioStream]] = source[0].demux(stream)
        self._waiting: Packet[AudioStream] | None = None

    @classmethod
    def open(cls, clip: Clip, container: OutputContainer) -> Self | None:
        """Add the sound of a clip to a file that is to be written; None if it has none, or none that MP4 holds."""
        import av

        if clip.path is None or not clip.sound:
            return None
        with ExitStack() as opened:
            try:
                file = opened.enter_context(open_file(clip.path))
                source = opened.enter_context(open_container(file, clip.source))
                stream = source.streams.audio[0]
                codec = stream.codec_context.name
                if codec in IN_MP4:
                    track = cls(clip, (source, file), stream, container.add_stream_from_template(stream), container)
                    opened.pop_all()
                    return track
            except (OSError, ValueError, IndexError, InputError, av.error.FFmpegError) as error:
                _report(clip, error)
                return None
        LOGGER.warning(
            "%s: its sound (%s) is not in the annotated video: MP4 does not hold it.", one_line(clip.source), codec
        )
        return None

    def copy_until(self, seconds: float) -> None:
        """Copy what is heard up to a time, seconds from the clip's first frame."""
        import av

        try:
            while True:
                packet = next(self._packets, None) if self._waiting is None else self._waiting
                self._waiting = None
                if packet is None:
                    return
                if packet.pts is None or packet.time_base is None:  # the end, or without a time
                    continue
                time = float(packet.pts * packet.time_base) - self._first
                if time > seconds:
                    self._waiting = packet
                    return
                if time >= 0:
                    shift = round(self._first / packet.time_base)
                    packet.pts -= shift
                    packet.dts = packet.pts
                    packet.stream = self._copy
                    self._container.mux(packet)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            self._packets = iter(())
            _report(self._clip, error)

    def close(self) -> None:
        """Close the clip's file."""
        for each in self._source:
            each.close()


def _report(clip: Clip, error: BaseException) -> None:
    reason = getattr(error, "strerror", None) or error
    LOGGER.warning("%s: its sound, or the rest of it, cannot be copied (%s).", one_line(clip.source), reason)
