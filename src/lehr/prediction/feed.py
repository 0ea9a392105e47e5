"""Frames of several sources at once, read in separate threads into one bounded queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from lehr.errors import LehrError
from lehr.prediction.bounded_queue import BoundedQueue, Closed
from lehr.prediction.frames import Frame
from lehr.runtime.console import LOGGER

POLL_SECONDS = 0.1
"""Longest wait of the computing thread before it looks whether it is to stop."""
JOIN_SECONDS = 2.0
"""Longest wait for a thread that reads; one that a dead stream holds longer ends with the process."""


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A source, or several one after the other, that a thread reads.

    Attributes:
        name: of the source, for people.
        frames: gives its frames, in order; what it is called with is set when it is to end.
        live: it does not wait for whoever is slower than it: its oldest frames that wait are dropped.
        pauses: its next frame may take long, so that a batch is not filled but predicted unfilled.
    """

    name: str
    frames: Callable[[threading.Event], Iterator[Frame]]
    live: bool = False
    pauses: bool = False


@dataclass(slots=True)
class FeedCounts:
    """Counts of the frames of a feed.

    Attributes:
        read: frames read.
        broken: frames that could not be read.
        dropped: frames of cameras and streams that were dropped, since computing or writing took longer.
    """

    read: int = 0
    broken: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Failures:
    own: list[LehrError] = field(default_factory=list)
    unexpected: BaseException | None = None


class FrameFeed:
    """Reads sources in threads while it is entered, and gives their frames in batches.

    Args:
        readers: the sources.
        batch: frames of a batch, at most.
    """

    def __init__(self, readers: Sequence[Reader], batch: int) -> None:
        self.counts = FeedCounts()
        self._readers = readers
        self._batch = batch
        self._fill = not any(reader.live or reader.pauses for reader in readers)
        self._queue: BoundedQueue[Frame] = BoundedQueue(2 * batch, lambda frame: frame_bytes(frame))
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._running = len(readers)
        self._failures = _Failures()
        self._threads = [
            threading.Thread(target=self._read, args=(reader,), name=f"lehr-read-{number}", daemon=True)
            for number, reader in enumerate(readers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._queue.close()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def next_batch(self) -> list[Frame]:
        """The next frames, in order; none if a short while brings none.

        Raises:
            BaseException: what a reader met that it should not have.
        """
        frames = self._queue.take(self._batch, POLL_SECONDS, fill=self._fill)
        if self._failures.unexpected is not None:
            raise self._failures.unexpected
        return frames

    @property
    def is_over(self) -> bool:
        """True when all sources have ended and their frames were taken."""
        return self._queue.is_over

    def raise_failure(self) -> None:
        """Raise why the first source that failed did so, where one did."""
        if self._failures.own:
            raise self._failures.own[0]

    def _read(self, reader: Reader) -> None:
        """Read a source to its end, in a thread."""
        try:
            with closing(_as_generator(reader.frames(self._stop))) as frames:
                for frame in _with_ends(frames):
                    dropped = self._queue.put(frame, reader if reader.live else None)
                    with self._lock:
                        self.counts.read += frame.size is not None
                        self.counts.broken += frame.size is None and not frame.ends_clip
                        self.counts.dropped += dropped
                    if self._stop.is_set():
                        break
        except Closed:
            pass
        except LehrError as error:
            with self._lock:
                self._failures.own.append(error)
                others = self._running > 1
            if others:
                LOGGER.warning("%s", error)
        except BaseException as error:  # raised again where frames are taken
            self._failures.unexpected = error
        finally:
            with self._lock:
                self._running -= 1
                last = self._running == 0
            if last or self._failures.unexpected is not None:
                self._queue.finish()


def frame_bytes(frame: Frame) -> int:
    """Bytes of a frame's pixels."""
    return 0 if frame.pixels is None else frame.pixels.nbytes


def _as_generator(frames: Iterator[Frame]) -> Generator[Frame, None, None]:
    yield from frames


def _with_ends(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Frames, and behind the last of each clip what says so."""
    last: Frame | None = None
    for frame in frames:
        if last is not None and last.clip is not None and frame.clip is not last.clip:
            yield _end_of(last)
        last = replace(frame, pixels=None)  # of whose pixels nothing is held while the next is read
        yield frame
    if last is not None and last.clip is not None:
        yield _end_of(last)


def _end_of(frame: Frame) -> Frame:
    return replace(frame, fault="", index=frame.index + 1, ends_clip=True)
