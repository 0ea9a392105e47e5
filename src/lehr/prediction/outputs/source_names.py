"""Names of the files that are written for a source: each its own, within the folder, whatever the source is called."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from lehr.prediction.frames import Clip, Frame
from lehr.runtime.plain_text import CONTROLS

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
UNFIT = "/\\\0\t\n" + ('<>:"|?*' if os.name == "nt" else "")
"""Characters that no name has, besides control characters."""
MAX_BYTES = 180
"""Bytes of a name at most; file systems take 255, of which endings and numbers need some."""


def plain_name(text: str, default: str) -> str:
    """Return a text as the name of one file or folder: without separators, control characters, and outer dots.

    Args:
        text: what somebody else chose, e.g. the name of a class.
        default: the name if nothing is left of it.

    Examples:
        >>> plain_name("../up", "class")
        '_up'
    """
    kept = CONTROLS.sub("_", "".join("_" if letter in UNFIT else letter for letter in text)).strip(". ")
    short = kept.encode(errors="surrogateescape")[:MAX_BYTES].decode(errors="ignore").strip(". ")
    return short or default


def file_stem(source: str) -> str:
    """Return the name, without ending, of files that are written for a source: a file, an address or a camera."""
    if ADDRESS.match(source):
        parts = urlsplit(source)
        name = PurePosixPath(unquote(parts.path)).stem or parts.hostname or ""
        return plain_name(name, "stream")
    if source.isdigit():
        return f"camera-{source}"
    return plain_name(Path(source).stem, "image")


class SourceNames:
    """Names of files, without ending, one for each image, video and stream, and the same for all outputs.

    Sources that would have the same, as images of the same name in several folders, get a number.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._clips: dict[int, tuple[Clip, str]] = {}
        self._last: tuple[Frame | None, str] = None, ""

    def of(self, frame: Frame) -> str:
        """The name of what a frame is of: of its video or stream, or of itself where it is an image."""
        if frame.clip is not None:
            clip, name = self._clips.get(id(frame.clip)) or (frame.clip, self._free(file_stem(frame.source)))
            self._clips[id(clip)] = clip, name
            return name
        if self._last[0] is not frame:
            self._last = frame, self._free(file_stem(frame.source))
        return self._last[1]

    def of_each(self, frame: Frame) -> str:
        """The name of a single frame, with its place in its video or stream."""
        return self.of(frame) if frame.clip is None else f"{self.of(frame)}_{frame.index:06d}"

    def _free(self, stem: str) -> str:
        """A name that is not taken, whatever the case of its letters."""
        name, number = stem, 2
        while name.casefold() in self._taken:
            name, number = f"{stem}-{number}", number + 1
        self._taken.add(name.casefold())
        return name
