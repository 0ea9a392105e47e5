"""What covers parts of a canvas: random erasing by noise, CutMix by another canvas; on the CPU and on the device."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from tests.augment.canvases import on_device, random_plans, world

from lehr.augment.box_filter import BoxLimits, uncovered
from lehr.augment.cutmix import cutmix, cutmix_rectangle
from lehr.augment.draw import draw
from lehr.augment.draw_on_device import draw_canvases, draw_with_torch
from lehr.augment.erasing import FACTORS, erase, erased_rectangle, noise
from lehr.augment.gpu_plan import pack
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.config import build_config
from lehr.options import AugmentOptions
from lehr.preview import preview
from lehr.rng import generator
from lehr.techniques.catalog import techniques

SIDE = 96
KEEP_ALL = BoxLimits(0.0, 0.0, 1e6)


def rest_slowly(box: list[float], cover: list[float], limits: BoxLimits) -> list[float] | None:
    """The box around the cells of a box that a rectangle leaves, from all their edges; None if it is no object."""
    xs = sorted({box[0], box[2], *(x for x in (cover[0], cover[2]) if box[0] < x < box[2])})
    ys = sorted({box[1], box[3], *(y for y in (cover[1], cover[3]) if box[1] < y < box[3])})
    left = []
    for x1, x2 in itertools.pairwise(xs):
        for y1, y2 in itertools.pairwise(ys):
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            if not (cover[0] < x < cover[2] and cover[1] < y < cover[3]):
                left.append((x1, y1, x2, y2))
    if not left:
        return None
    seen = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in left)
    rest = [min(c[0] for c in left), min(c[1] for c in left), max(c[2] for c in left), max(c[3] for c in left)]
    w, h = rest[2] - rest[0], rest[3] - rest[1]
    enough = seen >= limits.min_visible * (box[2] - box[0]) * (box[3] - box[1]) - 1e-9
    return rest if min(w, h) > limits.min_side and enough and max(w, h) / min(w, h) < limits.max_ratio else None


def test_a_thousand_boxes_are_covered_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    smaller = gone = 0
    for number in range(1000):
        corner = rng.integers(0, 60, (5, 2)).astype(float)
        boxes = np.concatenate((corner, corner + rng.integers(1, 40, (5, 2))), 1)
        low = rng.integers(0, 70, 2).astype(float)
        cover = [*low, *(low + rng.integers(0, 70, 2))]
        limits = KEEP_ALL
        if number % 10:
            limits = BoxLimits(rng.choice([0, 2]), rng.choice([0, 0.1, 0.7]), rng.choice([2.5, 100]))
        around, kept = uncovered(boxes, tuple(cover), limits)
        for box, rest, each in zip(boxes.tolist(), around.tolist(), kept.tolist(), strict=True):
            wanted = rest_slowly(box, cover, limits)
            assert each == (wanted is not None)
            assert wanted is None or rest == wanted
            smaller += wanted is not None and wanted != box
            gone += wanted is None
    assert smaller > 300 and gone > 1000


def test_a_hole_and_a_corner_leave_a_box_and_a_whole_side_does_not() -> None:
    boxes = np.array([[10.0, 10, 50, 50]])
    for cover, rest in [
        ((20, 20, 30, 30), [10, 10, 50, 50]),
        ((0, 0, 30, 30), [10, 10, 50, 50]),
        ((0, 10, 30, 50), [30, 10, 50, 50]),
        ((0, 30, 90, 90), [10, 10, 50, 30]),
        ((20, 0, 30, 90), [10, 10, 50, 50]),
        ((60, 60, 90, 90), [10, 10, 50, 50]),
        ((40, 40, 40, 40), [10, 10, 50, 50]),
    ]:
        around, kept = uncovered(boxes, cover)
        assert around.tolist() == [rest] and kept.all()
    assert not uncovered(boxes, (5, 5, 60, 60), KEEP_ALL)[1].any()
    assert not uncovered(boxes, (10, 10, 49, 50))[1].any()
    assert uncovered(np.zeros((0, 4)), (0, 0, 9, 9))[1].shape == (0,)


def test_erased_rectangles_have_the_published_areas_and_ratios() -> None:
    areas, ratios = [], []
    for shape in ((640, 640), (320, 608)):
        for number in range(1000):
            rectangle = erased_rectangle(shape, generator(0, "x", number, shape[0]))
            assert rectangle is not None
            x1, y1, x2, y2 = rectangle
            assert 0 <= x1 < x2 <= shape[0] and 0 <= y1 < y2 <= shape[1]
            areas.append((x2 - x1) * (y2 - y1) / (shape[0] * shape[1]))
            ratios.append((y2 - y1) / (x2 - x1))
    assert 0.019 < min(areas) < 0.03 and 0.37 < max(areas) < 0.41
    assert 0.29 < min(ratios) < 0.35 and 3.1 < max(ratios) < 3.45
    assert np.mean(areas) == pytest.approx(0.2, abs=0.02)
    assert erased_rectangle((4000, 1), generator(0, "x")) is None


def test_cutmix_rectangles_have_uniform_shares_before_they_are_cut() -> None:
    shares = []
    for number in range(1000):
        x1, y1, x2, y2 = cutmix_rectangle((640, 640), generator(0, "x", number))
        assert 0 <= x1 <= x2 <= 640 and 0 <= y1 <= y2 <= 640
        if x1 > 0 and y1 > 0 and x2 < 640 and y2 < 640:
            assert x2 - x1 == y2 - y1
        rng = generator(0, "x", number)
        side, x, y = int(640 * (1 - rng.random()) ** 0.5), rng.integers(640), rng.integers(640)
        assert (x1, y1) == (max(0, x - side // 2), max(0, y - side // 2))
        assert (x2, y2) == (min(640, x - side // 2 + side), min(640, y - side // 2 + side))
        shares.append((side / 640) ** 2)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.04)


def noise_slowly(x: int, y: int, width: int, key: int) -> list[int]:
    """The hash of one pixel in Python's integers."""
    bits = (y * width + x) ^ key
    bits = ((bits ^ bits >> 16) * FACTORS[0]) % 2**32
    bits = ((bits ^ bits >> 15) * FACTORS[1]) % 2**32
    bits ^= bits >> 16
    return [bits & 255, bits >> 8 & 255, bits >> 16 & 255]


def test_noise_is_uniform_and_that_of_single_pixels() -> None:
    rng = np.random.default_rng(0)
    for key in (0, 1, 2**31, 2**32 - 1, *rng.integers(0, 2**32, 96).tolist()):
        made = noise((3, 5, 40, 60), 96, key)
        assert made.shape == (55, 37, 3) and made.dtype == np.uint8
        for _ in range(10):
            x, y = int(rng.integers(3, 40)), int(rng.integers(5, 60))
            assert made[y - 5, x - 3].tolist() == noise_slowly(x, y, 96, key)
    large = noise((0, 0, 640, 640), 640, 12345).reshape(-1, 3).astype(float)
    assert np.abs(large.mean(0) - 127.5).max() < 0.5 and np.abs(large.std(0) - 73.9).max() < 0.5
    assert np.abs(np.corrcoef(np.concatenate((large[:-1], large[1:]), 1).T) - np.eye(6)).max() < 0.01


def covered(kind: str, count: int, **options: float) -> list[Plan]:
    samples = world(kind).samples
    rng = np.random.default_rng(4)
    plans = []
    for number in range(count):
        own = {"mosaic": float(rng.choice([0, 1])), "degrees": float(rng.choice([0, 20]))}
        given = AugmentOptions(mixup=0.3, copy_paste=0.3, **own, **options)
        index = number % len(samples)
        plans.append(plan_sample(samples, given, SIDE, seed=2, epoch=number, index=index, multi_image=True))
    return plans


COLOURLESS = {"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0}


def test_what_covers_changes_no_other_draw() -> None:
    bare, both = covered("noise", 60), covered("noise", 60, cutmix=0.5, erasing=0.5)
    for plan, other in zip(bare, both, strict=True):
        same_objects = {"boxes": plan.boxes, "classes": plan.classes}
        assert repr(dataclasses.replace(other, patch=None, erased=None, **same_objects)) == repr(plan)
    alone = covered("noise", 60, erasing=0.5)
    assert [plan.erased for plan in alone] == [plan.erased for plan in both]
    assert 15 < sum(plan.erased is not None for plan in both) < 45
    assert 15 < sum(plan.patch is not None for plan in both) < 45


def test_a_covered_canvas_depends_on_seed_epoch_and_index_alone() -> None:
    first, second = (covered("noise", 20, cutmix=0.5, erasing=0.5) for _ in range(2))
    covered("noise", 3, cutmix=1, erasing=1)
    assert repr(first) == repr(second)
    assert len({plan.erased for plan in first}) > 5


def test_cutmix_shows_the_other_canvas_where_it_says_with_the_objects_of_both() -> None:
    source = world("noise").source(SIDE)
    out, alone, other = (np.empty((SIDE, SIDE, 3), np.uint8) for _ in range(3))
    for plan in covered("noise", 40, cutmix=1, **COLOURLESS):
        assert plan.patch is not None
        partner, (x1, y1, x2, y2) = plan.patch
        draw(plan, source, out)
        draw(dataclasses.replace(plan, patch=None), source, alone)
        draw(partner, source, other)
        inside = np.zeros((SIDE, SIDE, 1), bool)
        inside[y1:y2, x1:x2] = True
        assert np.array_equal(out, np.where(inside, other, alone))
        for box in plan.boxes.tolist():
            assert 0 <= box[0] < box[2] <= SIDE and 0 <= box[1] < box[3] <= SIDE


def test_cutmix_cuts_boxes_on_both_sides() -> None:
    def of(boxes: list[list[float]]) -> Plan:
        return Plan((), np.array(boxes, np.float32).reshape(-1, 4), np.arange(len(boxes)))

    here = of([[0, 0, 30, 30], [50, 50, 70, 70], [20, 40, 60, 60]])
    there = of([[45, 45, 90, 90], [0, 0, 20, 20], [0, 40, 41.5, 80]])
    mixed = cutmix(here, there, (40, 40, 80, 80), BoxLimits())
    # The second is hidden, the third cut; of the other canvas's, one is cut, and two are too little inside.
    assert mixed.boxes.tolist() == [[0, 0, 30, 30], [20, 40, 40, 60], [45, 45, 80, 80]]
    assert mixed.classes.tolist() == [0, 2, 0] and mixed.boxes.dtype == np.float32


def test_erasing_covers_with_noise_after_the_colours() -> None:
    source = world("smooth").source(SIDE)
    out, bare = (np.empty((SIDE, SIDE, 3), np.uint8) for _ in range(2))
    for plan in covered("smooth", 20, erasing=1):
        assert plan.erased is not None
        (x1, y1, x2, y2), key = plan.erased
        draw(plan, source, out)
        draw(dataclasses.replace(plan, erased=None), source, bare)
        bare[y1:y2, x1:x2] = noise((x1, y1, x2, y2), SIDE, key)
        assert np.array_equal(out, bare)


def test_objects_that_are_erased_are_no_objects() -> None:
    plan = Plan((), np.array([[10, 10, 20, 20], [0, 0, 96, 96]], np.float32), np.arange(2))
    for number in range(200):
        erased = erase(plan, (SIDE, SIDE), BoxLimits(0, 0.1, 1e6), generator(0, "x", number))
        assert erased.erased is not None
        x1, y1, x2, y2 = erased.erased.rectangle
        hidden = max(0, min(x2, 20) - max(x1, 10)) * max(0, min(y2, 20) - max(y1, 10))
        assert (0 in erased.classes) == (hidden <= 90) and 1 in erased.classes


def test_covered_canvases_are_drawn_on_the_device_as_on_the_cpu() -> None:
    for kind in ("noise", "smooth"):
        source = world(kind).source(SIDE)
        plans = covered(kind, 40, cutmix=0.5, erasing=0.5, **COLOURLESS)
        plans = [plan for plan in plans if all(t.fit is not None for t in (*plan.tiles, *tiles_beside(plan)))]
        assert len(plans) > 10
        assert sum(plan.patch is not None and plan.blend is not None for plan in plans) > 0
        device = on_device(plans, source, SIDE, SIDE)
        out = np.empty((SIDE, SIDE, 3), np.uint8)
        for plan, drawn in zip(plans, device, strict=True):
            draw(plan, source, out)
            assert np.abs(out.astype(int) - drawn).max() <= 1
            if plan.erased is not None:
                x1, y1, x2, y2 = plan.erased.rectangle
                assert np.array_equal(out[y1:y2, x1:x2], drawn[y1:y2, x1:x2])


def tiles_beside(plan: Plan) -> list[object]:
    return [tile for pair in (plan.blend, plan.patch) if pair is not None for tile in pair[0].tiles]


def test_rectangular_canvases_are_erased_on_the_device_too() -> None:
    source = world("noise").source(128)
    plans = [
        erase(plan, (128, 64), BoxLimits(), generator(1, "x", number))
        for number, plan in enumerate(random_plans("noise", (128, 64), 8, turned=False))
    ]
    device = on_device(plans, source, 128, 64)
    out = np.empty((64, 128, 3), np.uint8)
    for plan, drawn in zip(plans, device, strict=True):
        draw(plan, source, out)
        assert np.abs(out.astype(int) - drawn).max() <= 1


def test_neither_batch_nor_chunks_matter_and_nothing_waits() -> None:
    source = world("noise").source(SIDE)
    plans = covered("noise", 12, cutmix=0.5, erasing=0.5)
    packed = pack(plans, source, SIDE, SIDE)
    assert len(packed.patched) > 1 and len(packed.erased) > 1
    together = draw_canvases(packed)
    assert torch.equal(together, draw_with_torch(packed, chunk_pixels=1))
    alone = torch.cat([draw_canvases(pack([plan], source, SIDE, SIDE)) for plan in plans])
    assert torch.equal(together, alone)
    assert draw_canvases(packed.map(lambda tensor: tensor.to("meta"))).shape == together.shape


def test_a_partner_that_is_covered_itself_is_refused() -> None:
    source = world("noise").source(SIDE)
    plan = next(plan for plan in covered("noise", 20, erasing=1, **COLOURLESS) if plan.blend is None)
    with pytest.raises(ValueError, match="partner"):
        pack([dataclasses.replace(plan, patch=(plan, (0, 0, 9, 9)))], source, SIDE, SIDE)


def test_with_rectangular_batches_there_is_erasing_and_no_cutmix() -> None:
    samples = world("noise").samples
    options = AugmentOptions(cutmix=1, erasing=1)
    plan = plan_sample(samples, options, 128, seed=0, epoch=0, index=0, multi_image=False, shape=(128, 64))
    assert plan.patch is None and plan.erased is not None and plan.erased.rectangle[3] <= 64
    given = {"data": "x", "epochs": 3, "rect": True, "cutmix": 1, "erasing": 1}
    run = preview(build_config(given), images=9, classes=3)
    states = {each.name: each.in_run(run).on for each in techniques()}
    assert not states["CutMix"] and states["random erasing"]
