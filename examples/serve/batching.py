"""Dynamic batching: requests that arrive together are computed together, and no more wait than there is room for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from lehr.detections import Detections

LOG = logging.getLogger("serve")


class Full(Exception):
    """As many images wait as may; the client is to come again later."""


class Batcher:
    """Collects images into batches, and computes these one after another in a thread of its own.

    A batch begins with the first image that waits, and takes those that arrive within `wait` seconds, `size` at most.
    While one is computed the next fills up, so that under load batches are full and nobody waits for the clock.

    Args:
        compute: finds the objects of each image of a batch; called with the contents of image files.
        size: most images of a batch.
        wait: seconds that a batch waits for further images.
        room: images that may wait.
    """

    def __init__(
        self, compute: Callable[[Sequence[bytes]], Sequence[Detections]], *, size: int, wait: float, room: int
    ) -> None:
        self._compute = compute
        self._size = size
        self._wait = wait
        self._queue: asyncio.Queue[tuple[bytes, asyncio.Future[Detections]]] = asyncio.Queue(room)
        self._thread = ThreadPoolExecutor(1, "compute")
        self._task: asyncio.Task[None] | None = None
        self.batches = 0
        self.images = 0

    @property
    def waiting(self) -> int:
        """Images that wait."""
        return self._queue.qsize()

    @property
    def alive(self) -> bool:
        """Whether batches are being computed."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin to compute; called within the event loop."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """End; images that wait get no answer."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def find(self, image: bytes) -> Detections:
        """The objects of an image.

        Args:
            image: the content of an image file.

        Raises:
            Full: too many wait already.
        """
        answer: asyncio.Future[Detections] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((image, answer))
        except asyncio.QueueFull:
            raise Full from None
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._next()
            images = [image for image, _ in batch]
            try:
                found = await loop.run_in_executor(self._thread, self._compute, images)
            except Exception as error:  # whatever it is, later batches must still be computed
                LOG.exception("A batch of %d images failed.", len(batch))
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            self.batches += 1
            self.images += len(batch)
            for (_, answer), detections in zip(batch, found, strict=True):
                if not answer.done():  # its client may have given up
                    answer.set_result(detections)

    async def _next(self) -> list[tuple[bytes, asyncio.Future[Detections]]]:
        """The next batch, without those whose clients have given up."""
        batch: list[tuple[bytes, asyncio.Future[Detections]]] = []
        end = 0.0
        loop = asyncio.get_running_loop()
        while len(batch) < self._size:
            try:
                if not batch:
                    each = await self._queue.get()
                    end = loop.time() + self._wait
                else:
                    each = await asyncio.wait_for(self._queue.get(), max(0.0, end - loop.time()))
            except TimeoutError:
                break
            if not each[1].done():
                batch.append(each)
        return batch
