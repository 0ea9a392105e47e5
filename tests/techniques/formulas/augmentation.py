"""Pages of the section "Augmentation"."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from tests.techniques.formulas.check import Checks, Draw, Formula, Values, each, real, whole

from lehr.augment.box_filter import BoxLimits, visible
from lehr.augment.closing import closing_epochs
from lehr.augment.colour import HUES, draw_jitter
from lehr.augment.copy_paste import MAX_COVERED
from lehr.augment.flips import flips
from lehr.augment.geometry import Matrix, rotation, shearing, tilting, transform_boxes, transform_points
from lehr.augment.mosaic import mosaic
from lehr.augment.perspective import random_view
from lehr.data.batch_makers import TrainBatches
from lehr.options import AugmentOptions
from lehr.sample import Sample


class Extreme:
    """A generator whose uniform draws are all the lowest, or all the highest.

    Args:
        share: 0 for the lowest, 1 for the highest.
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def uniform(self, low: Any, high: Any, size: int | None = None) -> Any:
        value = low + (high - low) * self.share
        return value if size is None else np.full(size, value)

    def random(self, size: int) -> Values:
        return np.full(size, self.share)


def of_interval(**bounds: tuple[float, float]) -> Draw:
    """Draw each name from an interval."""
    return lambda rng: {name: real(rng, *ends) for name, ends in bounds.items()}


def moved(matrix: Matrix, x: float, y: float) -> Values:
    return transform_points(np.array([x, y], np.float64), matrix)


def mirrored(axis: int, **size: int) -> float:
    """Where a point at a place goes along an axis, in a canvas that is mirrored along it."""
    shape = (size["length"], 1) if axis == 0 else (1, size["length"])
    options = AugmentOptions(fliplr=float(axis == 0), flipud=float(axis == 1))
    place = (size["at"], 0.5) if axis == 0 else (0.5, size["at"])
    return float(moved(flips(options, shape, Extreme(0)), *place)[axis])  # type: ignore[arg-type]


def zoom(scale: float, share: float) -> float:
    """The factor of a view with the lowest or the highest zoom."""
    options = AugmentOptions(translate=0.0, scale=scale)
    return float(random_view(options, (640, 640), (640, 640), Extreme(share))[0, 0])  # type: ignore[arg-type]


def shifted_centre(translate: float, width: float, share: float) -> float:
    """Where the centre of the plane goes in the furthest shift."""
    options = AugmentOptions(translate=translate, scale=0.0)
    view = random_view(options, (500, 500), (int(width), 300), Extreme(share))  # type: ignore[arg-type]
    return float(moved(view, 250, 250)[0])


def turned_width(w: float, h: float, a: float) -> float:
    corners = transform_boxes(np.array([[0.0, 0.0, w, h]]), rotation(math.degrees(a)))[0]
    return float(corners[2] - corners[0])


def stays(boxes: dict[str, float]) -> bool:
    """Whether a box stays of which w by h is inside the canvas, and the rest reaches out to the right."""
    w, h, whole_area = boxes["w"], boxes["h"], boxes["whole"]
    limits = BoxLimits(boxes["min_box_side"], boxes["min_visible"], boxes["max_box_ratio"])
    box = np.array([[500 - w, 0.0, 500 - w + whole_area / h, h]])
    return bool(visible(box, 500, 500, limits)[1][0])


def cut_boxes(rng: np.random.Generator) -> dict[str, Values]:
    w, h = np.exp(real(rng, -1, 6)), np.exp(real(rng, -1, 6))
    return {
        **{"w": w, "h": h, "whole": w * h * np.exp(real(rng, 0.01, 4))},
        **{"min_box_side": real(rng, 0, 4), "min_visible": real(rng, 0, 0.5), "max_box_ratio": real(rng, 1.1, 100)},
    }


def meeting_point(imgsz: int, share: float) -> float:
    """Where the first corner of the fourth tile of a mosaic is."""
    image = Sample(Path("image"), 10, 10, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), Path("label"))
    tiles = mosaic([image], imgsz, 0, SameImage(), Extreme(share))  # type: ignore[arg-type]
    return float(tiles[3].matrix[0, 2])


class SameImage:
    """Partners that are always the first image."""

    def draw(self, rng: object, count: int) -> list[int]:
        return [0] * count


def mosaic_is_open(epoch: int, epochs: int, close_mosaic: int) -> bool:
    options = AugmentOptions(close_mosaic=close_mosaic)
    return TrainBatches(None, options, 64, 0, epochs).mosaic_on(epoch)  # type: ignore[arg-type]


def some_epochs(rng: np.random.Generator) -> dict[str, Values]:
    epochs = whole(rng, 1, 300)
    return {"epochs": epochs, "epoch": whole(rng, 0, epochs), "close_mosaic": whole(rng, 0, 320)}


def epochs_and_closing(rng: np.random.Generator) -> dict[str, Values]:
    return {"epochs": whole(rng, 1, 90), "close_mosaic": whole(rng, 0, 95)}


def jitter(u: float, **spans: float) -> tuple[float, float, float]:
    """Factors of hue, saturation and value for a draw u of all three."""
    options = AugmentOptions(**{"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0, **spans})
    factors, _ = draw_jitter(options, Extreme((u + 1) / 2))  # type: ignore[arg-type]
    assert factors is not None
    return factors


def a_draw(span: str) -> Draw:
    return of_interval(**{"u": (-1.0, 1.0), span: (0.01, 1.0)})


def hue_shift(u: float, hsv_h: float) -> float:
    """Shift of the hue for a draw u, in circles."""
    options = AugmentOptions(hsv_h=hsv_h, hue="add")
    return draw_jitter(options, Extreme((u + 1) / 2))[1] / HUES  # type: ignore[arg-type]


def middle_shares(part: float) -> tuple[float, ...]:
    """Between which shares of a blend that part of all lies (mixup)."""
    beta = AugmentOptions().mixup_beta
    return tuple(round(float(share), 2) for share in stats.beta(beta, beta).interval(part))


HSV_H = AugmentOptions().hsv_h
POINT = {"x": (-500.0, 500.0), "y": (-500.0, 500.0)}
ANGLE = (-math.pi / 4, math.pi / 4)
SHIFT: Draw = lambda rng: {"translate": real(rng, 0, 0.9), "width": whole(rng, 32, 1280)}  # noqa: E731

CHECKS: dict[str, Checks] = {
    "box-filter": Checks(formulas={"stays": Formula(each(lambda **boxes: stays(boxes)), cut_boxes)}),
    "colour-jitter": Checks(
        formulas={
            "saturation": Formula(each(lambda u, hsv_s: jitter(u, hsv_s=hsv_s)[1]), a_draw("hsv_s")),
            "value": Formula(each(lambda u, hsv_v: jitter(u, hsv_v=hsv_v)[2]), a_draw("hsv_v")),
            "hue": Formula(each(lambda u, hsv_h: jitter(u, hsv_h=hsv_h)[0]), a_draw("hsv_h")),
            "shift": Formula(each(hue_shift), a_draw("hsv_h")),
        },
        figures={
            "green ({} degrees) moves by up to {} degrees": (120, 120 * HSV_H),
            "blue ({}) by {}": (240, 240 * HSV_H),
            "magenta, at {}, moves": 340,
            "magenta by {}.": 340 * HSV_H,
            "stop at {}": np.iinfo(np.uint8).max,
            "by up to {} degrees, in steps of {} degrees": (round(hue_shift(1, HSV_H) * 360, 6), 360 // HUES),
            "u uniform in [-{}, {}]": (1, 1),
            "OpenCV's {}-bit hue": np.iinfo(np.uint8).bits,
        },
    ),
    "copy-paste": Checks(
        figures={
            "cover more than {}% of any object": round(100 * MAX_COVERED),
            "cover another {}%": round(100 * MAX_COVERED),
        },
    ),
    "mixup": Checks(
        figures={
            "r from Beta({}, {})": (AugmentOptions().mixup_beta,) * 2,
            "within {} and {} in {} of {} blends": (*middle_shares(0.95), 95, 100),
        },
        elsewhere={"take 1.5, which": "Zhang et al., 2019"},
    ),
    "flips": Checks(
        formulas={
            "x_mirrored": Formula(
                each(lambda width, x: mirrored(0, length=width, at=x)), of_interval(width=(32, 1280), x=(0, 1280))
            ),
            "y_mirrored": Formula(
                each(lambda height, y: mirrored(1, length=height, at=y)), of_interval(height=(32, 1280), y=(0, 1280))
            ),
        },
    ),
    "mosaic": Checks(
        formulas={
            "first": Formula(each(lambda imgsz: meeting_point(imgsz, 0)), lambda rng: {"imgsz": whole(rng, 32, 1280)}),
            "last": Formula(each(lambda imgsz: meeting_point(imgsz, 1)), lambda rng: {"imgsz": whole(rng, 32, 1280)}),
            "open": Formula(each(mosaic_is_open), some_epochs),
            "closed": Formula(each(closing_epochs), epochs_and_closing),
            "unset": Formula(
                each(lambda epochs: closing_epochs(None, epochs)), lambda rng: {"epochs": whole(rng, 1, 90)}
            ),
        },
    ),
    "random-perspective": Checks(
        formulas={
            "x_tilted": Formula(
                each(lambda x, y, p, q: moved(tilting(p, q), x, y)[0]),
                of_interval(**POINT, p=(-0.0009, 0.0009), q=(-0.0009, 0.0009)),
            ),
            "x_turned": Formula(
                each(lambda x, y, a: moved(rotation(math.degrees(a)), x, y)[0]), of_interval(**POINT, a=(-3, 3))
            ),
            "y_turned": Formula(
                each(lambda x, y, a: moved(rotation(math.degrees(a)), x, y)[1]), of_interval(**POINT, a=(-3, 3))
            ),
            "smallest": Formula(each(lambda scale: zoom(scale, 0)), of_interval(scale=(0, 0.9))),
            "largest": Formula(each(lambda scale: zoom(scale, 1)), of_interval(scale=(0, 0.9))),
            "x_sheared": Formula(
                each(lambda x, y, a: moved(shearing(math.degrees(a), 0), x, y)[0]), of_interval(**POINT, a=ANGLE)
            ),
            "y_sheared": Formula(
                each(lambda x, y, b: moved(shearing(0, math.degrees(b)), x, y)[1]), of_interval(**POINT, b=ANGLE)
            ),
            "left": Formula(each(lambda translate, width: shifted_centre(translate, width, 0)), SHIFT),
            "right": Formula(each(lambda translate, width: shifted_centre(translate, width, 1)), SHIFT),
            "w_turned": Formula(each(turned_width), of_interval(w=(1, 500), h=(1, 500), a=(-3, 3))),
        },
        figures={"at 45 degrees {} times as wide": f"{turned_width(1, 1, math.pi / 4):.2f}"},
    ),
}
