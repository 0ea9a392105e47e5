"""Augmentations from elsewhere, by name: those that packages add, and a user's own code.

What packages add changes the plan of a training canvas: which images are drawn where, what becomes of their colours
and which objects result, before any pixel is touched (see `augment/plan.py`). So it works alike whether canvases are
drawn on the CPU or on the device, and is repeated to the last bit after a resume, with any number of workers or
processes. A user's own code, named as `package.module:object`, may do the same, or gets finished images: see
`augment/own_transforms.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lehr.errors import InputError, did_you_mean
from lehr.plugins import PluginTable, resolve
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique

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
        raise InputError(
            f"--augmentation: there is no augmentation '{name}'. {hint} Code of your own is given "
            "as package.module:object."
        )
    return found


def is_code(name: str) -> bool:
    """Tell whether a name leads to a user's own code, `package.module:object`, not to what a package adds."""
    return ":" in name


@lru_cache(maxsize=32)
def load_code(name: str) -> Any:
    """Load a user's own code: an `Augmentation`, or what is called with finished images.

    Args:
        name: `package.module:object`; a class is called without arguments.

    Raises:
        InputError: it cannot be imported, made or called.
    """
    try:
        found = resolve(name)
    except Exception as error:
        raise InputError(
            f"--augmentation {name}: cannot be imported ({type(error).__name__}: {error}). Install its package, or "
            "put its folder into PYTHONPATH."
        ) from None
    if inspect.isclass(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(f"--augmentation {name}: cannot be made ({type(error).__name__}: {error}).") from None
    if not isinstance(found, Augmentation) and not callable(found):
        raise InputError(
            f"--augmentation {name}: is a {type(found).__name__}, which cannot be called. Name a function, or an "
            "object or a class with __call__."
        )
    return found


def refuse_code(requests: Sequence[str], given: Sequence[str], source: str) -> None:
    """Refuse code that a file names and the user did not: a file may come from anybody.

    Args:
        requests: what the file asks for, each NAME or NAME=PROBABILITY.
        given: what the user asked for.
        source: the file, for the message.

    Raises:
        InputError: the file names code that was not given.
    """
    trusted = {name for name, _ in probabilities(tuple(given))}
    code = [each for each in requests if is_code(each) and each.partition("=")[0] not in trusted]
    if code:
        wanted = " ".join(f"--augmentation {each}" for each in requests)
        raise InputError(
            f"{source} names augmentations that are code, which a file alone does not get to run. If you trust it, "
            f"give {wanted} as well."
        )


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
        augmentation = load_code(name) if is_code(name) else find_augmentation(name)
        if not isinstance(augmentation, Augmentation):
            continue  # it gets the finished image
        rng = draws(name)
        if rng.random() < probability:
            change: ChangePlan = resolve(augmentation.change)
            plan = change(plan, context, rng)
    return plan


def _without_effect(run: Run) -> dict[str, NoEffect]:
    requests = run.config.augment.augmentation
    if not requests or any(probability for _, probability in probabilities(requests)):
        return {}
    return {"augmentation": NoEffect("its probability is 0", acts_as=[])}


def _state(run: Run) -> State:
    requests = run.config.augment.augmentation
    return State(bool(requests), ", ".join(requests))


TECHNIQUE = Technique(
    name="augmentations by name",
    page="augmentations-by-name",
    section=Section.AUGMENTATION,
    order=90,
    options=("augmentation",),
    without_effect=_without_effect,
    why="what is special about your images, nobody else has written",
    state=_state,
    switches=(Switch("augmentation", {"augmentation": ...}, {"augmentation": []}, aliases=("augmentations",)),),
    turn_on="--augmentation NAME",
    turn_off="leave out --augmentation",
    code=("augment/own_transforms.py",),
)
