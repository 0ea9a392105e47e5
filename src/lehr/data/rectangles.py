"""Rectangular batches: images of similar shape together, in the smallest rectangle that holds them, without padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lehr.augment.letterbox import smallest_rectangle
from lehr.sample import Sample
from lehr.technique import Section, State, Switch, Technique


def alike_together(order: Iterable[int], samples: Sequence[Sample]) -> list[int]:
    """Images sorted by height / width; among equals they keep their order.

    Args:
        order: images, by their index in the split.
        samples: the split.
    """
    return sorted(order, key=lambda index: samples[index].height / samples[index].width)


def rectangle(samples: Sequence[Sample], indices: Sequence[int], imgsz: int) -> tuple[int, int]:
    """Width and height, pixels, of the smallest rectangle of whole strides for a batch.

    Args:
        samples: the split.
        indices: the images of the batch.
        imgsz: longest side, pixels.
    """
    return smallest_rectangle([(samples[index].width, samples[index].height) for index in indices], imgsz)


TECHNIQUE = Technique(
    name="rectangular batches",
    page="rectangular-batches",
    section=Section.DATA,
    order=20,
    options=("rect",),
    why="no computation on padding; without mosaic",
    state=lambda run: State(run.config.data.rect, "smallest rectangle of whole strides"),
    switches=(Switch("rect", {"rect": True}, {"rect": False}),),
)
