"""Preview of a run before it starts: no image decoded, no model built, and torch loaded only to look at `--weights`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from lehr.config import TrainConfig, build_config
from lehr.data.difficult import with_difficult
from lehr.data.formats.shapes import COUNTS, NAMES
from lehr.data.load import load_dataset, require_split
from lehr.data.relocation import data_source, skip_list
from lehr.data.skip_list import without_listed
from lehr.data.tiled_split import in_tiles, tiling_of
from lehr.errors import InputError
from lehr.sample import Dataset
from lehr.technique import shell_options
from lehr.techniques.plan import TrainingPlan, plan_training
from lehr.techniques.single_class import as_one_class


def _unread() -> Dataset | None:
    return None


@dataclass(frozen=True, slots=True)
class Preview:
    """A planned run.

    Attributes:
        config: its options.
        images: images of the training split.
        classes: number of classes.
        plan: rates of every step.
        read: returns its data set, as it trains on it; None if it must not be read.
    """

    config: TrainConfig
    images: int
    classes: int
    plan: TrainingPlan
    read: Callable[[], Dataset | None] = field(default=_unread, repr=False, compare=False)

    @property
    def dataset(self) -> Dataset | None:
        """Its data set, read when first asked for; None if it must not be read."""
        return self.read()


def preview(
    config: TrainConfig,
    images: int | None = None,
    classes: int | None = None,
    read: Callable[[], Dataset | None] | None = None,
) -> Preview:
    """Preview a run.

    Args:
        config: its options.
        images: images of the training split; None to count those of the data set, whose labels are read.
        classes: number of classes; None for those of the data set.
        read: gives the data set; None to read it, unless both counts are given: then it is not looked at, and weights
            that the run starts from are taken to know its classes.

    Raises:
        InputError: the data set cannot be read, or the warmup is longer than the run.
    """
    if images is None or classes is None:
        read = read or cache(lambda: _loaded(config))
        found = _count(config, read)
        images, classes = images or found[0], classes or found[1]
    trained, known = False, 1.0
    if config.model.weights is not None:  # whose reading takes torch
        from lehr.techniques.pretrained_start import known_classes, starts_trained

        dataset = None if read is None else read()
        trained = starts_trained(config, classes)
        known = 1.0 if dataset is None else known_classes(config, dataset.names)
    plan = plan_training(
        config.schedule,
        epochs=config.epochs,
        images=images,
        batch=config.batch,
        classes=classes,
        trained=trained,
        replay=config.data.replay,
        known=known,
    )
    return Preview(config, images, classes, plan, read or _unread)


def describe_without_effect(run: Preview) -> list[str]:
    """Describe the options of a planned run that the user gave and that change nothing in it, one line each.

    Options that are given as off, or left to an automatic choice, ask for nothing. Loads torch.

    Args:
        run: the run.
    """
    from lehr.techniques.effect import effective_options, without_effect

    config, found, effective = run.config, without_effect(run), effective_options(run)
    options, default, off, lines = config.flat(), TrainConfig().flat(), _off_values(), []
    for name in sorted(config.given & found.keys(), key=list(options).index):
        value = options[name]
        if value in ("off", "none", "auto", []) or value in off.get(name, ()) or (not value and value == default[name]):
            continue
        with contextlib.suppress(InputError):  # another option needs it
            plain = build_config({**options, name: default[name]})
            unset = preview(plain, run.images, run.classes, run.read)
            if effective_options(unset) != effective:
                continue  # nothing of what is on, but what would be on without it is off
        lines.append(f"{shell_options({name: value})} has no effect: {found[name].why}.")
    return lines


def _off_values() -> dict[str, list[Any]]:
    """The values by which options turn their techniques off."""
    from lehr.techniques.catalog import techniques

    values: dict[str, list[Any]] = {}
    for switch in (switch for technique in techniques() for switch in technique.switches if not switch.one_of_several):
        for name, value in switch.off.items():
            values.setdefault(name, []).append(value)
    return values


def _count(config: TrainConfig, read: Callable[[], Dataset | None]) -> tuple[int, int]:
    """Training images and classes of a run's data set; those of `shapes` are known without making it."""
    dataset = None if config.data.data == "shapes" and config.data.tile is None else read()
    if dataset is None:
        return COUNTS["train"], 1 if config.data.single_cls else len(NAMES)
    return len(require_split(dataset, "train")), len(dataset.names)


def _loaded(config: TrainConfig) -> Dataset:
    dataset = without_listed(load_dataset(data_source(config), config.run.seed), skip_list(config))
    if config.data.single_cls:
        dataset = as_one_class(dataset)
    dataset = with_difficult(dataset, config.data.difficult)
    tiling = tiling_of(config)
    if tiling is None:
        return dataset
    return replace(dataset, splits={**dataset.splits, "train": in_tiles(require_split(dataset, "train"), tiling)})
