"""Settings of how a run loads images, which its numbers depend on: chosen at its start, and kept on resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lehr.checkpoint.format import Checkpoint
from lehr.config import TrainConfig
from lehr.data.cache import fits_decoded, ring_room
from lehr.data.tiled_split import TiledSplit, tiling_of
from lehr.distributed.collectives import Ranks
from lehr.engine.stores import kept_size
from lehr.sample import Sample
from lehr.techniques.partner_window import chosen_window
from lehr.techniques.tiled_training import tile_window


@dataclass(frozen=True, slots=True)
class Loading:
    """Settings for loading images.

    Attributes:
        partner_window: images of the windows of an epoch's order that partners are drawn from; 0 for all images.
        scaled_decoding: training images in JPEG files that are far larger than the training size are decoded at reduced
            scale.
    """

    partner_window: int = 0
    scaled_decoding: bool = False


def choose_loading(config: TrainConfig, samples: Sequence[Sample], ranks: Ranks) -> Loading:
    """Choose how a new run loads its images by the memory of the machines, the same on all of them.

    Args:
        config: the run's options.
        samples: those that it trains on.
        ranks: the processes that train together.
    """
    size, cache = kept_size(config), config.data.cache
    here = ranks.broadcast_local(lambda: (fits_decoded(samples, size, cache), ring_room(samples, size)))
    machines = ranks.all_gather(here)
    decoded, given = all(fits for fits, _ in machines), config.data.partner_window
    tiling, window = tiling_of(config), chosen_window(given, decoded)
    if tiling is not None and given is None and not decoded:
        window = tile_window(TiledSplit(samples, tiling), min(room for _, room in machines))
    return Loading(
        window,
        not decoded and config.data.scaled_decoding != "off" and config.data.tile is None,
    )


def loading_of(checkpoint: Checkpoint | None) -> Loading | None:
    """Return the loading settings that a run started with; None for a new run.

    Runs of older versions of Lehr drew from all images and decoded all pixels.

    Args:
        checkpoint: where it resumes.
    """
    if checkpoint is None:
        return None
    plan = checkpoint.content["plan"]
    return Loading(plan.get("partner_window") or 0, bool(plan.get("scaled_decoding")))
