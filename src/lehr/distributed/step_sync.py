"""One small all-reduce per step: everything that processes exchange besides gradients.

That is the loss, the BatchNorm statistics, the counts of objects, and requests: to stop, after a signal, or to save.
All processes learn of a request at the same step, without waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lehr.distributed.collectives import Ranks
from lehr.runtime.signals import STOPPING


@dataclass(frozen=True, slots=True)
class StepFlags:
    """Counts and requests of a step, over all processes.

    Attributes:
        instances: objects of the batch.
        replaced: number of its images that were replaced.
        save: whether one of them wants the state saved.
        stop: the signal that asks for the end; None while none does.
    """

    instances: int
    replaced: int
    save: bool
    stop: int | None

    @classmethod
    def of(cls, values: Sequence[float]) -> StepFlags:
        """Decode the numbers of `StepSync`."""
        instances, replaced, save, *signals = map(round, values)
        came = [signum for signum, count in zip(STOPPING, signals, strict=True) if count]
        return cls(instances, replaced, save > 0, came[0] if came else None)


class StepSync:
    """The small sum of each step.

    Args:
        ranks: the processes.
        statistics: the BatchNorm statistics in a block, averaged in place, weighted by images; None if they are equal
            anyway.
        device: of this process.
    """

    def __init__(self, ranks: Ranks, statistics: Tensor | None, device: torch.device) -> None:
        self._ranks = ranks
        self._statistics = statistics
        self._device = device

    def __call__(
        self, loss: Tensor, *, instances: int, replaced: int, share: float, save: bool, stop: int | None
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of the whole batch and the flags of all processes; the host only waits on a CPU.

        Args:
            loss: (parts,), of this process; the whole batch's is the mean.
            instances: objects of this process's share of the batch; 0 if it has none.
            replaced: number of its images that were replaced.
            share: its share of the images of the batch, 0 to 1.
            save: whether this process wants the state saved.
            stop: the signal that asked this process to end.

        Returns:
            (parts,), not finite if one process's is not; and numbers for `StepFlags.of`, both on the device.
        """
        values = torch.tensor(
            [instances, replaced, save, *(signum == stop for signum in STOPPING)], dtype=torch.float32
        )
        if self._device.type == "cuda":
            values = values.pin_memory().to(self._device, non_blocking=True)
        parts = [loss.float() / self._ranks.count, values]
        if self._statistics is not None:
            parts.append(self._statistics * share)
        together = self._ranks.all_reduce(torch.cat(parts))
        ended = len(loss) + len(values)
        if self._statistics is not None:
            self._statistics.copy_(together[ended:])
        return together[: len(loss)], together[len(loss) : ended]
