"""The processes that train together: who this one is, and what they tell each other.

Each process holds the same training state and computes its share of every batch. What has to be one for all (what a
file holds, what was measured, when to stop) is found by rank 0 and told to the others. An exchange never hangs: it ends
with an error when a process is lost, or after a time-out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lehr.errors import InputError, LehrError

Answer = TypeVar("Answer")
Item = TypeVar("Item")

SIGNS = ("gloo", "connection", "nccl", "socket", "broken pipe", "timed out")
"""Words of torch's errors when processes lose touch, which have no class of their own under gloo."""


class PeerLost(LehrError):
    """Another process of the run does not answer any more."""


class RankFailed(LehrError):
    """Another process of the run has failed, and told why."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(slots=True)
class Ranks:
    """The processes of a run, as one of them sees them.

    Attributes:
        rank: this process, from 0.
        count: all of them.
        local_rank: this process among those of its machine.
        local_count: those of its machine.
        node: its machine, from 0.
        place: what this process is doing, for messages.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    node: int = 0
    place: str = "the preparation"
    last: float | None = None
    """When this process last said where it is, by the clock of `time.monotonic`; None while it is not watched."""

    def at(self, place: str) -> None:
        """Says where this process is; from the first time on it is watched for getting stuck."""
        self.place, self.last = place, time.monotonic()

    def done(self) -> None:
        """Says that nothing is left that others wait for."""
        self.last = None

    @property
    def watched(self) -> bool:
        """Whether this process is watched for getting stuck."""
        return self.last is not None

    @property
    def silence(self) -> float:
        """Seconds since this process last said where it is; 0 while it is not watched."""
        return 0.0 if self.last is None else time.monotonic() - self.last

    @property
    def is_distributed(self) -> bool:
        """Whether there is more than one."""
        return self.count > 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and logs."""
        return self.rank == 0

    def broadcast_from_rank0(self, find: Callable[[], Answer]) -> Answer:
        """What rank 0 finds, for every process; only rank 0 looks.

        Args:
            find: finds the answer, which can be pickled.

        Raises:
            LehrError: as rank 0 raised it.
        """
        if not self.is_distributed:
            return find()
        told: list[Any] = [None]
        if self.is_main:
            told = [_outcome(find)]
        dist.broadcast_object_list(told, src=0)
        answer: Answer = _answer(told[0])
        return answer

    def broadcast_local(self, find: Callable[[], Answer]) -> Answer:
        """What the first process of each machine finds, for every process of that machine.

        Args:
            find: finds the answer, which can be pickled.

        Raises:
            LehrError: as one of them raised it.
        """
        if not self.is_distributed:
            return find()
        outcomes = self.all_gather((self.node, _outcome(find) if self.local_rank == 0 else None))
        found = [(node, outcome) for node, outcome in outcomes if outcome is not None]
        for _, outcome in found:
            _answer(outcome)
        own: Answer = next(_answer(outcome) for node, outcome in found if node == self.node)
        return own

    def all_gather(self, item: Item) -> list[Item]:
        """What each process has, by rank, for every process.

        Args:
            item: can be pickled.
        """
        if not self.is_distributed:
            return [item]
        items: list[Any] = [None] * self.count
        dist.all_gather_object(items, item)
        return items

    def gather(self, item: Item) -> list[Item]:
        """What each process has, by rank, for rank 0; nothing for the others.

        Args:
            item: can be pickled.
        """
        if not self.is_distributed:
            return [item]
        items: list[Any] | None = [None] * self.count if self.is_main else None
        dist.gather_object(item, items)
        return items or []

    def all_reduce(self, values: Tensor) -> Tensor:
        """The sum over the processes, in place; the host waits on a CPU only.

        Args:
            values: of one shape everywhere.
        """
        if self.is_distributed:
            dist.all_reduce(values)
        return values

    def shard(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of a list; parts are in the order of the ranks and differ by one item at most."""
        return items[len(items) * self.rank // self.count : len(items) * (self.rank + 1) // self.count]

    def stripe(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every so many-th of a list, beginning with this process's own."""
        return items[self.rank :: self.count]

    def unstripe(self, parts: Sequence[Sequence[Item]]) -> list[Item]:
        """A list again from what each process made of the items that it was dealt.

        Args:
            parts: by rank.
        """
        count = sum(map(len, parts))
        return [parts[place % self.count][place // self.count] for place in range(count)]


ALONE = Ranks()
"""A process by itself."""


def check_divides(batch: int, count: int) -> None:
    """Whether each of several processes gets as many images of a batch.

    Raises:
        InputError: it does not.
    """
    if batch % count:
        below, above = batch // count * count, (batch // count + 1) * count
        use = f"{below} or {above}" if below else f"{above}"
        raise InputError(
            f"--batch {batch}: does not divide over {count} processes; --batch is the images a step of all together. "
            f"Use {use}."
        )


def lost_touch(error: BaseException) -> bool:
    """Whether an error means that processes lost touch with one another."""
    if isinstance(error, dist.DistError):
        return not isinstance(error, torch.OutOfMemoryError)
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in SIGNS)


def _outcome(find: Callable[[], Any]) -> tuple[Any, tuple[str, int] | None]:
    """What was found, or the message and exit code of the error."""
    try:
        return find(), None
    except LehrError as error:
        return None, (str(error), error.exit_code)


def _answer(outcome: tuple[Any, tuple[str, int] | None]) -> Any:
    answer, failure = outcome
    if failure is None:
        return answer
    message, code = failure
    raise InputError(message) if code == InputError.exit_code else RankFailed(message, code)
