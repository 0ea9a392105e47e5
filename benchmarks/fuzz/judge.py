"""Read a changed data set as training does, and judge the outcome."""

from __future__ import annotations

import contextlib
import resource
import signal
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
from benchmarks.fuzz.painted import COLOURS, NAMES, OBJECTS, PaintedSet
from numpy.typing import NDArray

from lehr.data.cache import ImageStore
from lehr.data.check import refuse_unusable
from lehr.data.faults import KINDS
from lehr.data.images import ImageFault
from lehr.data.load import load_dataset
from lehr.errors import InputError
from lehr.sample import Dataset, Sample

SECONDS = 5.0
GIGABYTE = 2**20
"""In kilobytes, as the system counts a process's memory."""
SAME_IOU = 0.7
NEAR_COLOUR = 120
REFUSED, READ, SKIPPED, FAILED = "refused", "read", "read with --skip-broken", "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of reading a mutant.

    Attributes:
        result: refused, read, read with --skip-broken, or failed.
        message: the refusal, or the cause of the failure.
        seconds: time it took.
    """

    result: str
    message: str = ""
    seconds: float = 0.0


class TooSlow(BaseException):
    """A mutant took longer than allowed; not an `Exception`, so that no reader handles it."""


class Failure(Exception):
    """A data set was misread, or refused without a clear message."""


def judge(made: PaintedSet, root: Path) -> Outcome:
    """Read a data set that has been written, and judge the outcome.

    Args:
        made: the data set.
        root: the folder that it was written to.
    """
    started, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with time_limit():
            result, message = _read(made, root)
    except TooSlow:
        result, message = FAILED, f"took more than {SECONDS:g} s"
    except Failure as error:
        result, message = FAILED, str(error)
    except Exception:
        result, message = FAILED, traceback.format_exc()
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if taken > memory + GIGABYTE // 2 and taken > GIGABYTE:
        result, message = FAILED, f"took {taken / GIGABYTE:.1f} GB of memory"
    return Outcome(result, message, time.perf_counter() - started)


@contextlib.contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `TooSlow` in a block that takes longer than this."""

    def stop(signal_number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _read(made: PaintedSet, root: Path) -> tuple[str, str]:
    """Return the result, and the message if the set was refused."""
    result = READ
    try:
        dataset = load_dataset(str(root / made.source))
    except InputError as error:
        return REFUSED, _clear(str(error), root)
    for fault in dataset.faults:
        if fault.kind not in KINDS:
            raise Failure(f"fault of an unknown kind: {fault!r}")
        if not fault.message.strip():
            raise Failure(f"fault without a message: {fault!r}")
    try:
        refuse_unusable(dataset)
    except InputError as error:
        message = _clear(str(error), root)
        try:
            refuse_unusable(dataset, skip_broken=True)
        except InputError:
            return REFUSED, message
        result = SKIPPED
    found, faulty = _look(made, dataset)
    if made.whole and found != OBJECTS and not dataset.faults and not faulty:
        raise Failure(f"{found} of {OBJECTS} objects were read, and nothing was reported")
    return (REFUSED if faulty else result), ""


def _clear(message: str, root: Path) -> str:
    """Check that a message is clear and names a file or an option; return it."""
    if str(root) not in message and "--data" not in message and "/" not in message:
        raise Failure(f"message that names no file or option: {message!r}")
    if len(message.split()) < 5 or "Traceback" in message or len(message) > 20_000:
        raise Failure(f"unclear message: {message[:2000]!r}")
    message.encode("utf-8", "surrogateescape")
    return message


def _look(made: PaintedSet, dataset: Dataset) -> tuple[int, int]:
    """Compare each box with the rectangles painted in its image.

    Returns:
        Number of boxes on their objects, and of images that could not be decoded.
    """
    found = faulty = 0
    guessed = any(fault.kind == "turned-image" and "assumed" in fault.message for fault in dataset.faults)
    said = {fault.path for fault in dataset.errors if fault.kind == "box-outside-image"}
    for samples in dataset.splits.values():
        store = ImageStore(samples, 96)
        for index, sample in enumerate(samples):
            _sound(sample, dataset)
            try:
                image, (width, height) = store(index)
            except ImageFault as error:
                _clear(str(error), sample.path)
                faulty += 1
                continue
            if sample.path.name in made.changed_images or not len(sample.boxes):
                continue
            scale = np.array([image.shape[1] / width, image.shape[0] / height] * 2)
            painted = [_painted(image, colour) for colour in COLOURS]
            for box, class_id in zip(sample.boxes, sample.classes.tolist(), strict=True):
                name = dataset.names[class_id]
                if _fits(box * scale, _colours(made, class_id, name), painted):
                    found += 1
                elif sample.label_path in said or guessed:
                    continue
                elif made.explains is None or not made.explains(sample.path.name, name, box.astype(np.float64)):
                    known = [None if each is None else (each / scale).tolist() for each in painted]
                    raise Failure(f"{sample.path}: {name} {box.tolist()} is on another object: {known}")
    return found, faulty


def _sound(sample: Sample, dataset: Dataset) -> None:
    boxes = sample.boxes
    inside = (boxes >= 0).all() and (boxes[:, 2:] <= [sample.width, sample.height]).all()
    if not (inside and (boxes[:, 2:] > boxes[:, :2]).all()):
        raise Failure(f"{sample.path}: boxes outside the image or without area: {boxes.tolist()}")
    if not ((sample.classes >= 0).all() and (sample.classes < len(dataset.names)).all()):
        raise Failure(f"{sample.path}: classes {sample.classes.tolist()} of {len(dataset.names)}")


def _colours(made: PaintedSet, class_id: int, name: str) -> list[int]:
    """Return the colours that an object of a class may have: one, or all if a change made a new class."""
    if not made.by_name:
        return [class_id] if class_id < len(COLOURS) else []
    known = [number for number, each in enumerate(NAMES) if name.strip().lower() == each]
    return known or ([] if made.whole else list(range(len(COLOURS))))


def _painted(image: NDArray[np.uint8], colour: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return the box around a colour, xyxy, or None if there is none."""
    near = np.abs(image.astype(np.int64) - colour).sum(-1) < NEAR_COLOUR
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    if not len(rows):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


def _fits(box: NDArray[np.float64], colours: list[int], painted: list[NDArray[np.float64] | None]) -> bool:
    for number in colours:
        other = painted[number]
        if other is None:
            continue
        shared = np.clip(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0, None).prod()
        if shared / ((box[2:] - box[:2]).prod() + (other[2:] - other[:2]).prod() - shared) >= SAME_IOU:
            return True
    return False
