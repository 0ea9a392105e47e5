"""The data of a run: read, checked, decoded, and served in batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from lehr.augment.own_transforms import own_transforms
from lehr.config import TrainConfig
from lehr.data.batch_makers import EvalBatches, TrainBatches
from lehr.data.check import refuse_unusable
from lehr.data.difficult import with_difficult
from lehr.data.load import load_dataset, require_split
from lehr.data.loader import Loader
from lehr.data.relocation import data_source, older_source, skip_list
from lehr.data.requests import BatchRequest, eval_requests, mix_in, train_requests
from lehr.data.skip_list import without_listed
from lehr.data.tiled_split import TiledSplit, Tiling, describe_tiles, in_tiles, tiling_of
from lehr.data.tiled_store import Store
from lehr.distributed.collectives import ALONE, Ranks
from lehr.distributed.environment import world
from lehr.engine.loading import Loading, choose_loading
from lehr.engine.older import OlderData, read_older
from lehr.engine.stores import open_both
from lehr.errors import InputError
from lehr.evaluation.background import require_labels
from lehr.runtime.counted import counted
from lehr.runtime.device import available_cores
from lehr.sample import Dataset, Sample
from lehr.techniques.partner_window import chosen_window, count_windows, describe_window, ring_images, within_windows
from lehr.techniques.plan import TrainingPlan, plan_training
from lehr.techniques.replay import Replay, draw_replayed
from lehr.techniques.sampling import describe_sampling, draw_images, epoch_shares
from lehr.techniques.single_class import as_one_class
from lehr.techniques.tiled_training import images_together, ring_of_tiles

MAX_WORKERS = 16
FEW_WORKERS = 8
"""Loading processes up to this count may take all cores; above it, a quarter is left to the training process."""
MAX_EVAL_BATCH = 32
"""Maximum number of images in a validation batch. Whole batches are distributed over the processes, so that the number
of processes changes nothing; a limit also leaves enough batches for all of them."""
MAX_EVAL_WORKERS = 4


@dataclass(frozen=True, slots=True)
class RunData:
    """A run's data.

    Attributes:
        dataset: as read, its classes merged into one if requested.
        train_store: images and samples of the training split, followed by those of the older data to replay; in a run
            on tiles, their tiles.
        val_store: those of the validation split, followed by those of the older data; tiles as well.
        make: builds training batches.
        train_loader: yields training batches.
        val_loader: yields validation batches, also of the older data.
        device: where the batches go.
        train_samples: the run's own training split; of a run on tiles, its tiles.
        val_samples: its own validation split, or the tiles of it.
        loading: how images are loaded.
        older: older data that the run is also evaluated on; None for none.
    """

    dataset: Dataset
    train_store: Store
    val_store: Store
    make: TrainBatches
    train_loader: Loader
    val_loader: Loader
    device: torch.device
    train_samples: Sequence[Sample]
    val_samples: Sequence[Sample]
    loading: Loading
    older: OlderData | None = None

    def val_requests(self, batch: int) -> list[BatchRequest]:
        """The batches of a validation."""
        return eval_requests(self.val_store, batch, range(len(self.val_samples)))

    def older_requests(self, batch: int) -> list[BatchRequest]:
        """The batches of an evaluation on the older data."""
        return eval_requests(self.val_store, batch, range(len(self.val_samples), len(self.val_store.samples)))


def start_data(
    config: TrainConfig,
    device: torch.device,
    say: Callable[[str], None],
    ranks: Ranks = ALONE,
    closed: int | None = None,
    loading: Loading | None = None,
) -> RunData:
    """Read and check a run's data, then decode it.

    Args:
        config: the run's options.
        device: where the batches go.
        say: reports what was done.
        ranks: the training processes; those of one machine share its cache.
        closed: number of last epochs without mosaic; None to follow the options.
        loading: how images are loaded; None to choose it, for a new run.

    Raises:
        InputError: the data cannot be trained on, or not with these options.
    """
    dataset = without_listed(_loaded(data_source(config), config.run.seed, ranks), skip_list(config), say)
    refuse_unusable(dataset, config.data.skip_broken)
    if config.data.single_cls:
        dataset = as_one_class(dataset)
    dataset = with_difficult(dataset, config.data.difficult)
    train_samples, val_samples = require_split(dataset, "train"), require_split(dataset, "val", objects=False)
    require_labels(val_samples, dataset.source, "val")
    older = _older(config, dataset.names, ranks)
    tiling = tiling_of(config)
    trained = in_tiles(train_samples, tiling)
    plan_of(config, dataset, len(trained))  # before decoding
    if isinstance(trained, TiledSplit):
        say(describe_tiles(trained))
    describe_sampling(trained, config.data, dataset.names, say)
    again = older.train if older and config.data.replay > 0 else ()
    shown = [*train_samples, *again]
    loading = loading or choose_loading(config, shown, ranks)
    ring, scaled = _ring(shown, tiling, loading), loading.scaled_decoding
    train_store, train_samples, replayed = open_both(train_samples, again, config, say, ranks, ring, scaled)
    count, window = len(train_store.samples), loading.partner_window
    if not train_store.is_decoded and (note := describe_window(config, count, window)):
        say(note)
    val_store, val_samples, kept = open_both(val_samples, older.val if older else (), config, say, ranks)
    older = None if older is None else replace(older, train=replayed, val=kept)
    workers, pin = _workers(config, device), device.type == "cuda"
    if workers > (cores := available_cores()):
        some = counted(cores, "core")
        say(f"--workers {workers}: this process may use {some}; more workers are not faster.")
    seed, rect = config.run.seed, config.data.rect
    make = TrainBatches(
        train_store,
        config.augment,
        config.imgsz,
        seed,
        config.epochs,
        rect,
        on_device=draws_on_device(config, device),
        classes=len(dataset.names),
        closed=closed,
    )
    for note in notes_on_own_transforms(config, device):
        say(note)
    make.try_own_transforms()
    return RunData(
        dataset,
        train_store,
        val_store,
        make,
        Loader(make, workers, pin, min(-(-config.batch // ranks.count), len(train_store.samples)), ranks.local_count),
        Loader(
            EvalBatches(val_store, config.imgsz, tolerant=True),
            min(workers, MAX_EVAL_WORKERS),
            pin,
            min(eval_batch(config), max(len(val_samples), len(kept))),
            ranks.local_count,
        ),
        device,
        train_samples,
        val_samples,
        loading,
        older,
    )


def _ring(images: Sequence[Sample], tiling: Tiling | None, loading: Loading) -> int:
    """Number of images to keep decoded if not all are."""
    if tiling is None:
        return ring_images(len(images), loading.partner_window)
    return ring_of_tiles(TiledSplit(images, tiling), loading.partner_window)


def draws_on_device(config: TrainConfig, device: torch.device) -> bool:
    """Return whether training samples are rendered on the device: `auto` does so on a GPU, whose time is cheaper."""
    where = config.speed.augment_on
    if own_transforms(config.augment.augmentation):
        return False
    return where == "device" or (where == "auto" and device.type == "cuda")


def notes_on_own_transforms(config: TrainConfig, device: torch.device) -> list[str]:
    """Describe what user code on finished images means for a run, one line each.

    Args:
        config: the run's options.
        device: where the batches go.

    Raises:
        InputError: the images were requested to be drawn on the device.
    """
    names = [name for name, _, _ in own_transforms(config.augment.augmentation)]
    if not names:
        return []
    named = " ".join(f"--augmentation {name}" for name in names)
    if config.speed.augment_on == "device":
        raise InputError(
            f"{named}: is code that receives finished images, but --augment-on device draws them only afterwards. Omit "
            "--augment-on, or use --augment-on cpu."
        )
    notes = [
        f"{named}: is custom code. Runs repeat and resume bit for bit as long as that code is unchanged, keeps no "
        "state between calls, and draws from its generator or those of random, NumPy and torch."
    ]
    if config.speed.augment_on == "auto" and device.type == "cuda":
        notes.append(f"{named}: receives finished images, so they are drawn on the CPU instead of the GPU.")
    return notes


def plan_of(
    config: TrainConfig, dataset: Dataset, images: int, trained: bool = False, known: float = 1.0
) -> TrainingPlan:
    """Compute the training plan for a number of training images.

    Args:
        config: the run's options.
        dataset: its data.
        images: those of the training split.
        trained: it starts from trained weights.
        known: share of its classes that start from these weights, 0 to 1.

    Raises:
        InputError: the warmup is longer than the run.
    """
    return plan_training(
        config.schedule,
        epochs=config.epochs,
        images=images,
        batch=config.batch,
        classes=len(dataset.names),
        trained=trained,
        replay=config.data.replay,
        known=known,
    )


def _loaded(source: str, seed: int, ranks: Ranks, needed: Collection[str] = ("train", "val")) -> Dataset:
    """Read a data set; if it is generated, the first process of a machine does so before the others read it."""

    def make() -> None:
        load_dataset(source, seed)

    if ranks.is_distributed and source == "shapes":
        ranks.broadcast_local(make)
    return load_dataset(source, seed, needed)


def _older(config: TrainConfig, names: Sequence[str], ranks: Ranks) -> OlderData | None:
    """Read the older data of a run, if it has any."""
    source = older_source(config)
    if source is None:
        return None
    needed = ("train", "val") if config.data.replay > 0 else ("val",)
    return read_older(config, names, lambda name: _loaded(name, config.run.seed, ranks, needed), source)


def _workers(config: TrainConfig, device: torch.device) -> int:
    """Number of loading processes: as requested; otherwise none if a CPU trains, up to 16 if a GPU does."""
    if config.data.workers is not None:
        return config.data.workers
    cores = available_cores() // world().local_count
    return 0 if device.type == "cpu" else min(MAX_WORKERS, max(1, min(cores, FEW_WORKERS), cores * 3 // 4))


def eval_batch(config: TrainConfig) -> int:
    """Images of a validation batch."""
    return min(config.batch, MAX_EVAL_BATCH)


def epoch_requests(
    config: TrainConfig,
    samples: Sequence[Sample],
    class_maps: Sequence[float],
    epoch: int,
    own: int | None = None,
    window: int | None = None,
) -> list[BatchRequest]:
    """Return the batches of an epoch, of all processes together.

    Args:
        config: the run's options.
        samples: the training split, followed by the images to replay.
        class_maps: each class's mAP50-95 in the last validation, of all detections kept, by which image weights draw;
            zeros before the first.
        epoch: from 0.
        own: images of the training split; None for all.
        window: images of the windows that partners are drawn from, 0 for all images; None for what the options say.
    """
    if window is None:
        window = chosen_window(config.data.partner_window, decoded=True)
    shares = epoch_shares(samples[:own], config.data, class_maps)
    drawn = None if shares is None else draw_images(shares, config.run.seed, epoch)
    return within_windows(_mixed(config, samples, own, config.batch, epoch, drawn, window), window)


def first_request(
    config: TrainConfig, samples: Sequence[Sample], own: int | None = None, batch: int | None = None
) -> BatchRequest:
    """Return a batch like the run's first, for measurements.

    Args:
        config: the run's options.
        samples: the training split, followed by the images to replay.
        own: images of the training split; None for all.
        batch: images of the batch; None for the run's.
    """
    return _mixed(config, samples, own, batch or config.batch, 0)[0]


def _mixed(
    config: TrainConfig,
    samples: Sequence[Sample],
    own: int | None,
    batch: int,
    epoch: int,
    drawn: Sequence[int] | None = None,
    window: int = 0,
) -> list[BatchRequest]:
    """Batches of the run's own images and of the replayed older ones.

    If images are decoded on demand, the tiles of an image are shown within one window.
    """
    seed, rect, share = config.run.seed, config.data.rect, config.data.replay if batch > 1 else 0.0
    trained = samples[:own]
    replay = Replay(len(trained), batch, share)
    arrange = None
    if isinstance(samples, TiledSplit) and len(samples) > len(samples.images) and not rect:
        windows = count_windows(replay.images, replay.batches, window)
        arrange = partial(images_together, samples, windows, seed, epoch) if windows > 1 else None
    requests = train_requests(trained, replay.own_batch, seed, epoch, drawn=drawn, rect=rect, arrange=arrange)
    if share == 0:
        return requests
    count = len(trained)
    older = [count + index for index in draw_replayed(len(samples) - count, replay.replayed, seed, epoch)]
    older = older if arrange is None else arrange(older)
    beside = [replay.beside(len(request.images)) for request in requests]
    return mix_in(requests, samples, older, beside, seed=seed, epoch=epoch, rect=rect)


class EpochRequests:
    """Batches of each epoch, and of the next one if they are known before this one is validated.

    Args:
        config: the run's options.
        samples: the training split, followed by the images to replay.
        own: images of the training split; None for all.
        window: images of the windows that partners are drawn from, 0 for all images; None for what the options say.
    """

    def __init__(
        self, config: TrainConfig, samples: Sequence[Sample], own: int | None = None, window: int | None = None
    ) -> None:
        self._config = config
        self._samples = samples
        self._own = own
        self._window = window
        self._next: tuple[int, list[BatchRequest]] | None = None

    def __call__(self, epoch: int, class_maps: Sequence[float]) -> tuple[list[BatchRequest], list[BatchRequest]]:
        """Return the batches of an epoch and of the next one, of all processes together.

        Args:
            epoch: from 0.
            class_maps: each class's mAP50-95 in the last validation, by which image weights draw; zeros before it.

        Returns:
            The epoch's, and the next one's; these are empty if it is the last, or if its images depend on a validation.
        """
        known = self._next is not None and self._next[0] == epoch
        requests = self._next[1] if self._next and known else self._of(epoch, class_maps)
        last = epoch + 1 >= self._config.epochs
        self._next = None if last or self._config.data.image_weights else (epoch + 1, self._of(epoch + 1, class_maps))
        return requests, [] if self._next is None else self._next[1]

    def _of(self, epoch: int, class_maps: Sequence[float]) -> list[BatchRequest]:
        return epoch_requests(self._config, self._samples, class_maps, epoch, self._own, self._window)
