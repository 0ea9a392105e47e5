"""Recording of digests (`--digests`): what each step was made of and came to, into digests.bin of the run's folder.

Before a step the digests of its batch and of the weights are asked of the device, and copied to the host without
waiting for it. They are read with the outcome of the step, which arrives behind them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lehr.callbacks.callback import Callback
from lehr.callbacks.events import BatchEnd, BatchStart, Rollback, Teardown, TrainEnd, TrainEpochStart, TrainStart
from lehr.checkpoint.digest_file import DIGESTS, END, STEP, DigestWriter, Header, Record
from lehr.runtime.console import LOGGER
from lehr.runtime.tensor_digest import WeightDigests, folded, image_digests, object_digests

RATES = ("weights", "norms", "biases")
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class _Asked:
    """Digests of a step on their way to the host."""

    step: int
    total: int
    size: int
    precision: int
    images: tuple[int, ...]
    sums: Tensor


class DigestCallback(Callback):
    """Records the digests of a run; where the disk is full, that is reported once and the run continues without."""

    name = "lehr.digests"

    def __init__(self) -> None:
        self._writer: DigestWriter | None = None
        self._weights: WeightDigests | None = None
        self._header: Header | None = None
        self._asked: deque[_Asked] = deque()

    def state_dict(self) -> dict[str, Any]:
        """Hand what is known to the system before a checkpoint is written; the step of the run says the rest."""
        self._do("flush")
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up nothing."""

    def on_train_start(self, event: TrainStart) -> None:
        """Open the file, without the steps that are done again."""
        run = event.run
        self._weights = WeightDigests(run.model.state_dict())
        self._header = Header(
            images=run.config.batch, batches=run.batches, parts=run.parts, tensors=self._weights.names
        )
        try:
            self._writer = DigestWriter(run.folder / DIGESTS, self._header, event.step)
        except OSError as error:
            self._give_up(error)

    def on_train_epoch_start(self, event: TrainEpochStart) -> None:
        """Forget steps that were not finished."""
        self._asked.clear()

    def on_rollback(self, event: Rollback) -> None:
        """Forget steps that are done again."""
        self._asked.clear()

    def on_train_batch_start(self, event: BatchStart) -> None:
        """Ask the device for the digests of a step."""
        batch, weights = event.batch, self._weights
        if self._writer is None or weights is None:
            return
        count = 0 if batch.idle else len(batch)
        parts = [image_digests(batch.images)[:count], object_digests(batch.boxes, batch.classes)[:count], weights()]
        self._asked.append(
            _Asked(
                event.step,
                batch.total,
                event.size or 0,
                PRECISIONS.index(event.precision),
                tuple(batch.indices[:count].tolist()),
                _on_host(torch.cat(parts)),
            )
        )

    def on_train_batch_end(self, event: BatchEnd) -> None:
        """Write the record of a step."""
        while self._asked and self._asked[0].step < event.step:
            self._asked.popleft()
        if self._writer is None or self._header is None or not self._asked or self._asked[0].step != event.step:
            return
        record = self._record(self._header, self._asked.popleft())
        record["finite"], record["updated"], record["accumulate"] = event.finite, event.updated, event.accumulate
        record["norm"] = math.nan if event.norm is None else event.norm
        record["scale"] = event.loss_scale or 0
        record["rates"] = [*(event.rates[name] for name in RATES), event.momentum]
        record["losses"] = [event.losses[part] for part in self._header.parts]
        self._do("write", record)

    def on_train_end(self, event: TrainEnd) -> None:
        """Write the digests of the weights after the last step."""
        if self._weights is not None and self._header is not None:
            asked = _Asked(event.step, 0, 0, 0, (), self._weights().cpu())
            record = self._record(self._header, asked)
            record["kind"] = END
            self._do("write", record)
        self._close()

    def teardown(self, event: Teardown) -> None:
        """Close the file."""
        self._close()

    def _record(self, header: Header, asked: _Asked) -> Record:
        assert self._weights is not None
        record: Record = np.zeros((), header.dtype)
        count, sums = len(asked.images), asked.sums.numpy()
        record["kind"], record["step"], record["total"] = STEP, asked.step, asked.total
        record["size"], record["precision"], record["count"] = asked.size, asked.precision, count
        record["index"][:count] = asked.images
        record["pixels"][:count], record["objects"][:count] = folded(sums[:count]), folded(sums[count : 2 * count])
        record["weights"] = folded(sums[2 * count :])
        return record

    def _do(self, what: str, *values: Any) -> None:
        if self._writer is not None:
            try:
                getattr(self._writer, what)(*values)
            except OSError as error:
                self._give_up(error)

    def _close(self) -> None:
        self._do("close")
        self._writer = None

    def _give_up(self, error: OSError) -> None:
        self._writer = None
        LOGGER.warning("%s: cannot be written (%s). The run continues without digests.", DIGESTS, error.strerror)


def _on_host(sums: Tensor) -> Tensor:
    """A copy in the host's memory, complete when what is asked of the device now is done."""
    if sums.device.type != "cuda":
        return sums.cpu()
    return torch.empty_like(sums, device="cpu", pin_memory=True).copy_(sums, non_blocking=True)
