"""Replay of batches: rebuild the batch of any step of a run by the run's own preparation, from its options alone.

Randomness has no state (see `lehr.rng`), so the content of a batch follows from the options, the data and the step.
Decisions that a run made at its start, such as how it loads images, come from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lehr.augment.tile_grid import Window
from lehr.augment.tiles import Plan
from lehr.checkpoint.format import Checkpoint, Position, read_checkpoint, read_position
from lehr.checkpoint.run_folder import LAST, PREVIOUS
from lehr.checkpoint.run_log import RunLog, StartLine, read_run_log
from lehr.config import TrainConfig
from lehr.data.batch import Batch
from lehr.data.batch_makers import TrainBatches
from lehr.data.image_marks import DataMarks, compare_marks, mark_images, read_marks
from lehr.data.requests import BatchRequest
from lehr.data.tiled_split import TiledSplit, images_of
from lehr.distributed.collectives import ALONE
from lehr.engine.data import RunData, draws_on_device, epoch_requests, plan_of, start_data
from lehr.engine.identity import identity_of
from lehr.engine.loading import loading_of
from lehr.engine.resume import Resumption, closed_epochs, find_run, open_run
from lehr.engine.setup import open_device
from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.sample import Sample
from lehr.techniques.multi_scale import sizes_of


@dataclass(frozen=True, slots=True)
class StepPlace:
    """Place of a step in a run.

    Attributes:
        epoch: from 0.
        number: batch of the epoch, from 0.
        batches: batches of each epoch.
    """

    epoch: int
    number: int
    batches: int

    @property
    def step(self) -> int:
        """Batches of the run before this one."""
        return self.epoch * self.batches + self.number

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.number + 1} of {self.batches}"


@dataclass(frozen=True, slots=True)
class PastBatch:
    """A batch as the run trained on it.

    Attributes:
        place: its step.
        batch: the images of all processes, rendered on the device.
        size: longest side that multi-scale training resizes it to, pixels; None for no resizing.
        repeats: for each image, how often its epoch showed it before.
        plans: plan of each canvas; for an image that can no longer be read, the plan of the original.
    """

    place: StepPlace
    batch: Batch
    size: int | None
    repeats: tuple[int, ...]
    plans: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class PastBatches:
    """Rebuilt batches of a run.

    Attributes:
        folder: the run's folder.
        config: its options; images are read from the disk on demand.
        data: its data.
        device: where batches are rendered.
        checkpoint: the newest of the run; None if it has none.
        log: its log, which records the epochs that it was started and resumed with.
        notes: what keeps batches from being bit-identical to those of the run, one line each.
    """

    folder: Path
    config: TrainConfig
    data: RunData
    device: torch.device
    checkpoint: Checkpoint | None
    log: RunLog
    notes: tuple[str, ...]

    @property
    def samples(self) -> Sequence[Sample]:
        """The images that the run trains on."""
        return self.data.train_store.samples

    def window(self, place: StepPlace, index: int) -> Window | None:
        """Return the part of its image that a tile shows at a step: xyxy, pixels; None if the run trains on whole
        images.

        Args:
            place: the step.
            index: the tile's index in the split.
        """
        samples = self.data.train_store.in_epoch(self.config.run.seed, place.epoch).samples
        return samples.window(index) if isinstance(samples, TiledSplit) else None

    @property
    def batches(self) -> int:
        """Batches of each epoch."""
        return plan_of(self.config, self.data.dataset, len(self.data.train_samples)).batches

    def place(self, epoch: int | None, step: int) -> StepPlace:
        """Return the place of a step.

        Args:
            epoch: from 1, as in results.csv; None if the step is counted over the run.
            step: from 1, in the epoch or over the run.

        Raises:
            InputError: the run has no such epoch or step.
        """
        batches, epochs = self.batches, self.config.epochs
        if epoch is None:
            if not 1 <= step <= epochs * batches:
                raise InputError(
                    f"--step {step}: {self.folder} has the steps 1 to {epochs * batches}, {batches} an epoch; with "
                    "--epoch, steps are counted within the epoch."
                )
            return StepPlace(*divmod(step - 1, batches), batches)
        if not 1 <= epoch <= epochs:
            raise InputError(f"--epoch {epoch}: {self.folder} has the epochs 1 to {epochs}.")
        if not 1 <= step <= batches:
            raise InputError(
                f"--step {step}: an epoch of {self.folder} has the steps 1 to {batches}; without --epoch, steps are "
                "counted over the run."
            )
        return StepPlace(epoch - 1, step - 1, batches)

    def request(self, place: StepPlace) -> BatchRequest:
        """Return the images that a step requests.

        Raises:
            InputError: they depend on a validation whose results are no longer available.
        """
        return epoch_requests(self.config, *self._of_epoch(place.epoch))[place.number]

    def make(self, place: StepPlace) -> PastBatch:
        """Rebuild the batch of a step.

        Raises:
            InputError: an image no longer exists, or the images of the step are unknown.
        """
        request, make = self.request(place), self._maker(place)
        batch = make(request).to(self.device)
        shape, repeats = make.shape(request), request.repeats or [0] * len(request.images)
        pairs = zip(request.images, repeats, strict=True)
        sizes = sizes_of(self.config)
        return PastBatch(
            place,
            batch,
            None if sizes is None else sizes.draw(self.config.run.seed, place.epoch, place.number),
            tuple(repeats),
            tuple(make.plan(request, index, repeat, shape) for index, repeat in pairs),
        )

    def sources(self, place: StepPlace) -> list[set[int]]:
        """Return the indices of the images that make up each canvas of a step, without rendering any."""
        request, make = self.request(place), self._maker(place)
        repeats, shape = request.repeats or [0] * len(request.images), make.shape(request)
        pairs = zip(request.images, repeats, strict=True)
        return [sources_of(make.plan(request, index, repeat, shape)) for index, repeat in pairs]

    def _maker(self, place: StepPlace) -> TrainBatches:
        """Return the batch maker of the run at a step: a run that was made longer closes mosaic later from there."""
        starts = [line for line in self.log.lines if isinstance(line, StartLine) and line.step <= place.step]
        epochs = starts[-1].options.get("epochs") if starts else None
        if not isinstance(epochs, int):
            return self.data.make
        return replace(self.data.make, epochs=epochs, closed=starts[-1].closed)

    def _of_epoch(self, epoch: int) -> tuple[Sequence[Sample], Sequence[float], int, int, int]:
        """Arguments of `epoch_requests` after the options."""
        maps = self._class_maps(epoch)
        return self.samples, maps, epoch, len(self.data.train_samples), self.data.loading.partner_window

    def _class_maps(self, epoch: int) -> Sequence[float]:
        """Each class's mAP50-95 before an epoch, used by image weights.

        Raises:
            InputError: no checkpoint holds them.
        """
        nothing = (0.0,) * len(self.data.dataset.names)
        if epoch == 0 or not self.config.data.image_weights:
            return nothing
        known = {position.epoch: path for path, position in positions(self.folder)}
        if epoch in known:
            checkpoint = read_checkpoint(known[epoch], links=False)
            return tuple(checkpoint.content["state"]["class_maps"]) or nothing
        epochs = ", ".join(str(each + 1) for each in sorted({0, *known}) if each < self.config.epochs)
        raise InputError(
            f"--epoch {epoch + 1}: with --image-weights, the images of an epoch depend on the validation before it, "
            f"and no checkpoint in {self.folder} holds it. Epochs that can be replayed: {epochs}."
        )


def positions(folder: Path) -> list[tuple[Path, Position]]:
    """Return the readable checkpoints of a run, newest first."""
    found = []
    for path in (folder / LAST, folder / PREVIOUS):
        try:
            found.append((path, read_position(path)))
        except (InputError, OSError):
            continue
    return found


def sources_of(plan: Plan) -> set[int]:
    """Return the indices of all images that make up a canvas."""
    others = [each[0] for each in (plan.blend, plan.patch) if each is not None]
    return {tile.index for tile in plan.tiles}.union(*map(sources_of, others))


def open_past_batches(
    target: Path, changes: Mapping[str, Any] | None = None, say: Callable[[str], None] = lambda line: None
) -> PastBatches:
    """Prepare to rebuild the batches of a run: its options, data and device; nothing is written.

    Args:
        target: the run's folder, or a checkpoint in it.
        changes: current places, by option name: data, keep_val, device; and augmentations that are code, which a run's
            folder alone may not execute.
        say: called with notes.

    Raises:
        InputError: there is no such run, or its data are missing or have changed.
    """
    folder, file = find_run(target, target.parent)
    given = {**(changes or {}), "workers": 0}
    resumption = open_run(folder, file, given)
    checkpoint, config = resumption.checkpoint, _as_asked_for(resumption.config)
    device, notes = _device(config, checkpoint, given)
    closed = closed_epochs(config, checkpoint)
    data = _data(config, device, resumption, closed, say)
    _check_same(config, data, resumption)
    if checkpoint is None:
        notes.append(
            f"{folder} has no checkpoint, so how it loads images is derived from its options and this machine's memory "
            "(--partner-window)."
        )
    return PastBatches(folder, config, data, device, checkpoint, read_run_log(folder), tuple(notes))


def _as_asked_for(config: TrainConfig) -> TrainConfig:
    """Adapt the options of a run to reading few images: they are read on demand, unless broken ones are skipped.

    Finding the broken ones takes decoding all of them.
    """
    if config.data.skip_broken:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"cache": "none"})})


def _device(
    config: TrainConfig, checkpoint: Checkpoint | None, given: Mapping[str, Any]
) -> tuple[torch.device, list[str]]:
    """Return the device of a run, or the CPU if it is missing here; note what that changes."""
    try:
        device = open_device(config.devices, config.run.deterministic)
    except InputError:
        if "device" in given:
            raise
        device = torch.device("cpu")
    if checkpoint is None:
        return device, []
    before = str(checkpoint.content["device"])
    there = torch.device("cuda" if before.startswith("cuda") else "cpu")
    if draws_on_device(config, there) == draws_on_device(config, device) and there.type == device.type:
        return device, []
    if not (draws_on_device(config, there) or draws_on_device(config, device)):
        return device, []
    return device, [
        f"The run rendered its images on {one_line(before)}, here {device} does: pixels may be rounded differently."
    ]


def _data(
    config: TrainConfig, device: torch.device, resumption: Resumption, closed: int, say: Callable[[str], None]
) -> RunData:
    """The data of a run.

    Raises:
        InputError: they are missing, or can no longer be trained on.
    """
    try:
        return start_data(config, device, say, ALONE, closed, loading_of(resumption.checkpoint))
    except InputError as error:
        raise InputError(
            f"{error}\nThe batches of {resumption.folder} are made from its data; --data says where they are now."
        ) from None


def _check_same(config: TrainConfig, data: RunData, resumption: Resumption) -> None:
    """Check that the data are those of the run.

    Raises:
        InputError: they have changed.
    """
    if resumption.checkpoint is None:
        return
    then, now = resumption.checkpoint.content, identity_of(config, data, ALONE)
    for name, key in (("data", "data"), ("keep_val", "older")):
        if then.get(key) == now.get(key):
            continue
        option = f"--{name.replace('_', '-')}"
        what = _changes(data, resumption) if name == "data" else "images, boxes or classes have changed."
        raise InputError(
            f"{option} {getattr(config.data, name)}: has changed since {resumption.folder} was trained: {what} Its "
            f"batches cannot be rebuilt from other data: restore them, or give {option} where they are."
        )


def _changes(data: RunData, resumption: Resumption) -> str:
    """Describe what changed in the data of a run: which images if it recorded them, otherwise how many."""
    then = read_marks(resumption.folder)
    splits = {"train": images_of(data.train_samples), "val": images_of(data.val_samples)}
    now = DataMarks(data.dataset.names, tuple(mark_images(splits, content=False)))
    differences = [] if then is None else compare_marks(then, now)
    if then is not None and then.names != now.names:
        return "class names have changed."
    if not differences:
        before, count = resumption.checkpoint.content["images"] if resumption.checkpoint else 0, len(splits["train"])
        return f"{counted(before, 'training image')} then, {count} now, or other boxes, classes or names."
    meanings = {"missing": "is missing", "added": "is new", "order": "has another position"}
    meanings |= {"size": "has another size", "labels": "has other objects", "pixels": "has other pixels"}
    first = differences[0]
    more = f", and {len(differences) - 1} more" if len(differences) > 1 else ""
    return f"{first.split} image {one_line(first.name)} {meanings[first.change]}{more}."
