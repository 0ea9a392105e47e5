"""Pages of the section "The data"."""

from __future__ import annotations

import numpy as np
from tests.techniques.formulas.check import Checks, Draw, Formula, Values, each, real, whole

from lehr.techniques import multi_scale


def _sizes(rng: np.random.Generator) -> dict[str, Values]:
    return {"r": real(rng, 0, 0.99), "imgsz": 32 * whole(rng, 1, 40)}


def _cells(name: str) -> Draw:
    return lambda rng: {name: whole(rng, 2, 40)}


def _mean_work() -> str:
    """Mean area of the steps of YOLOv5's range, relative to that of 640 pixels."""
    sizes = multi_scale.range_around(640, 0.5)
    every = np.arange(sizes.min_size, sizes.max_size + 1, multi_scale.STRIDE)
    return f"{np.mean((every / 640) ** 2):.2f}"


CHECKS: dict[str, Checks] = {
    "multi-scale": Checks(
        formulas={
            "smallest": Formula(each(lambda r, imgsz: multi_scale.range_around(imgsz, r).min_size), _sizes),
            "largest": Formula(each(lambda r, imgsz: multi_scale.range_around(imgsz, r).max_size), _sizes),
            "most": Formula(each(lambda r, imgsz: (multi_scale.range_around(imgsz, r).max_size / imgsz) ** 2), _sizes),
            "low": Formula(each(lambda a: multi_scale.range_of_cells(a, a).min_size), _cells("a")),
            "high": Formula(each(lambda b: multi_scale.range_of_cells(2, b).max_size), _cells("b")),
        },
        figures={"multiples of {} ": multi_scale.STRIDE, "{} times the work on average": _mean_work()},
    ),
}
