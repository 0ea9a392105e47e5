"""JSON of all results, and JSON lines while they come."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from lehr.detections import Detections
from lehr.errors import InputError
from lehr.prediction.frames import Clip, Frame
from lehr.prediction.outputs.atomic_text_file import AtomicTextFile
from lehr.runtime.atomic_write import is_device
from lehr.runtime.plain_text import as_json
from lehr.runtime.reading import open_overwrite


class JsonFile:
    """A list of the results of all frames, but of those that could not be read; the file appears at the end, whole.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = AtomicTextFile(path, "--json")

    def write(self, frame: Frame, detections: Detections) -> None:
        """Append the results of a frame."""
        if detections.fault is None:
            text = as_json(detections.as_dict(), indent=1).replace("\n", "\n ")
            self._file.write(f"{',' if self._file.is_begun else '['}\n {text}")

    def end_clip(self, clip: Clip) -> None:
        """Do nothing: the results of all sources are alike."""

    def close(self) -> None:
        """End the list, and put the file in its place."""
        if self._file.is_begun:
            self._file.write("\n]\n")
        self._file.complete()


class JsonLines:
    """A line of JSON for each frame as soon as it is done; of one that could not be read, with its `fault`.

    Args:
        path: the file; replaced if it exists. It may also be something else to write to, such as /dev/stdout.

    Raises:
        InputError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: BinaryIO = path.open("wb") if is_device(path) else open_overwrite(path)
        except OSError as error:
            raise InputError(
                f"--jsonl {path}: cannot be written ({error.strerror}). Choose another --jsonl file."
            ) from None

    def write(self, frame: Frame, detections: Detections) -> None:
        """Append the line of a frame, at once: what reads the file sees whole lines."""
        self._file.write(f"{as_json(detections.as_dict())}\n".encode())
        self._file.flush()

    def end_clip(self, clip: Clip) -> None:
        """Do nothing: the results of all sources are alike."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()
