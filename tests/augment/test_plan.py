"""Augmented pictures: boxes stay on their objects, and a picture depends on nothing but seed, epoch and index."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lehr.augment.draw import draw
from lehr.augment.letterbox import reduced_size, resize
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.options import AugmentOptions
from lehr.sample import Sample

SIDE = 96
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
PLAIN = AugmentOptions(hsv_h=0, hsv_s=0, hsv_v=0)


def make_world(seed: int, count: int = 6) -> tuple[list[Sample], list[np.ndarray]]:
    """Black images with filled rectangles whose colour tells the class, not overlapping."""
    rng = np.random.default_rng(seed)
    samples, images = [], []
    for number in range(count):
        width, height = (int(v) for v in rng.integers(60, 140, 2))
        image = np.zeros((height, width, 3), np.uint8)
        boxes, classes = [], []
        for column in range(3):
            left = width // 3 * column
            w, h = int(rng.integers(8, width // 3 - 2)), int(rng.integers(8, height - 2))
            x, y = left + int(rng.integers(0, width // 3 - w)), int(rng.integers(0, height - h))
            kind = int(rng.integers(3))
            image[y : y + h, x : x + w] = COLOURS[kind]
            boxes.append([x, y, x + w, y + h])
            classes.append(kind)
        samples.append(Sample(Path(f"{number}.png"), width, height, np.array(boxes, np.float32), np.array(classes)))
        images.append(image)
    return samples, images


def draw_world(samples: list[Sample], images: list[np.ndarray], plan: Plan) -> np.ndarray:
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    kept = [resize(image, *reduced_size(image.shape[1], image.shape[0], SIDE)) for image in images]
    draw(plan, lambda i: (kept[i], (samples[i].width, samples[i].height)), out)
    return out


def picture(
    world: tuple[list[Sample], list[np.ndarray]], options: AugmentOptions, epoch: int = 0, index: int = 0
) -> tuple[Plan, np.ndarray]:
    plan = plan_sample(world[0], options, SIDE, seed=3, epoch=epoch, index=index, multi_image=True)
    return plan, draw_world(*world, plan)


upright = st.builds(
    AugmentOptions,
    mosaic=st.sampled_from([0.0, 1.0]),
    translate=st.floats(0, 0.3),
    scale=st.floats(0, 0.7),
    fliplr=st.sampled_from([0.0, 0.5, 1.0]),
    flipud=st.sampled_from([0.0, 0.5, 1.0]),
    hsv_h=st.just(0),
    hsv_s=st.just(0),
    hsv_v=st.just(0),
)


@settings(max_examples=60)
@given(upright, st.integers(0, 50), st.integers(0, 1000))
def test_upright_boxes_cover_their_objects_and_nothing_else(options: AugmentOptions, seed: int, epoch: int) -> None:
    plan, out = picture(make_world(seed), options, epoch)
    for box, kind in zip(plan.boxes, plan.classes, strict=True):
        x1, y1, x2, y2 = box
        inner = out[int(np.ceil(y1 + 2)) : int(y2 - 2), int(np.ceil(x1 + 2)) : int(x2 - 2)]
        if inner.size:
            assert (inner.argmax(-1) == kind).all() and (inner.max(-1) > 200).all()
    # Colour further than two pixels from every box of its class is what is left of objects cut to a tenth.
    for kind in range(3):
        coloured = (out[..., kind] > 180) & (out.sum(-1) < 300)
        for x1, y1, x2, y2 in plan.boxes[plan.classes == kind]:
            coloured[max(0, int(y1 - 2)) : int(y2 + 3), max(0, int(x1 - 2)) : int(x2 + 3)] = False
        assert _largest_side(coloured) <= 20


def _largest_side(mask: np.ndarray) -> int:
    """The longest of the shorter sides of connected patches: how thick what is left over is."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return max([0, *(int(min(stats[i, 2], stats[i, 3])) for i in range(1, count))])


@settings(max_examples=40)
@given(
    st.builds(
        AugmentOptions,
        degrees=st.floats(0, 180),
        shear=st.floats(0, 15),
        perspective=st.floats(0, 0.001),
        scale=st.floats(0, 0.5),
        hsv_h=st.just(0),
        hsv_s=st.just(0),
        hsv_v=st.just(0),
    ),
    st.integers(0, 50),
    st.integers(0, 1000),
)
def test_turned_boxes_have_their_object_in_the_middle(options: AugmentOptions, seed: int, epoch: int) -> None:
    plan, out = picture(make_world(seed), options, epoch)
    for (x1, y1, x2, y2), kind in zip(plan.boxes, plan.classes, strict=True):
        if min(x1, y1) <= 1 or max(x2, y2) >= SIDE - 1 or min(x2 - x1, y2 - y1) < 10:
            continue  # cut off: its middle is elsewhere
        centre = out[int((y1 + y2) / 2), int((x1 + x2) / 2)]
        assert centre.argmax() == kind and centre.max() > 150


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(0, 5))
def test_boxes_are_inside_the_picture(epoch: int, index: int) -> None:
    options = AugmentOptions(degrees=30, shear=5, perspective=0.0005, mixup=0.5, copy_paste=0.5, scale=0.9)
    plan, _ = picture(make_world(1), options, epoch, index)
    assert plan.boxes.dtype == np.float32 and plan.boxes.shape == (len(plan.classes), 4)
    assert (plan.boxes >= 0).all() and (plan.boxes <= SIDE).all()
    assert ((plan.boxes[:, 2:] - plan.boxes[:, :2]) > 2 - 1e-4).all()


def test_the_same_seed_epoch_and_index_give_the_same_picture_whatever_was_drawn_before() -> None:
    world = make_world(0)
    options = AugmentOptions(degrees=10, mixup=0.5, copy_paste=0.5)
    first_plan, first = picture(world, options, 5, 2)
    for other in range(4):
        picture(world, options, other, other)
    second_plan, second = picture(world, options, 5, 2)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first_plan.boxes, second_plan.boxes)


def test_other_epochs_and_other_images_give_other_pictures() -> None:
    world = make_world(0)
    base = picture(world, PLAIN, 0, 0)[1]
    assert (picture(world, PLAIN, 1, 0)[1] != base).any()
    assert (picture(world, PLAIN, 0, 1)[1] != base).any()


def test_without_mosaic_a_picture_is_one_image() -> None:
    world = make_world(0)
    plan = plan_sample(world[0], AugmentOptions(), SIDE, seed=0, epoch=0, index=4, multi_image=False)
    assert [tile.index for tile in plan.tiles] == [4]


def test_with_everything_off_a_picture_is_the_letterboxed_image() -> None:
    samples, _ = make_world(2)
    options = AugmentOptions(
        mosaic=0, translate=0, scale=0, fliplr=0, flipud=0, hsv_h=0, hsv_s=0, hsv_v=0, degrees=0, shear=0
    )
    plan = plan_sample(samples, options, SIDE, seed=0, epoch=0, index=1, multi_image=True)
    sample = samples[1]
    scale = SIDE / max(sample.width, sample.height)
    shift = np.array([SIDE - sample.width * scale, SIDE - sample.height * scale] * 2) / 2
    np.testing.assert_allclose(plan.boxes, sample.boxes * scale + shift, atol=1.01)


def test_mixup_blends_two_pictures_and_keeps_the_objects_of_both() -> None:
    world = make_world(0)
    plan, out = picture(world, AugmentOptions(mixup=1, hsv_h=0, hsv_s=0, hsv_v=0))
    assert plan.blend is not None
    other, share = plan.blend
    alone = Plan(plan.tiles, plan.boxes, plan.classes)
    expected = share * draw_world(*world, alone).astype(float) + (1 - share) * draw_world(*world, other)
    np.testing.assert_allclose(out, expected, atol=1)
    assert 0.2 < share < 0.8
    assert {tuple(box) for box in other.boxes} <= {tuple(box) for box in plan.boxes}


def test_copy_paste_adds_objects_that_are_drawn() -> None:
    world = make_world(0)
    without = [len(picture(world, PLAIN, epoch)[0].classes) for epoch in range(20)]
    options = AugmentOptions(copy_paste=1, hsv_h=0, hsv_s=0, hsv_v=0)
    plans = [picture(world, options, epoch) for epoch in range(20)]
    assert sum(len(plan.classes) for plan, _ in plans) > sum(without)
    for plan, out in plans:
        for tile in plan.tiles[4:]:
            x, y = (tile.matrix @ [(tile.region[0] + tile.region[2]) / 2, (tile.region[1] + tile.region[3]) / 2, 1])[:2]
            assert any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in plan.boxes)
            assert out[int(min(y, SIDE - 1)), int(min(x, SIDE - 1))].max() > 100


def test_colours_change_within_the_spans_asked_for() -> None:
    samples, _ = make_world(0)
    options = AugmentOptions(hsv_h=0.1, hsv_s=0.5, hsv_v=0.3)
    gains = [plan_sample(samples, options, SIDE, seed=0, epoch=e, index=0, multi_image=True).hsv for e in range(200)]
    low, high = np.min(gains, 0), np.max(gains, 0)
    assert low == pytest.approx([0.9, 0.5, 0.7], abs=0.02) and high == pytest.approx([1.1, 1.5, 1.3], abs=0.02)


def test_images_larger_than_the_picture_are_drawn_where_their_boxes_are() -> None:
    samples, images = make_world(7)
    big = [Sample(s.path, s.width * 4, s.height * 4, s.boxes * 4, s.classes) for s in samples]
    plan = plan_sample(big, PLAIN, SIDE, seed=0, epoch=0, index=0, multi_image=True)
    full = [cv2.resize(i, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST) for i in images]
    out = draw_world(big, full, plan)
    for (x1, y1, x2, y2), kind in zip(plan.boxes, plan.classes, strict=True):
        inner = out[int(np.ceil(y1 + 2)) : int(y2 - 2), int(np.ceil(x1 + 2)) : int(x2 - 2)]
        if inner.size:
            assert (inner.argmax(-1) == kind).all()
