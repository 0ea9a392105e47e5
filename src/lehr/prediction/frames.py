"""Frames: what prediction is given one by one, of images, videos, cameras and streams; and where results go."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lehr.augment.tile_grid import Window
from lehr.data.images import ImageRegions
from lehr.detections import Detections


@dataclass(frozen=True, slots=True)
class Clip:
    """A video, a camera or a stream: what all its frames have in common.

    Attributes:
        source: its file or address, as shown to people: without a password.
        width: of its frames as displayed, pixels: turned as the video says.
        height: of its frames as displayed, pixels.
        rate: frames per second on average; that of most videos if it is not known.
        time_base: the unit in which the video counts time, seconds; each frame's `time` is a multiple of it.
        frames: count of its frames; None if it is not known before the end.
        sound: whether it has a sound track.
        live: whether it has no end of its own: a camera or a stream.
        path: its file; None if it is none.
        pixel_aspect: width of a pixel over its height, as displayed.
    """

    source: str
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    frames: int | None = None
    sound: bool = False
    live: bool = False
    path: Path | None = None
    pixel_aspect: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image, or one of a video, a camera or a stream; read, or skipped.

    Attributes:
        source: its file or address, or what else it is called; all frames of a clip have the clip's.
        pixels: uint8 (height, width, 3), RGB; None if it could not be read.
        fault: why not; empty if it could.
        index: its place in its clip, from 0, counting what could not be read; 0 of an image.
        time: seconds from the clip's first frame, rising; None of an image.
        clip: what it is a frame of; None of an image.
        ends_clip: it is not a frame, but says that no more of its clip come.
        regions: reads regions of an image that is not decoded whole, and has no `pixels` then.
        in_memory: whether the image was given as pixels or bytes, so that no file has it.
    """

    source: str
    pixels: NDArray[np.uint8] | None
    fault: str = ""
    index: int = 0
    time: float | None = None
    clip: Clip | None = None
    ends_clip: bool = False
    regions: ImageRegions | None = None
    in_memory: bool = False

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height, pixels; None if it could not be read."""
        if self.regions is not None:
            return self.regions.width, self.regions.height
        return None if self.pixels is None else (self.pixels.shape[1], self.pixels.shape[0])

    def part(self, window: Window) -> NDArray[np.uint8]:
        """The pixels of a part, uint8 (height, width, 3), RGB, not to be written to.

        Args:
            window: xyxy, whole pixels, inside it.

        Raises:
            ImageFault: it cannot be decoded there.
        """
        if self.regions is not None:
            return self.regions(window)
        assert self.pixels is not None
        x1, y1, x2, y2 = window
        return self.pixels[y1:y2, x1:x2]

    @property
    def name(self) -> str:
        """The name in messages: its source, and its place in a clip."""
        return self.source if self.clip is None else f"{self.source}, frame {self.index}"


@runtime_checkable
class Output(Protocol):
    """A destination of results: called from one thread, frame by frame, each source's in their order."""

    def write(self, frame: Frame, detections: Detections) -> None:
        """Take the results of a frame; of one that could not be read, too (`frame.pixels` is None).

        Raises:
            OSError: it cannot be written.
            InputError: it cannot be written, and why.
        """

    def end_clip(self, clip: Clip) -> None:
        """Finish what was written for a clip, of which no more frames come.

        Raises:
            OSError, InputError: as `write`.
        """

    def close(self) -> None:
        """Finish what was written; called once, also after an error or Ctrl-C."""
