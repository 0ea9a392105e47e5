"""Image stores of a run, opened once per machine by the first of its processes for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lehr.config import TrainConfig
from lehr.data.cache import ImageStore, map_store, open_store
from lehr.data.images import ImageFault
from lehr.data.tiled_split import TiledSplit, of_first_images, tiling_of
from lehr.data.tiled_store import FULL_SIZE, Store, TiledStore
from lehr.distributed.collectives import Ranks
from lehr.errors import InputError
from lehr.sample import Sample


def open_both(
    own: Sequence[Sample],
    older: Sequence[Sample],
    config: TrainConfig,
    say: Callable[[str], None],
    ranks: Ranks,
    ring: int = 0,
    scaled: bool = False,
) -> tuple[Store, Sequence[Sample], Sequence[Sample]]:
    """Open the images of a run's own split, followed by those of the older data, as one store; return which are which.

    For a run on tiles, it is a store of tiles.

    Args:
        own: the run's own split.
        older: that of the older data, possibly empty.
        config: the run's options.
        say: reports what is done.
        ranks: the processes that train together; those of one machine share the cache.
        ring: maximum number of recently decoded images to keep, if not all are.
        scaled: decode JPEG files much larger than the training size at reduced scale.

    Raises:
        InputError: no image of one of them can be read.
    """
    images, known = _open_store([*own, *older], config, say, ranks, ring, scaled), set(map(id, own))
    count = sum(id(sample) in known for sample in images.samples)
    if older and count in (0, len(images.samples)):
        raise InputError(f"{config.data.keep_val if count else config.data.data}: no image of a split can be read.")
    tiling = tiling_of(config)
    store: Store = images
    if tiling is not None:
        store = TiledStore(images, TiledSplit(images.samples, tiling), config.imgsz)
    first, rest = of_first_images(store.samples, count)
    return store, first, rest


def kept_size(config: TrainConfig) -> int:
    """Return the longest side at which a run keeps images, pixels: full size if they are cut into tiles."""
    return config.imgsz if config.data.tile is None else FULL_SIZE


def _open_store(
    samples: Sequence[Sample],
    config: TrainConfig,
    say: Callable[[str], None],
    ranks: Ranks,
    ring: int,
    scaled: bool,
) -> ImageStore:
    """Prepare the images of a split, by the first process of each machine for all of its processes."""
    own: list[ImageStore] = []

    def fill() -> tuple[list[int], dict[str, Any]]:
        store, kept = _filled(samples, config, say, shared=ranks.local_count > 1, ring=ring, scaled=scaled)
        own.append(store)
        return kept, store.place

    kept, place = ranks.broadcast_local(fill)
    if own:
        return own[0]
    return map_store([samples[index] for index in kept], kept_size(config), place, scaled)


def _filled(
    samples: Sequence[Sample], config: TrainConfig, say: Callable[[str], None], shared: bool, ring: int, scaled: bool
) -> tuple[ImageStore, list[int]]:
    """Open the images of a split, and return which; images that fail to decode are skipped if allowed."""
    kept = list(range(len(samples)))
    smallest = {} if config.data.tile is None else {"smallest": 1}
    while True:
        left = [samples[index] for index in kept]
        try:
            return open_store(left, kept_size(config), config.data.cache, say, shared, ring, scaled, **smallest), kept
        except ImageFault as error:
            if not config.data.skip_broken or len(left) == 1:
                raise InputError(f"{error}\nRepair or remove it, or train without it by --skip-broken.") from None
            say(f"Skipped: {error}")
            kept = [index for index in kept if samples[index].path != error.path]
