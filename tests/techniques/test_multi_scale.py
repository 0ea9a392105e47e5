"""Multi-scale: the ranges of both families, stateless draws, and boxes that stay on their objects."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from lehr.techniques.multi_scale import SizeRange, range_around, range_of_cells, resized


@pytest.mark.parametrize(
    ("imgsz", "share", "least", "most"),
    [
        (640, 0.5, 320, 960),
        (320, 0.5, 160, 480),
        (128, 0.5, 64, 192),
        (320, 0.25, 256, 384),
        (64, 0.9, 64, 96),
        (32, 0.5, 64, 64),
    ],
)
def test_sizes_lie_within_the_share_and_are_multiples_of_the_stride(
    imgsz: int, share: float, least: int, most: int
) -> None:
    sizes = range_around(imgsz, share)
    assert sizes == SizeRange(least, most)
    assert (1 - share) * imgsz <= sizes.min_size and sizes.max_size <= max(64, (1 + share) * imgsz)


def test_cells_bound_the_sizes_of_yolov3() -> None:
    assert range_of_cells(10, 19) == SizeRange(320, 608)


def test_every_size_is_drawn_about_as_often_and_a_draw_depends_on_its_step_alone() -> None:
    sizes = SizeRange(160, 480)
    drawn = Counter(sizes.draw(0, epoch, step) for epoch in range(20) for step in range(55))
    assert set(drawn) == set(range(160, 481, 32))
    assert all(70 < count < 130 for count in drawn.values())  # 100 each
    assert [sizes.draw(0, 3, 7) for _ in range(3)] == [sizes.draw(0, 3, 7)] * 3
    assert [sizes.draw(0, 3, s) for s in range(20)] != [sizes.draw(1, 3, s) for s in range(20)]


def test_a_batch_is_resized_with_its_boxes() -> None:
    images = torch.zeros(1, 3, 64, 96)
    images[..., 16:32, 24:60] = 1
    boxes = torch.tensor([[[24.0, 16.0, 60.0, 32.0]]])
    larger, moved = resized(images, boxes, 192)
    assert larger.shape == (1, 3, 128, 192)
    assert moved.tolist() == [[[48, 32, 120, 64]]]
    inside = larger[..., 34:62, 50:118]
    assert inside.min() == 1 and float(larger.mean()) == pytest.approx(float(images.mean()), abs=0.01)
    assert boxes.tolist() == [[[24, 16, 60, 32]]]  # the given ones stay
    same, unmoved = resized(images, boxes, 96)
    assert same is images and unmoved is boxes


def test_the_shorter_side_becomes_a_multiple_of_the_stride_too() -> None:
    images, boxes = resized(torch.zeros(1, 3, 64, 96), torch.tensor([[[0.0, 0.0, 96.0, 64.0]]]), 128)
    assert images.shape == (1, 3, 96, 128)  # 85.3 rounded up
    assert boxes.tolist() == [[[0, 0, 128, 96]]]
