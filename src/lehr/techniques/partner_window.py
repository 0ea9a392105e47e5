"""Windows of partners: an epoch's order is cut into windows, and images are combined with those of their own window.

If images are decoded on demand, a mosaic of four random ones decodes four. With partners from a window that a ring of
decoded images holds, each is decoded about once per epoch. The windows are whole batches of the epoch's order, which is
drawn from (seed, epoch): so they are the same for any number of loading or training processes, and after a resume.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from lehr.augment.mosaic import why_single
from lehr.config import TrainConfig
from lehr.data.requests import BatchRequest
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique, is_cut
from lehr.techniques.replay import Replay

WINDOW = 1024
"""Default number of images in a window."""
SMALL = 64
"""Window size in ablations, which shows the cost of windows on data of a few hundred images."""
ROOM = 1.5
"""Decoded images kept, in windows: one that ends and one that begins, whose batches are built together."""


def chosen_window(given: int | Literal["all"] | None, decoded: bool) -> int:
    """Return the number of images in a window; 0 for partners from all images.

    Args:
        given: `--partner-window`.
        decoded: all images are in memory or in a file decoded, so that partners from all of them cost nothing.
    """
    if given is None:
        return 0 if decoded else WINDOW
    return 0 if given == "all" else given


def count_windows(images: int, batches: int, window: int) -> int:
    """Compute the windows of an epoch: about the requested size, in whole batches.

    Args:
        images: of the epoch.
        batches: of the epoch.
        window: images of a window; 0 for all.
    """
    return 1 if window == 0 else max(1, min(batches, math.floor(images / window + 1 / 2)))


def ring_images(images: int, window: int) -> int:
    """Number of images to keep decoded, so that each is decoded about once while its window is shown.

    Args:
        images: of the split.
        window: images of a window; 0 for all, few of which would be reused.
    """
    room = math.ceil(ROOM * (window or WINDOW))
    return min(images, room) if window or images <= room else 0


def within_windows(requests: Sequence[BatchRequest], window: int) -> list[BatchRequest]:
    """The batches of an epoch, each with the images of its window to draw partners from.

    Args:
        requests: the epoch's batches, in their order.
        window: images of a window; 0 for all.
    """
    count = count_windows(sum(len(request.images) for request in requests), len(requests), window)
    if count == 1:
        return list(requests)
    found: list[BatchRequest] = []
    ends = [round(number * len(requests) / count) for number in range(count + 1)]
    for start, end in itertools.pairwise(ends):
        batches = requests[start:end]
        shown = np.array([index for request in batches for index in request.images], np.int32)
        found += [replace(request, shown=shown) for request in batches]
    return found


def windows_of(run: Run) -> int:
    """Windows per epoch of a planned run; 1 if partners are drawn from all images."""
    data, batch = run.config.data, run.config.batch
    window = chosen_window(data.partner_window, decoded=data.cache in ("ram", "disk"))
    images = Replay(run.images, batch, data.replay if batch > 1 else 0).images
    return 1 if _why_alone(run) or why_single(run) else count_windows(images, run.plan.batches, window)


def describe_window(config: TrainConfig, images: int, window: int) -> str | None:
    """Describe in one line where partners are drawn from; None for all images.

    Args:
        config: the run's options.
        images: of the training split.
        window: images of a window; 0 for all.
    """
    batches = -(-images // config.batch)
    tiled = config.data.tile is not None
    if config.data.rect or not (tiled or _combines(config)) or (count := count_windows(images, batches, window)) == 1:
        return None
    if tiled:
        return (
            f"The tiles of an image are shown in the same of {count} windows of about {images // count} tiles of the "
            "epoch's order, so that each image is decoded about once per epoch; --partner-window all mixes all tiles."
        )
    return (
        f"Partners of mosaic and similar augmentations are drawn from {count} windows of about {images // count} "
        "images of the epoch's order, so that each image is decoded about once per epoch; --partner-window all draws "
        "from all images."
    )


def _combines(config: TrainConfig) -> bool:
    augment = config.augment
    return any((augment.mosaic, augment.mixup, augment.cutmix, augment.copy_paste))


def _why_alone(run: Run) -> str | None:
    """Return why windows have no effect in a planned run; None if they may."""
    return None if _combines(run.config) or is_cut(run) else "mosaic, mixup, CutMix and copy-paste are off"


def _without_effect(run: Run) -> dict[str, NoEffect]:
    if run.config.data.partner_window in (None, "all"):
        return {}
    if (why := why_single(run) or _why_alone(run)) is not None:
        return {"partner_window": NoEffect(why)}
    if windows_of(run) == 1:
        return {"partner_window": NoEffect("an epoch has too few images for two windows")}
    return {}


TECHNIQUE = Technique(
    name="partner windows",
    page="partner-windows",
    section=Section.DATA,
    order=90,
    options=("partner_window",),
    without_effect=_without_effect,
    why="images that do not fit in memory are decoded once per epoch, not once per mosaic that uses them",
    state=lambda run: State(windows_of(run) > 1, f"{windows_of(run)} windows per epoch"),
    # Not in `all`: its purpose is speed.
    switches=(Switch("partner_window", {"partner_window": SMALL}, {"partner_window": "all"}, in_all=False),),
    turn_on=f"--partner-window {WINDOW}",
    turn_off="--partner-window all",
    code=("data/decoded_ring.py",),
)
