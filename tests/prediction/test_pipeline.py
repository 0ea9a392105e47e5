"""Frames are read, computed and written in their order, in bounded memory; whatever ends one stage ends all well."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest

from lehr.detections import Detections
from lehr.errors import InputError
from lehr.prediction.bounded_queue import BoundedQueue
from lehr.prediction.feed import Reader
from lehr.prediction.frames import Clip, Frame, Output
from lehr.prediction.pipeline import run_pipeline


class Recorder:
    """An output that keeps what it is given."""

    def __init__(self, seconds: float = 0, fails_at: int | None = None) -> None:
        self.frames: list[Frame] = []
        self.ended: list[tuple[Clip, int]] = []
        self.closed = 0
        self.threads: set[int] = set()
        self._seconds, self._fails_at = seconds, fails_at

    def write(self, frame: Frame, detections: Detections) -> None:
        assert detections.source == frame.source
        if len(self.frames) == self._fails_at:
            raise OSError(28, "No space left on device")
        time.sleep(self._seconds)
        self.frames.append(frame)
        self.threads.add(threading.get_ident())

    def end_clip(self, clip: Clip) -> None:
        self.ended.append((clip, len(self.frames)))

    def close(self) -> None:
        self.closed += 1
        self.threads.add(threading.get_ident())


def predict(frames: Sequence[Frame]) -> list[Detections]:
    return [Detections.missing(frame.source, ("cat",), "") for frame in frames]


def frame(index: int, source: str = "a", side: int = 4) -> Frame:
    return Frame(source, np.zeros((side, side, 3), np.uint8), index=index)


def reader_of(frames: Sequence[Frame | BaseException], name: str = "a", **options: bool) -> Reader:
    def read(stop: threading.Event) -> Iterator[Frame]:
        for each in frames:
            if isinstance(each, BaseException):
                raise each
            yield each

    return Reader(name, read, **options)


@pytest.mark.parametrize("batch", [1, 4])
def test_outputs_hear_the_end_of_each_clip_behind_its_last_frame(batch: int) -> None:
    one, other = (Clip(name, 4, 4, Fraction(25), Fraction(1, 25)) for name in "ab")
    clips = [one, one, None, other, other, other]
    frames = [dataclasses.replace(frame(i), clip=clip) for i, clip in enumerate(clips)]
    output = Recorder()
    counts = run_pipeline([reader_of(frames)], predict, [output], batch=batch)
    assert [(clip.source, count) for clip, count in output.ended] == [("a", 2), ("b", 6)]
    assert [each.index for each in output.frames] == list(range(6))
    assert (counts.predicted, counts.broken) == (6, 0)


def test_frames_arrive_in_order_in_full_batches_and_outputs_are_closed_once() -> None:
    sizes, output = [], Recorder()
    assert isinstance(output, Output)

    def count(frames: Sequence[Frame]) -> list[Detections]:
        sizes.append(len(frames))
        return predict(frames)

    counts = run_pipeline([reader_of([frame(i) for i in range(11)])], count, [output], batch=4)
    assert sizes == [4, 4, 3] and [each.index for each in output.frames] == list(range(11))
    assert output.closed == 1 and len(output.threads) == 1 and threading.get_ident() not in output.threads
    assert (counts.predicted, counts.broken, counts.dropped, counts.stopped) == (11, 0, 0, False)


def test_a_slow_output_holds_up_reading() -> None:
    read: list[int] = []
    output = Recorder(seconds=0.005)
    most = 0

    def source(stop: threading.Event) -> Iterator[Frame]:
        nonlocal most
        for index in range(40):
            read.append(index)
            most = max(most, len(read) - len(output.frames))
            yield frame(index)

    run_pipeline([Reader("a", source)], predict, [output], batch=2)
    assert len(output.frames) == 40
    assert most <= 4 + 2 + 4 + 2  # in each queue, in the batch, and in the hands of two threads


def test_a_camera_faster_than_computing_loses_its_oldest_frames() -> None:
    output = Recorder()

    def slow(frames: Sequence[Frame]) -> list[Detections]:
        time.sleep(0.01)
        return predict(frames)

    counts = run_pipeline([reader_of([frame(i) for i in range(500)], live=True)], slow, [output])
    indices = [each.index for each in output.frames]
    assert indices == sorted(indices) and indices[-1] == 499
    assert counts.dropped == 500 - len(indices) > 400


def test_two_cameras_share_batches() -> None:
    both = threading.Barrier(2)

    def camera(name: str) -> Reader:
        def read(stop: threading.Event) -> Iterator[Frame]:
            both.wait(5)
            for index in range(3):
                yield frame(index, name)
                time.sleep(0.03)

        return Reader(name, read, live=True)

    output = Recorder()
    run_pipeline([camera("a"), camera("b")], predict, [output], batch=4)
    for name in "ab":
        assert [each.index for each in output.frames if each.source == name] == [0, 1, 2]


def test_a_broken_image_ends_all_after_those_before_it() -> None:
    output = Recorder()
    with pytest.raises(InputError, match=r"broken\.jpg"):
        run_pipeline([reader_of([frame(0), frame(1), InputError("broken.jpg")])], predict, [output], batch=4)
    assert len(output.frames) == 2 and output.closed == 1


def test_frames_that_cannot_be_read_are_counted() -> None:
    output = Recorder()
    counts = run_pipeline([reader_of([frame(0), Frame("a", None, "torn", 1), frame(2)])], predict, [output])
    assert (counts.predicted, counts.broken) == (2, 1) and len(output.frames) == 3


@pytest.mark.parametrize("fails_at", [0, 3])
def test_an_output_that_fails_ends_all_with_its_error(fails_at: int) -> None:
    failing, other = Recorder(fails_at=fails_at), Recorder()
    with pytest.raises(OSError, match="No space left"):
        run_pipeline([reader_of([frame(i) for i in range(100)])], predict, [failing, other], batch=2)
    assert failing.closed == other.closed == 1 and len(failing.frames) == fails_at


def test_an_error_of_computing_leaves_what_was_computed_and_ends_the_readers() -> None:
    output, ended = Recorder(), threading.Event()

    def endless(stop: threading.Event) -> Iterator[Frame]:
        try:
            for index in range(10**9):
                yield frame(index)
        finally:
            ended.set()

    def fail(frames: Sequence[Frame]) -> list[Detections]:
        if frames[0].index == 3:
            raise ZeroDivisionError
        return predict(frames)

    with pytest.raises(ZeroDivisionError):
        run_pipeline([Reader("a", endless)], fail, [output])
    assert [each.index for each in output.frames] == [0, 1, 2] and output.closed == 1
    assert ended.wait(1)


def test_stopping_writes_what_was_computed() -> None:
    output = Recorder(seconds=0.002)
    asked = iter(range(1000))
    counts = run_pipeline(
        [reader_of([frame(i) for i in range(1000)], pauses=True)],
        predict,
        [output],
        should_stop=lambda: next(asked) > 9,
    )
    assert counts.stopped and counts.predicted == len(output.frames) > 0 and output.closed == 1


def test_an_unexpected_error_of_a_reader_is_raised() -> None:
    output = Recorder()
    with pytest.raises(ZeroDivisionError):
        run_pipeline([reader_of([frame(0), ZeroDivisionError()])], predict, [output])
    assert output.closed == 1


def test_a_queue_is_bounded_in_bytes_too() -> None:
    queue: BoundedQueue[int] = BoundedQueue(100, lambda item: item, max_bytes=10)
    added: list[int] = []

    def add() -> None:
        for item in (4, 4, 4, 40, 1):
            queue.put(item)
            added.append(item)
        queue.finish()

    thread = threading.Thread(target=add, daemon=True)
    thread.start()
    assert queue.take(3, 5) == [4, 4]  # the third did not fit: nothing more comes before these are taken
    assert queue.take(3, 5) == [4]
    assert queue.take(3, 5) == [40]  # larger than all, but alone
    assert queue.take(3, 5) == [1] and queue.is_over
    thread.join(5)
