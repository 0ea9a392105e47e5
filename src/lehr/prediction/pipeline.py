"""Prediction in three stages, each in its own thread: reading, computing and writing, with bounded queues between them.

A slow disk holds up computing, and computing holds up reading, so that memory never grows; cameras and streams, which
nothing can hold up, lose their oldest frames instead. An error in any stage ends all, after what was computed before it
has been written; outputs are closed whatever happens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from lehr.detections import Detections
from lehr.prediction.bounded_queue import BoundedQueue, Closed
from lehr.prediction.feed import FrameFeed, Reader, frame_bytes
from lehr.prediction.frames import Frame, Output

Predict: TypeAlias = Callable[[Sequence[Frame]], Sequence[Detections]]
"""The detections of each frame of a batch, in order."""


@dataclass(frozen=True, slots=True)
class PipelineCounts:
    """Counts of a run of the pipeline.

    Attributes:
        predicted: frames whose objects were looked for.
        broken: frames that could not be read.
        dropped: frames of cameras and streams that were dropped, since computing or writing took longer.
        stopped: whether it was asked to stop before the end.
    """

    predicted: int
    broken: int
    dropped: int
    stopped: bool


def run_pipeline(
    readers: Sequence[Reader],
    predict: Predict,
    outputs: Sequence[Output],
    *,
    batch: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
) -> PipelineCounts:
    """Predict the frames of sources and hand the results to outputs, until the sources end.

    Args:
        readers: the sources; those of several readers are read at once and come as they are there.
        predict: called in this thread, with a batch.
        outputs: called from one thread of their own, frame by frame; closed at the end.
        batch: frames at once.
        should_stop: asked between batches, e.g. whether Ctrl-C was pressed; what was computed is then still written.

    Raises:
        InputError: a source cannot be read, after the others have ended; or an output cannot be written.
    """
    predicted = broken = 0
    stopped = False
    with _Writer(outputs, 2 * batch) as writer, FrameFeed(readers, batch) as feed:
        while not feed.is_over:
            if should_stop():
                stopped = True
                break
            frames = feed.next_batch()
            if not frames:
                continue
            images = [frame for frame in frames if not frame.ends_clip]
            found = iter(predict(images) if images else ())
            missing = sum(frame.size is None for frame in images)
            broken += missing
            predicted += len(images) - missing
            for frame in frames:
                writer.put(frame, None if frame.ends_clip else next(found))
    feed.raise_failure()
    return PipelineCounts(predicted, broken, feed.counts.dropped, stopped)


class _Writer:
    """The thread that writes, while entered; afterwards everything is written and outputs are closed.

    Args:
        outputs: where results go.
        max_frames: frames that wait, at most.
    """

    def __init__(self, outputs: Sequence[Output], max_frames: int) -> None:
        self._outputs = outputs
        self._queue: BoundedQueue[tuple[Frame, Detections | None]] = BoundedQueue(
            max_frames, lambda result: frame_bytes(result[0])
        )
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="lehr-write", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is KeyboardInterrupt:
            self._queue.close()
        else:
            self._queue.finish()
        self._thread.join()
        if self._error is not None and (error is None or isinstance(error, Closed)):
            raise self._error from None

    def put(self, frame: Frame, detections: Detections | None) -> None:
        """Hand over a result, or without one the end of a clip; waits where many wait already.

        Raises:
            Closed: writing has failed; leaving raises why.
        """
        self._queue.put((frame, detections))

    def _write(self) -> None:
        try:
            while not self._queue.is_over:
                for frame, detections in self._queue.take(1, timeout=60):
                    for output in self._outputs:
                        if detections is not None:
                            output.write(frame, detections)
                        elif frame.clip is not None:
                            output.end_clip(frame.clip)
                    if frame.regions is not None:
                        frame.regions.close()
        except BaseException as error:  # raised again where results are handed over
            self._error = error
        finally:
            self._queue.close()
            for output in self._outputs:
                try:
                    output.close()
                except BaseException as error:
                    self._error = self._error or error
