"""Replay: each batch holds some images of an older data set, so that what was learned from it is not forgotten.

Of the `batch` images of a batch, `max(1, round(batch * share))` are older ones (Robins, "Catastrophic Forgetting,
Rehearsal and Pseudorehearsal", 1995; Rolnick et al., "Experience Replay for Continual Learning", 2019). An epoch is as
long as it takes to show the run's own images once; the older ones continue where the last epoch ended, all of them
before any repeats.
"""

from __future__ import annotations

from dataclasses import dataclass

from lehr.errors import InputError
from lehr.rng import generator
from lehr.runtime.plain_text import one_line
from lehr.technique import Run, Section, State, Switch, Technique


def replayed_images(batch: int, share: float) -> int:
    """Number of older images in a batch: at least one if there is a share, and never all.

    Args:
        batch: images of the batch.
        share: share of older images, 0 up to 1; 0 is none.
    """
    return 0 if share == 0 or batch < 2 else min(batch - 1, max(1, round(batch * share)))


def replayed_beside(own: int, batch: int, share: float) -> int:
    """Number of older images next to some of the run's own; the last batch of an epoch has fewer.

    Args:
        own: images of the batch that are the run's own, 1 or more.
        batch: images of a whole batch.
        share: share of older images.
    """
    count = replayed_images(batch, share)
    return 0 if count == 0 else max(1, round(own * count / (batch - count)))


@dataclass(frozen=True, slots=True)
class Replay:
    """Replay of older images in a run's batches.

    Attributes:
        own: images of the run's own training split, 1 or more.
        batch: images of a whole batch.
        share: share of older images in a batch; 0 is none.
    """

    own: int
    batch: int
    share: float

    def __post_init__(self) -> None:
        """Check that a batch has room for an older image.

        Raises:
            InputError: it does not.
        """
        if self.share > 0 and self.batch < 2:
            raise InputError(
                f"--replay {self.share:g} with --batch 1: a batch must hold at least 2 images; raise --batch."
            )

    @property
    def own_batch(self) -> int:
        """Number of the run's own images in a whole batch."""
        return self.batch - replayed_images(self.batch, self.share)

    @property
    def batches(self) -> int:
        """Batches of an epoch: enough to show each of the run's own images once."""
        return -(-self.own // self.own_batch)

    @property
    def replayed(self) -> int:
        """Older images of an epoch."""
        whole, rest = divmod(self.own, self.own_batch)
        last = self.beside(rest) if rest else 0
        return whole * replayed_images(self.batch, self.share) + last

    def beside(self, own: int) -> int:
        """Count the older images of a batch that has some of the run's own."""
        return replayed_beside(own, self.batch, self.share)

    @property
    def images(self) -> int:
        """Images of an epoch."""
        return self.own + self.replayed


def draw_replayed(images: int, count: int, seed: int, epoch: int) -> list[int]:
    """Draw the older images of an epoch, in order: all in turn, each turn in a new order.

    Args:
        images: of the older training split.
        count: shown per epoch.
        seed: the run's seed.
        epoch: the epoch, from 0.
    """
    first, drawn = epoch * count, []
    for turn in range(first // images, (first + count - 1) // images + 1):
        order = generator(seed, "replay", turn).permutation(images)
        start, end = max(first - turn * images, 0), min(first + count - turn * images, images)
        drawn += order[start:end].tolist()
    return drawn


def describe_replay(replay: Replay, older: int, source: str) -> str:
    """Describe in one line what is replayed.

    Args:
        replay: of the run.
        older: images of the older training split.
        source: the older data.
    """
    count = replayed_images(replay.batch, replay.share)
    return (
        f"Replay: {count} of the {replay.batch} images of a batch are of {one_line(source)}, {replay.replayed} of its "
        f"{older} training images per epoch; all of them are shown before any repeats."
    )


def _value(run: Run) -> str:
    data, batch = run.config.data, run.config.batch
    return f"{replayed_images(batch, data.replay)} of the {batch} images of a batch are of {data.keep_val}"


TECHNIQUE = Technique(
    name="replay",
    page="replay",
    section=Section.DATA,
    order=36,
    options=("replay",),
    why="knowledge from an older data set is not forgotten",
    state=lambda run: State(run.config.data.replay > 0, _value(run)),
    turn_on="--keep-val DATA --replay 0.25",
    # Not in `all`: it needs an older data set.
    switches=(Switch("replay", {"replay": 0.25}, {"replay": 0.0}, in_all=False),),
    code=("data/requests.py", "engine/older.py"),
)
