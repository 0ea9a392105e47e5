"""Pages of the section "The data"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.techniques.formulas.check import Checks, Draw, Formula, Values, each, real, whole

from lehr.augment.tile_grid import TileAxis, tile_axis
from lehr.data.cache import RING_SHARE
from lehr.data.rectangles import rectangle
from lehr.data.tiled_split import TiledSplit, Tiling
from lehr.models.detection import STRIDES
from lehr.sample import Dataset, Sample
from lehr.techniques import multi_scale
from lehr.techniques.background_share import with_background_share
from lehr.techniques.class_weights import class_weights
from lehr.techniques.image_weights import class_importance
from lehr.techniques.partner_window import WINDOW, count_windows, ring_images
from lehr.techniques.repeat_factors import class_factors, repeat_factors
from lehr.techniques.replay import Replay, replayed_images
from lehr.techniques.single_class import as_one_class
from lehr.techniques.tiled_training import tile_window

NOTHING = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)


def _sizes(rng: np.random.Generator) -> dict[str, Values]:
    return {"r": real(rng, 0, 0.99), "imgsz": 32 * whole(rng, 1, 40)}


def _cells(name: str) -> Draw:
    return lambda rng: {name: whole(rng, 2, 40)}


def _mean_work() -> str:
    """Mean area of the steps of YOLOv5's range, relative to that of 640 pixels."""
    sizes = multi_scale.range_around(640, 0.5)
    every = np.arange(sizes.min_size, sizes.max_size + 1, multi_scale.STRIDE)
    return f"{np.mean((every / 640) ** 2):.2f}"


def _rectangle(imgsz: int, w: int, h: int) -> tuple[int, int]:
    image = Sample(Path("image"), w, h, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), Path("label"))
    return rectangle([image], [0], imgsz)


def _images(rng: np.random.Generator) -> dict[str, Values]:
    return {"imgsz": 32 * whole(rng, 1, 40), "w": whole(rng, 1, 2000), "h": whole(rng, 1, 2000)}


def _class_of_one() -> tuple[int, str]:
    """Class and name of the objects of a data set that is made one class."""
    boxes, classes = np.zeros((3, 4), np.float32), np.array([2, 0, 1])
    dataset = Dataset("x", ("a", "b", "c"), {"train": [Sample(Path("image"), 9, 9, boxes, classes, Path("label"))]})
    one = as_one_class(dataset)
    (number,) = set(one.splits["train"][0].classes.tolist())
    return number, one.names[number]


def _image(classes: list[int]) -> Sample:
    boxes = np.tile(np.array([[0, 0, 8, 8]], np.float32), (len(classes), 1))
    return Sample(Path("a"), 64, 64, boxes, np.array(classes, np.int64))


def _repeat_factor(T: float, f_c: list[float]) -> float:
    """The factor of an image with three classes, of a split in which they have these shares."""
    split = [_image([c for c, share in enumerate(f_c) if index < round(20 * share)]) for index in range(20)]
    return float(repeat_factors(split, len(f_c), T)[0])


def _shares(several: int) -> Draw:
    return lambda rng: {"T": real(rng, 0, 1), "f_c": whole(rng, 1, 20, several) / 20}


def _weight_of(kind: str) -> Draw:
    """An image's weight, the sum of those of its kind, and the share that is asked for."""

    def draw(rng: np.random.Generator) -> dict[str, Values]:
        w = real(rng, 0.1, 5)
        return {"S": real(rng, 0.01, 0.99), "w": w, kind: w + real(rng, 0.1, 50)}

    return draw


def _batch_and_share(rng: np.random.Generator) -> dict[str, Values]:
    return {"batch": whole(rng, 2, 64), "share": real(rng, 0.001, 0.999)}


def _own_and_counts(name: str) -> Draw:
    """A batch, how many of it are older images, and images of the run's own, of which the last batch has k at most."""

    def draw(rng: np.random.Generator) -> dict[str, Values]:
        batch = whole(rng, 2, 64)
        count = whole(rng, 1, batch - 1)
        return {"batch": batch, "count": count, name: whole(rng, 1, batch - count if name == "k" else 500)}

    return draw


def _replayed_batches(batch: float, count: float, n: float) -> int:
    return Replay(int(n), int(batch), count / batch).batches


def _replayed_beside(batch: float, count: float, k: float) -> int:
    return Replay(int(k), int(batch), count / batch).beside(int(k))


def _share(S: float, w: float, total: float, background: bool) -> float:
    kinds = np.array([background, background, not background])
    return float(with_background_share(np.array([w, total - w, 1]), kinds, S)[0])


def _windows(rng: np.random.Generator) -> dict[str, Values]:
    batches = whole(rng, 1, 300)
    return {"batches": batches, "n": batches * 16 - whole(rng, 0, 15), "N": whole(rng, 1, 3000)}


def _small_images() -> list[Sample]:
    return [Sample(Path("image"), 32, 32, *NOTHING)] * 2


def _tile_and_overlap(rng: np.random.Generator) -> dict[str, Values]:
    return {"t": whole(rng, 32, 800), "v": real(rng, 0, 0.9)}


def _tile_and_step(rng: np.random.Generator) -> dict[str, Values]:
    step = whole(rng, 4, 400)
    return {"t": step + whole(rng, 0, 399) % step, "step": step}


def _tiles_and_steps(rng: np.random.Generator) -> dict[str, Values]:
    """Axes of three tiles or more."""
    given = _tile_and_step(rng)
    length = 3 * given["t"] + whole(rng, 0, 4000)
    return {"L": length, "tiles": 1 + np.ceil((length - given["t"]) / given["step"]), **given}


def _shifts(L: float, t: float, tiles: float, step: float) -> tuple[int, int]:
    return TileAxis(int(L), int(t), int(step), int(tiles)).shifts


def _shared(t: float, step: float) -> int:
    """The fewest pixels that neighbours show twice at any shift."""
    axis = TileAxis(int(step) * 3 + int(t), int(t), int(step), 4)
    starts = [[axis.start(number, shift) for number in range(4)] for shift in axis.shifts]
    return int(t) - max(int(np.diff(each).max()) for each in starts)


def _longer(tiles_x: float, tiles_y: float) -> int:
    images = [Sample(Path("image"), int(32 * tiles_x), int(32 * tiles_y), *NOTHING)] * 2
    return len(TiledSplit(images, Tiling(32, 0.0, 0.1))) // len(images)


CHECKS: dict[str, Checks] = {
    "tiled-training": Checks(
        formulas={
            "step": Formula(each(lambda t, v: tile_axis(10**6, int(t), v).step), _tile_and_overlap),
            "tiles": Formula(
                each(lambda L, t, step: tile_axis(int(L), int(t), 1 - step / t).count),
                lambda rng: {"L": whole(rng, 1, 5000), "t": whole(rng, 100, 800), "step": whole(rng, 20, 100)},
            ),
            "lowest": Formula(each(lambda L, t, tiles, step: _shifts(L, t, tiles, step)[0]), _tiles_and_steps),
            "highest": Formula(each(lambda t, step: _shifts(step * 3 + t, t, 4, step)[1]), _tile_and_step),
            "shared": Formula(each(_shared), _tile_and_step),
            "longer": Formula(each(_longer), lambda rng: {"tiles_x": whole(rng, 1, 9), "tiles_y": whole(rng, 1, 9)}),
        },
        figures={"of up to {} tiles": f"{tile_window(TiledSplit(_small_images(), Tiling(32, 0.0, 0.1)), 10**6):,}"},
    ),
    "partner-windows": Checks(
        formulas={
            "windows": Formula(each(lambda n, batches, N: count_windows(n, batches, N)), _windows),
            "kept": Formula(
                each(lambda n, N: ring_images(n, N)), lambda rng: {"n": whole(rng, 1, 5000), "N": whole(rng, 1, 3000)}
            ),
        },
        figures={"Unset, N is {} where": WINDOW, "more than {}% of the free memory": round(100 * RING_SHARE)},
    ),
    "background-share": Checks(
        formulas={
            "background": Formula(each(lambda S, w, B: _share(S, w, B, True)), _weight_of("B")),
            "objects": Formula(each(lambda S, w, O: _share(S, w, O, False)), _weight_of("O")),  # noqa: E741
        }
    ),
    "image-weights": Checks(
        formulas={
            "w_c": Formula(
                each(lambda n_c: class_weights([n_c, 1])[0] / class_weights([n_c, 1])[1]),
                lambda rng: {"n_c": whole(rng, 0, 500)},
            ),
            "importance": Formula(
                lambda w_c, AP_c: class_importance(w_c, AP_c),
                lambda rng: {"w_c": real(rng, 0, 10), "AP_c": real(rng, 0, 1)},
            ),
        }
    ),
    "replay": Checks(
        formulas={
            "count": Formula(each(lambda batch, share: replayed_images(int(batch), share)), _batch_and_share),
            "batches": Formula(each(_replayed_batches), _own_and_counts("n")),
            "beside": Formula(each(_replayed_beside), _own_and_counts("k")),
            "longer": Formula(
                each(lambda share: Replay(10**6, 10**4, share).images / 10**6),
                lambda rng: {"share": real(rng, 0, 0.5)},
                1e-3,
            ),
        }
    ),
    "repeat-factors": Checks(
        formulas={
            "r_c": Formula(lambda T, f_c: class_factors(f_c, T), _shares(1)),
            "r": Formula(each(_repeat_factor), _shares(3)),
        }
    ),
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
    "rectangular-batches": Checks(
        formulas={
            "width": Formula(each(lambda imgsz, w, h: _rectangle(imgsz, w, h)[0]), _images),
            "height": Formula(each(lambda imgsz, w, h: _rectangle(imgsz, w, h)[1]), _images),
            "work": Formula(each(lambda imgsz, w, h: np.prod(_rectangle(imgsz, w, h)) / imgsz**2), _images),
        },
        figures={"in multiples of {}:": max(STRIDES)},
    ),
    "single-class": Checks(figures={"Every object's class becomes {}, named `{}`": _class_of_one()}),
}
