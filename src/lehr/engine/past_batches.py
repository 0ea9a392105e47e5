"""The batch of any step of a run, made again: by the run's own preparation, from its options alone.

Randomness has no state (see `lehr.rng`), so what an image became in a step follows from the options, the data and the
place of the step. What a run settled at its beginning, such as how it loads images, comes from its checkpoint.
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
        """Batches of the run that came before."""
        return self.epoch * self.batches + self.number

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.number + 1} of {self.batches}"


@dataclass(frozen=True, slots=True)
class PastBatch:
    """A batch as it was trained on.

    Attributes:
        place: its step.
        batch: the images of all processes together, on the device, drawn.
        size: longest side that multi-scale training resizes it to, pixels; None leaves it as it is.
        repeats: for each image, how often its epoch had shown it before.
        plans: plan of each canvas; where an image can no longer be read, of the one that was to be drawn.
    """

    place: StepPlace
    batch: Batch
    size: int | None
    repeats: tuple[int, ...]
    plans: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class PastBatches:
    """Batches of a run, made again.

    Attributes:
        folder: the run's folder.
        config: its options; images are read from the disk as they are asked for.
        data: its data.
        device: where batches are drawn.
        checkpoint: the newest of the run; None where it has none.
        log: its log, which says with how many epochs it began and went on.
        notes: what keeps batches from being those of the run to the last bit, a line each.
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
        """Return what a tile shows of its image at a step: xyxy, pixels; None where the run trains on whole images.

        Args:
            place: of the step.
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
            epoch: from 1, as in results.csv; None where the step counts over the run.
            step: from 1, in the epoch or over the run.

        Raises:
            InputError: the run has no such epoch or step.
        """
        batches, epochs = self.batches, self.config.epochs
        if epoch is None:
            if not 1 <= step <= epochs * batches:
                raise InputError(
                    f"--step {step}: {self.folder} has the steps 1 to {epochs * batches}, {batches} an epoch; with "
                    "--epoch a step is counted in its epoch."
                )
            return StepPlace(*divmod(step - 1, batches), batches)
        if not 1 <= epoch <= epochs:
            raise InputError(f"--epoch {epoch}: {self.folder} has the epochs 1 to {epochs}.")
        if not 1 <= step <= batches:
            raise InputError(
                f"--step {step}: an epoch of {self.folder} has the steps 1 to {batches}; without --epoch a step is "
                "counted over the run."
            )
        return StepPlace(epoch - 1, step - 1, batches)

    def request(self, place: StepPlace) -> BatchRequest:
        """Return which images a step asks for.

        Raises:
            InputError: that depends on a validation whose results are not there any more.
        """
        return epoch_requests(self.config, *self._of_epoch(place.epoch))[place.number]

    def make(self, place: StepPlace) -> PastBatch:
        """Make the batch of a step.

        Raises:
            InputError: an image is not there any more, or which images there were is not known.
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
        """Return which images each canvas of a step is made of, by their indices, without drawing any."""
        request, make = self.request(place), self._maker(place)
        repeats, shape = request.repeats or [0] * len(request.images), make.shape(request)
        pairs = zip(request.images, repeats, strict=True)
        return [sources_of(make.plan(request, index, repeat, shape)) for index, repeat in pairs]

    def _maker(self, place: StepPlace) -> TrainBatches:
        """The maker of batches as the run had it at a step: one that was made longer closes mosaic later from there."""
        starts = [line for line in self.log.lines if isinstance(line, StartLine) and line.step <= place.step]
        epochs = starts[-1].options.get("epochs") if starts else None
        if not isinstance(epochs, int):
            return self.data.make
        return replace(self.data.make, epochs=epochs, closed=starts[-1].closed)

    def _of_epoch(self, epoch: int) -> tuple[Sequence[Sample], Sequence[float], int, int, int]:
        """Arguments of `epoch_requests` behind the options."""
        maps = self._class_maps(epoch)
        return self.samples, maps, epoch, len(self.data.train_samples), self.data.loading.partner_window

    def _class_maps(self, epoch: int) -> Sequence[float]:
        """Each class's mAP50-95 before an epoch, by which image weights draw.

        Raises:
            InputError: no checkpoint has them.
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
            f"--epoch {epoch + 1}: with --image-weights the images of an epoch follow from the validation before it, "
            f"and no checkpoint in {self.folder} has that one. The epochs that can be replayed: {epochs}."
        )


def positions(folder: Path) -> list[tuple[Path, Position]]:
    """Return the checkpoints of a run that can be read, and where it stood; the newest first."""
    found = []
    for path in (folder / LAST, folder / PREVIOUS):
        try:
            found.append((path, read_position(path)))
        except (InputError, OSError):
            continue
    return found


def sources_of(plan: Plan) -> set[int]:
    """Return the indices of all images that a canvas is made of."""
    others = [each[0] for each in (plan.blend, plan.patch) if each is not None]
    return {tile.index for tile in plan.tiles}.union(*map(sources_of, others))


def open_past_batches(
    target: Path, changes: Mapping[str, Any] | None = None, say: Callable[[str], None] = lambda line: None
) -> PastBatches:
    """Prepare the batches of a run: its options, its data, its device; nothing is written.

    Args:
        target: the run's folder, or a checkpoint in it.
        changes: where things are now, by the names of options: data, keep_val, device; and augmentations that are code,
            which a run's folder alone does not get to run.
        say: called with what is found meanwhile.

    Raises:
        InputError: there is no such run, or its data are gone, or are others now.
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
            f"{folder} has no checkpoint, so how it loads images follows from its options and from this machine's "
            "memory (--partner-window)."
        )
    return PastBatches(folder, config, data, device, checkpoint, read_run_log(folder), tuple(notes))


def _as_asked_for(config: TrainConfig) -> TrainConfig:
    """The options of a run for few of its images: read when they are asked for, unless broken ones are passed over.

    Which images those are is found out in decoding all of them.
    """
    if config.data.skip_broken:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"cache": "none"})})


def _device(
    config: TrainConfig, checkpoint: Checkpoint | None, given: Mapping[str, Any]
) -> tuple[torch.device, list[str]]:
    """The device of a run, or the CPU where it is not here; and what that changes."""
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
        f"The run drew its images on {one_line(before)}, here {device} does: pixels may be rounded otherwise."
    ]


def _data(
    config: TrainConfig, device: torch.device, resumption: Resumption, closed: int, say: Callable[[str], None]
) -> RunData:
    """The data of a run.

    Raises:
        InputError: they are gone, or cannot be trained on any more.
    """
    try:
        return start_data(config, device, say, ALONE, closed, loading_of(resumption.checkpoint))
    except InputError as error:
        raise InputError(
            f"{error}\nThe batches of {resumption.folder} are made from its data; --data says where they are now."
        ) from None


def _check_same(config: TrainConfig, data: RunData, resumption: Resumption) -> None:
    """Check that data are those of the run.

    Raises:
        InputError: they are others now.
    """
    if resumption.checkpoint is None:
        return
    then, now = resumption.checkpoint.content, identity_of(config, data, ALONE)
    for name, key in (("data", "data"), ("keep_val", "older")):
        if then.get(key) == now.get(key):
            continue
        option = f"--{name.replace('_', '-')}"
        what = _changes(data, resumption) if name == "data" else "other images, boxes or classes."
        raise InputError(
            f"{option} {getattr(config.data, name)}: has changed since {resumption.folder} was trained: {what} Its "
            f"batches cannot be made again from other data: restore them, or say by {option} where they are."
        )


def _changes(data: RunData, resumption: Resumption) -> str:
    """What has changed in the data of a run: which images, where it recorded them, else how many."""
    then = read_marks(resumption.folder)
    splits = {"train": images_of(data.train_samples), "val": images_of(data.val_samples)}
    now = DataMarks(data.dataset.names, tuple(mark_images(splits, content=False)))
    differences = [] if then is None else compare_marks(then, now)
    if then is not None and then.names != now.names:
        return "other class names."
    if not differences:
        before, count = resumption.checkpoint.content["images"] if resumption.checkpoint else 0, len(splits["train"])
        return f"{counted(before, 'training image')} then, {count} now, or other boxes, classes or names."
    meanings = {"missing": "is missing now", "added": "is new", "order": "is at another place of the order"}
    meanings |= {"size": "has another size now", "labels": "has other objects now", "pixels": "has other pixels now"}
    first = differences[0]
    more = f", and {len(differences) - 1} more" if len(differences) > 1 else ""
    return f"{first.split} image {one_line(first.name)} {meanings[first.change]}{more}."
