"""Annotated videos: a copy of each video, camera or stream with its boxes."""

from __future__ import annotations

from pathlib import Path

from lehr.detections import Detections
from lehr.detections.annotate import annotate
from lehr.prediction.frames import Clip, Frame
from lehr.prediction.outputs.source_names import SourceNames
from lehr.prediction.outputs.video_file import VideoFile


class AnnotatedVideos:
    """MP4s in a folder, one a clip; images are others' business.

    Args:
        folder: where.
        names: of the sources.
    """

    def __init__(self, folder: Path, names: SourceNames) -> None:
        self._folder, self._names = folder, names
        self._open: dict[int, tuple[Clip, VideoFile]] = {}

    def write(self, frame: Frame, detections: Detections) -> None:
        """Append a frame; one that could not be read is missing, and the one before it is seen longer."""
        if frame.pixels is None or frame.clip is None:
            return
        clip, video = self._open.get(id(frame.clip), (frame.clip, None))
        if video is None:
            video = VideoFile(self._folder / f"{self._names.of(frame)}.mp4", clip, frame.pixels)
            self._open[id(clip)] = clip, video
        video.write(annotate(frame.pixels, detections), frame.index, frame.time)

    def end_clip(self, clip: Clip) -> None:
        """End a clip's video."""
        _, video = self._open.pop(id(clip), (clip, None))
        if video is not None:
            video.close()

    def close(self) -> None:
        """End all videos, those too that follow one that cannot be ended."""
        error: Exception | None = None
        for _, video in self._open.values():
            try:
                video.close()
            except Exception as failed:
                error = error or failed
        self._open.clear()
        if error is not None:
            raise error
