"""Feed from the loader to the device: copies batches, and renders them there if requested, one batch ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from lehr.data.batch import Batch
from lehr.data.loader import Loader
from lehr.data.requests import BatchRequest
from lehr.runtime.device import side_stream


class DevicePrefetcher:
    """Serves a loader's batches on the device, with rendered images.

    On CUDA the next batch is copied and rendered on a separate stream while the device computes the current one.

    Args:
        loader: yields the batches.
        device: their destination.

    Attributes:
        mark: called with `input` when a batch has come from the loader, with `copy` when it has been copied and
            rendered; on CUDA, where that overlaps with the steps, with `waiting` when a step may begin.
    """

    def __init__(self, loader: Loader, device: torch.device) -> None:
        self.loader = loader
        self.device = device
        self.mark: Callable[[str], None] = lambda stage: None
        self._stream: Any = None

    def batches(self, requests: Sequence[BatchRequest], then: Sequence[BatchRequest] = ()) -> Iterator[Batch]:
        """Yield the batches of requests, in order.

        Args:
            requests: the batches to serve.
            then: the batches that probably follow; loading processes prepare them instead of idling.

        Raises:
            InputError: an image cannot be read.
        """
        made = self.loader.batches(requests, then)
        if self.device.type != "cuda":
            for batch in made:
                self.mark("input")
                moved = batch.to(self.device)
                self.mark("copy")
                yield moved
            return
        if self._stream is None:
            self._stream = side_stream(self.device, "input")
        ahead: tuple[Batch, Any] | None = None
        for batch in made:
            coming = self._begun(batch)
            if ahead is not None:
                yield self._arrived(*ahead)
            ahead = coming
        if ahead is not None:
            yield self._arrived(*ahead)

    def _begun(self, batch: Batch) -> tuple[Batch, Any]:
        """A batch on its way to the device, and the event of its arrival."""
        arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._stream):
            moved = batch.to(self.device)
            arrival.record(self._stream)
        return moved, arrival

    def _arrived(self, batch: Batch, arrival: Any) -> Batch:
        """Make later device work wait for the batch; the host does not wait.

        The device does not wait for later work of the stream: the next batch is already on its way.
        """
        current = torch.cuda.current_stream(self.device)
        current.wait_event(arrival)
        for tensor in (batch.images, batch.boxes, batch.classes):
            tensor.record_stream(current)
        self.mark("waiting")
        return batch
