"""Preview of a run before it starts: without an image decoded, a model built, or torch loaded."""

from __future__ import annotations

from dataclasses import dataclass

from lehr.config import TrainConfig
from lehr.data.formats.shapes import COUNTS, NAMES
from lehr.data.load import load_dataset, require_split
from lehr.data.relocation import data_source
from lehr.techniques.plan import TrainingPlan, plan_training
from lehr.techniques.single_class import as_one_class


@dataclass(frozen=True, slots=True)
class Preview:
    """A run to come.

    Attributes:
        config: its options.
        images: images of the training split.
        classes: number of classes.
        plan: rates of every step.
    """

    config: TrainConfig
    images: int
    classes: int
    plan: TrainingPlan


def preview(config: TrainConfig, images: int | None = None, classes: int | None = None) -> Preview:
    """Preview a run.

    Args:
        config: its options.
        images: images of the training split; None to count those of the data set, whose labels are read.
        classes: number of classes; None for those of the data set.

    Raises:
        InputError: the data set cannot be read, or the warmup is longer than the run.
    """
    if images is None or classes is None:
        found = _count(config)
        images, classes = images or found[0], classes or found[1]
    plan = plan_training(config.schedule, epochs=config.epochs, images=images, batch=config.batch, classes=classes)
    return Preview(config, images, classes, plan)


def _count(config: TrainConfig) -> tuple[int, int]:
    """Training images and classes of a run's data set; those of `shapes` are known without making it."""
    if config.data.data == "shapes":
        return COUNTS["train"], 1 if config.data.single_cls else len(NAMES)
    dataset = load_dataset(data_source(config), config.run.seed)
    if config.data.single_cls:
        dataset = as_one_class(dataset)
    return len(require_split(dataset, "train")), len(dataset.names)
