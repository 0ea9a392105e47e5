"""What a new run finds out about its device before it begins: images a step, and the precision."""

from __future__ import annotations

from collections.abc import Callable

from lehr.config import TrainConfig
from lehr.data.batch import Batch
from lehr.data.loader import train_keys
from lehr.distributed.ranks import Ranks
from lehr.engine.autobatch import choose_batch
from lehr.engine.compute import Compute
from lehr.engine.data_start import RunData
from lehr.engine.precision_start import PrecisionChoice, choose_precision
from lehr.techniques.multi_scale import SizeRange
from lehr.techniques.precision import wanted_precision


def choose_speed(
    config: TrainConfig,
    data: RunData,
    compute: Compute,
    sizes: SizeRange | None,
    say: Callable[[str], None],
    ranks: Ranks,
) -> tuple[TrainConfig, PrecisionChoice]:
    """A run's options with its images a step, and its precision.

    Rank 0 finds out for all processes, with one process's share of a batch. The batch is measured in the precision that
    is hoped for, and measured again where that is refused, since float32 takes more memory.

    Args:
        config: the run's options.
        data: its data.
        compute: its model and loss, on the device.
        sizes: what multi-scale training draws from; None for one size.
        say: told what was found.
        ranks: the processes that train together.

    Raises:
        InputError: an option asks for what this device cannot do.
        LehrError: not even one image fits.
    """
    most = None if sizes is None else sizes.most
    measured = not isinstance(config.data.batch, int)
    asked, hoped = config, wanted_precision(config.speed.amp, compute.device)
    if measured:
        config = asked.with_batch(
            ranks.agreed(lambda: choose_batch(asked, data, compute, most, hoped, say, ranks.count))
        )

    def first_batch() -> Batch:
        seed, rect = config.run.seed, config.data.rect
        share = config.batch // ranks.count
        keys = train_keys(data.train_store.samples, share, seed, 0, rect=rect)[:1]
        return next(iter(data.train_loader.batches(keys))).to(compute.device)

    choice = choose_precision(config, compute, first_batch, say, ranks)
    if measured and choice.precision is not hoped:
        settled = choice.precision
        config = asked.with_batch(
            ranks.agreed(lambda: choose_batch(asked, data, compute, most, settled, say, ranks.count))
        )
    return config, choice
