"""The processes that train together, and the collectives among them.

Each process holds the same training state and computes its share of every batch. Values that must be common (file
contents, measurements, when to stop) are computed on rank 0 and broadcast. An exchange never hangs: it ends with an
error when a process is lost, or after a time-out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lehr.distributed.messages import decode, encode
from lehr.errors import InputError, LehrError

Answer = TypeVar("Answer")
Item = TypeVar("Item")

LOST_PEER_MESSAGES = ("gloo", "connection", "nccl", "socket", "broken pipe", "timed out")
"""Phrases of torch's errors when processes lose contact, which have no separate class under gloo."""


class PeerLost(LehrError):
    """Another process of the run no longer responds."""


class RankFailed(LehrError):
    """Another process of the run has failed and reported why."""

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
        activity: what this process is doing, for messages.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    node: int = 0
    activity: str = "the preparation"
    last: float | None = None
    """Time of the last report of activity, by `time.monotonic`; None while this process is not watched."""

    def at(self, activity: str) -> None:
        """Report what this process is doing; from the first report on it is watched for getting stuck."""
        self.activity, self.last = activity, time.monotonic()

    def done(self) -> None:
        """Stop watching: the others no longer wait for this process."""
        self.last = None

    @property
    def watched(self) -> bool:
        """True while this process is watched for getting stuck."""
        return self.last is not None

    @property
    def silence(self) -> float:
        """Seconds since the last report of activity; 0 while this process is not watched."""
        return 0.0 if self.last is None else time.monotonic() - self.last

    @property
    def is_distributed(self) -> bool:
        """True if there is more than one process."""
        return self.count > 1

    @property
    def is_main(self) -> bool:
        """True in the process that writes files and logs, rank 0."""
        return self.rank == 0

    def broadcast_from_rank0(self, find: Callable[[], Answer], *kinds: type) -> Answer:
        """Compute a value on rank 0 only and broadcast it to every process.

        Args:
            find: computes the value, of types that `messages.encode` supports.
            kinds: classes allowed in the value.

        Raises:
            LehrError: as rank 0 raised it.
        """
        if not self.is_distributed:
            return find()
        outcome = _outcome(find) if self.is_main else None
        message = encode(outcome, kinds) if self.is_main else torch.empty(0, dtype=torch.uint8)
        length = torch.tensor([len(message)])
        dist.broadcast(length, src=0)
        if not self.is_main:
            message = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(message, src=0)
        answer: Answer = _answer(decode(message, kinds) if outcome is None else outcome)
        return answer

    def broadcast_local(self, find: Callable[[], Answer], *kinds: type) -> Answer:
        """Compute a value on the first process of each machine, for every process of that machine.

        Args:
            find: computes the value, of types that `messages.encode` supports.
            kinds: classes allowed in the value.

        Raises:
            LehrError: as one of them raised it.
        """
        if not self.is_distributed:
            return find()
        outcomes = self.all_gather((self.node, _outcome(find) if self.local_rank == 0 else None), *kinds)
        found = [(node, outcome) for node, outcome in outcomes if outcome is not None]
        for _, outcome in found:
            _answer(outcome)
        answer: Answer = next(_answer(outcome) for node, outcome in found if node == self.node)
        return answer

    def all_gather(self, item: Item, *kinds: type) -> list[Item]:
        """Gather an item of each process, by rank, on every process.

        Args:
            item: of types that `messages.encode` supports.
            kinds: classes allowed in it.
        """
        if not self.is_distributed:
            return [item]
        message, lengths = self._padded(encode(item, kinds))
        messages = [torch.empty_like(message) for _ in lengths]
        dist.all_gather(messages, message)
        return self._items(item, messages, lengths, kinds)

    def gather(self, item: Item, *kinds: type) -> list[Item]:
        """Gather an item of each process, by rank, on rank 0; nothing on the others.

        Args:
            item: of types that `messages.encode` supports.
            kinds: classes allowed in it.
        """
        if not self.is_distributed:
            return [item]
        message, lengths = self._padded(encode(item, kinds))
        messages = [torch.empty_like(message) for _ in lengths] if self.is_main else None
        dist.gather(message, messages, dst=0)
        return [] if messages is None else self._items(item, messages, lengths, kinds)

    def _padded(self, message: Tensor) -> tuple[Tensor, list[int]]:
        """Return a message as long as the longest of all processes, and how long each process's is."""
        lengths = torch.zeros(self.count, dtype=torch.int64)
        lengths[self.rank] = len(message)
        dist.all_reduce(lengths)
        return torch.nn.functional.pad(message, (0, int(lengths.max()) - len(message))), lengths.tolist()

    def _items(
        self, own: Item, messages: Sequence[Tensor], lengths: Sequence[int], kinds: Sequence[type]
    ) -> list[Item]:
        """Return the items of messages, by rank."""
        pairs = enumerate(zip(messages, lengths, strict=True))
        return [own if rank == self.rank else decode(each[:length], kinds) for rank, (each, length) in pairs]

    def all_reduce(self, values: Tensor) -> Tensor:
        """Sum over the processes, in place; the host only waits on a CPU.

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
        """Return every n-th item of a list, starting with this process's own."""
        return items[self.rank :: self.count]

    def unstripe(self, parts: Sequence[Sequence[Item]]) -> list[Item]:
        """Reassemble a list from each process's items.

        Args:
            parts: by rank.
        """
        count = sum(map(len, parts))
        return [parts[index % self.count][index // self.count] for index in range(count)]


ALONE = Ranks()
"""A single process."""


def check_divides(batch: int, count: int) -> None:
    """Check that a batch divides evenly over processes.

    Raises:
        InputError: it does not.
    """
    if batch % count:
        below, above = batch // count * count, (batch // count + 1) * count
        use = f"{below} or {above}" if below else f"{above}"
        raise InputError(
            f"--batch {batch}: does not divide over {count} processes; --batch is the number of images per step over "
            f"all of them. Use {use}."
        )


def lost_touch(error: BaseException) -> bool:
    """Return whether an error means that processes lost contact with each other."""
    if isinstance(error, dist.DistError):
        return not isinstance(error, torch.OutOfMemoryError)
    return isinstance(error, RuntimeError) and any(message in str(error).lower() for message in LOST_PEER_MESSAGES)


def _outcome(find: Callable[[], Any]) -> tuple[Any, tuple[str, int] | None]:
    """Result of a computation, or the message and exit code of its error."""
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
