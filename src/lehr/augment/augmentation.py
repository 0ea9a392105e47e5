"""Augmentations by name: those that packages add, and user code.

Augmentations of packages change the plan of a training canvas: which images are drawn where, their colours and the
resulting objects, before any pixel is touched (see `augment/plan.py`). So they work the same whether canvases are drawn
on the CPU or on the device, and are bit-reproducible after a resume, with any number of workers or processes. User
code, named as `package.module:object`, may do the same, or receives finished images: see
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
    """Facts about a training canvas in addition to its plan.

    Attributes:
        samples: the training split; a tile of the plan names one by its index.
        index: index of the canvas's first image in the split.
        imgsz: longest side of the canvas, pixels.
        shape: width and height of the canvas, pixels; a square but for rectangular batches.
        multi_image: whether mosaic, mixup, CutMix and copy-paste are on: they are off in the last epochs.
        partners: the images of the epoch that partners are drawn from, by `partners.draw(rng, count)`.
    """

    samples: Sequence[Sample]
    index: int
    imgsz: int
    shape: tuple[int, int]
    multi_image: bool
    partners: Partners


ChangePlan = Callable[["Plan", CanvasContext, "np.random.Generator"], "Plan"]
"""Function from a plan to a changed plan. Every draw comes from the generator; it must use and change nothing else."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """An augmentation by name.

    Attributes:
        name: as given in `--augmentation NAME=PROBABILITY`.
        change: changes the plan of a canvas: a function, or its location, e.g. "package.module:function". It receives
            the plan after mosaic, mixup and colour jitter; its boxes must stay those of its tiles, and with mixup
            `plan.blend` holds another plan, blended at the same place.
        why: its purpose in one line, for `--explain`.
    """

    name: str
    change: str | ChangePlan
    why: str = ""


AUGMENTATIONS = PluginTable("lehr.augmentations", Augmentation)


def register_augmentation(augmentation: Augmentation) -> None:
    """Add an augmentation for this process; a package names it as an entry point `lehr.augmentations` instead.

    Raises:
        TypeError: it is not an Augmentation.
        ValueError: the name is taken by another augmentation.
    """
    AUGMENTATIONS.add(augmentation)


def find_augmentation(name: str) -> Augmentation:
    """Return the augmentation of a name.

    Raises:
        InputError: there is none; names the nearest ones.
    """
    found = AUGMENTATIONS.find(name)
    if found is None:
        known = [each.name for each in AUGMENTATIONS.all()]
        hint = did_you_mean(name, known) if known else "No installed package adds any."
        raise InputError(
            f"--augmentation: unknown augmentation '{name}'. {hint} Give your own code as package.module:object."
        )
    return found


def is_code(name: str) -> bool:
    """Return whether a name refers to user code, `package.module:object`, and not to an augmentation of a package."""
    return ":" in name


@lru_cache(maxsize=32)
def load_code(name: str) -> Any:
    """Load user code: an `Augmentation`, or a callable for finished images.

    Args:
        name: `package.module:object`; a class is called without arguments.

    Raises:
        InputError: it cannot be imported, created or called.
    """
    try:
        found = resolve(name)
    except Exception as error:
        raise InputError(
            f"--augmentation {name}: cannot be imported ({type(error).__name__}: {error}). Install its package, or add "
            "its folder to PYTHONPATH."
        ) from None
    if inspect.isclass(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(f"--augmentation {name}: cannot be created ({type(error).__name__}: {error}).") from None
    if not isinstance(found, Augmentation) and not callable(found):
        raise InputError(
            f"--augmentation {name}: is a {type(found).__name__}, which cannot be called. Name a function, or an "
            "object or a class with __call__."
        )
    return found


def refuse_code(requests: Sequence[str], given: Sequence[str], source: str) -> None:
    """Refuse code that only a file names: a file may come from anyone.

    Args:
        requests: the file's augmentations, each NAME or NAME=PROBABILITY.
        given: the user's augmentations.
        source: the file, for the message.

    Raises:
        InputError: the file names code that was not given.
    """
    trusted = {name for name, _ in probabilities(tuple(given))}
    code = [each for each in requests if is_code(each) and each.partition("=")[0] not in trusted]
    if code:
        wanted = " ".join(f"--augmentation {each}" for each in requests)
        raise InputError(
            f"{source} names augmentations that are code, which is not run just because a file names it. If you trust "
            f"it, add {wanted}."
        )


@lru_cache(maxsize=8)
def probabilities(requests: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """Split `--augmentation` into names and probabilities.

    Args:
        requests: each NAME or NAME=PROBABILITY, valid.
    """
    return tuple((name, float(value or 1)) for name, _, value in (each.partition("=") for each in requests))


def change_plan(
    plan: Plan, requests: tuple[str, ...], context: CanvasContext, draws: Callable[[str], np.random.Generator]
) -> Plan:
    """Apply the requested augmentations in order, each with its probability.

    Args:
        plan: of the canvas.
        requests: the value of `--augmentation`.
        context: further facts about the canvas.
        draws: returns the generator of an augmentation by name, so that adding one changes no other draws.
    """
    for name, probability in probabilities(requests):
        augmentation = load_code(name) if is_code(name) else find_augmentation(name)
        if not isinstance(augmentation, Augmentation):
            continue  # it receives the finished image
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
    why="transformations that only your images need",
    state=_state,
    switches=(Switch("augmentation", {"augmentation": ...}, {"augmentation": []}, aliases=("augmentations",)),),
    turn_on="--augmentation NAME",
    turn_off="leave out --augmentation",
    code=("augment/own_transforms.py",),
)
