"""From the loader to the device: copied, drawn there where that was asked for, one batch ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from lehr.data.batch import Batch
from lehr.data.loader import Loader
from lehr.data.requests import BatchRequest
from lehr.runtime.device import side_stream


class DevicePrefetcher:
    """Serves a loader's batches on the device, their images drawn.

    On CUDA the next batch is copied and drawn on a stream of its own while the device computes the present one.

    Args:
        loader: gives the batches.
        device: where they go.

    Attributes:
        mark: told `input` when a batch has come from the loader, `copy` when it has been copied and drawn; on CUDA,
            where that happens beside the steps, `waiting` when a step may begin.
    """

    def __init__(self, loader: Loader, device: torch.device) -> None:
        self.loader = loader
        self.device = device
        self.mark: Callable[[str], None] = lambda stage: None
        self._stream: Any = None

    def batches(self, requests: Sequence[BatchRequest], then: Sequence[BatchRequest] = ()) -> Iterator[Batch]:
        """The batches of some requests, in order.

        Args:
            requests: what is asked for.
            then: what is probably asked for after it; loading processes begin it rather than rest.

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
        """A batch that what is asked of the device from here on may use; the host does not wait for it.

        Nor does the device wait for what the stream does after this batch: the next one is on its way already.
        """
        current = torch.cuda.current_stream(self.device)
        current.wait_event(arrival)
        for tensor in (batch.images, batch.boxes, batch.classes):
            tensor.record_stream(current)
        self.mark("waiting")
        return batch
