"""Augmentations that other packages add, by name: changes to the plan of a training canvas.

A plan says which images are drawn where, what becomes of their colours and which objects result, before any pixel is
touched (see `augment/plan.py`). So what changes plans works alike whether canvases are drawn on the CPU or on the
device, and is repeated to the last bit after a resume, with any number of workers or processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lehr.errors import InputError, did_you_mean
from lehr.plugins import PluginTable, resolve

if TYPE_CHECKING:
    import numpy as np

    from lehr.augment.partners import Partners
    from lehr.augment.tiles import Plan
    from lehr.sample import Sample


@dataclass(frozen=True, slots=True)
class CanvasContext:
    """Facts about a training canvas beside its plan.

    Attributes:
        samples: the training split; a tile of the plan names one by its index.
        index: index of the canvas's first image in the split.
        imgsz: longest side of the canvas, pixels.
        shape: width and height of the canvas, pixels; a square but for rectangular batches.
        multi_image: whether mosaic, mixup, CutMix and copy-paste are on: they close for the last epochs.
        partners: the images that further ones are drawn from, by `partners.draw(rng, count)`: those of the epoch.
    """

    samples: Sequence[Sample]
    index: int
    imgsz: int
    shape: tuple[int, int]
    multi_image: bool
    partners: Partners


ChangePlan = Callable[["Plan", CanvasContext, "np.random.Generator"], "Plan"]
"""From a plan to the changed one. Every draw comes from the generator; nothing else may decide, nor be changed."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """An augmentation by name.

    Attributes:
        name: as `--augmentation NAME=PROBABILITY` says it.
        change: changes the plan of a canvas that it was drawn for: a function, or where it is, e.g.
            "package.module:function". The plan comes as mosaic, mixup and colour jitter made it; its boxes must stay
            those of its tiles, and with mixup `plan.blend` holds another plan that is seen at the same place.
        why: what it is good for, in one line, for `--explain`.
    """

    name: str
    change: str | ChangePlan
    why: str = ""


AUGMENTATIONS = PluginTable("lehr.augmentations", Augmentation)


def register_augmentation(augmentation: Augmentation) -> None:
    """Add an augmentation for this process; a package names it as an entry point `lehr.augmentations` instead.

    Raises:
        TypeError: it is no Augmentation.
        ValueError: another augmentation has its name.
    """
    AUGMENTATIONS.add(augmentation)


def find_augmentation(name: str) -> Augmentation:
    """The augmentation of a name.

    Raises:
        InputError: there is none; with the nearest names.
    """
    found = AUGMENTATIONS.find(name)
    if found is None:
        known = [each.name for each in AUGMENTATIONS.all()]
        hint = did_you_mean(name, known) if known else "No installed package adds any."
        raise InputError(f"--augmentation: there is no augmentation '{name}'. {hint}")
    return found


@lru_cache(maxsize=8)
def probabilities(requests: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """Names and probabilities of what `--augmentation` asks for.

    Args:
        requests: each NAME or NAME=PROBABILITY, valid.
    """
    return tuple((name, float(value or 1)) for name, _, value in (each.partition("=") for each in requests))


def change_plan(
    plan: Plan, requests: tuple[str, ...], context: CanvasContext, draws: Callable[[str], np.random.Generator]
) -> Plan:
    """Apply the augmentations that are asked for, each by its probability, in their order.

    Args:
        plan: of the canvas.
        requests: what `--augmentation` asks for.
        context: what else is known of the canvas.
        draws: gives the generator of an augmentation by its name, so that each draws for itself: asking for another
            changes nothing that is drawn elsewhere.
    """
    for name, probability in probabilities(requests):
        rng = draws(name)
        if rng.random() < probability:
            change: ChangePlan = resolve(find_augmentation(name).change)
            plan = change(plan, context, rng)
    return plan
