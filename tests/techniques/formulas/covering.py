"""Pages of the section "Augmentation" on what covers parts of a canvas."""

from __future__ import annotations

import numpy as np
from tests.techniques.formulas.check import Checks, Formula, Values, each, real, whole

from lehr.augment.box_filter import uncovered
from lehr.augment.cutmix import cutmix_rectangle
from lehr.augment.erasing import AREA, RATIO, erased_rectangle


class Fixed:
    """A generator with one value for each of its ways to draw.

    Args:
        uniform: values of the calls of `uniform`, in turn.
        share: value of `random`.
        whole: value of `integers`.
    """

    def __init__(self, uniform: tuple[float, ...] = (), share: float = 0.0, whole: int = 0) -> None:
        self._uniform, self._share, self._whole = list(uniform), share, whole

    def uniform(self, low: float, high: float, size: int) -> Values:
        return np.full(size, self._uniform.pop(0))

    def random(self) -> float:
        return self._share

    def integers(self, high: int) -> int:
        return self._whole


def erased_side(axis: int, width: int, height: int, area: float, ratio: float) -> int:
    """A side of the rectangle that is erased: its width or its height."""
    found = erased_rectangle((width, height), Fixed((area, ratio)))  # type: ignore[arg-type]
    assert found is not None
    return found[axis + 2] - found[axis]


def some_rectangles(rng: np.random.Generator) -> dict[str, Values]:
    sizes = {"width": whole(rng, 300, 640), "height": whole(rng, 300, 640)}
    return {**sizes, "area": real(rng, 0.02, 0.12), "ratio": real(rng, 0.3, 1 / 0.3)}


def covered_start(left: float, right: float, cover: float) -> float:
    """Where a box begins of which a rectangle hides all up to a place."""
    around, _ = uncovered(np.array([[left, 5.0, right, 9.0]]), (-1000, 0, cover, 10))
    return float(around[0, 0])


def some_boxes(rng: np.random.Generator) -> dict[str, Values]:
    left = real(rng, -100, 100)
    return {"left": left, "right": left + real(rng, 1, 100), "cover": real(rng, -200, 300)}


def mixed_width(width: int, kept: float) -> int:
    """Width of the rectangle that shows another canvas, where nothing of it is cut off."""
    left, _, right, _ = cutmix_rectangle((width, width), Fixed(share=kept, whole=width // 2))  # type: ignore[arg-type]
    return right - left


def some_shares(rng: np.random.Generator) -> dict[str, Values]:
    return {"width": 2 * whole(rng, 16, 640), "kept": real(rng, 0, 1)}


CHECKS: dict[str, Checks] = {
    "cutmix": Checks(formulas={"wide": Formula(each(mixed_width), some_shares)}),
    "random-erasing": Checks(
        formulas={
            "wide": Formula(each(lambda **given: erased_side(0, **given)), some_rectangles),
            "high": Formula(each(lambda **given: erased_side(1, **given)), some_rectangles),
            "start": Formula(each(covered_start), some_boxes),
        },
        figures={
            "uniform between {} and {}, and a ratio": AREA,
            "a ratio uniform between {} and {} it is": tuple(round(ratio, 2) for ratio in RATIO),
        },
    ),
}
