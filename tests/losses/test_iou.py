"""Overlap of boxes: CIoU agrees with a slow version, IoU with torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.losses import oracle
from torchvision.ops import box_iou

from lehr.losses.iou import box_iou_aligned, ciou


@given(st.lists(st.floats(1, 50), min_size=8, max_size=8))
def test_ciou_agrees_with_the_slow_version_and_is_symmetric_in_place(values: list[float]) -> None:
    a = np.array([values[0], values[1], values[0] + values[2], values[1] + values[3]])
    b = np.array([values[4], values[5], values[4] + values[6], values[5] + values[7]])
    ours = float(ciou(torch.from_numpy(a), torch.from_numpy(b)))
    assert ours == pytest.approx(oracle.ciou(a, b), abs=1e-6)
    assert -1.5 <= ours <= 1
    shifted = float(ciou(torch.from_numpy(a + 17), torch.from_numpy(b + 17)))
    assert shifted == pytest.approx(ours, abs=1e-6)


def test_equal_boxes_have_a_ciou_of_one() -> None:
    box = torch.tensor([3.0, 4.0, 20.0, 11.0])
    assert float(ciou(box, box)) == pytest.approx(1, abs=1e-6)


def test_the_iou_of_boxes_at_the_same_place_is_the_diagonal_of_that_of_all_pairs() -> None:
    corners = torch.rand(2, 3, 200, 2, generator=torch.Generator().manual_seed(0)) * 40
    sides = torch.rand(2, 3, 200, 2, generator=torch.Generator().manual_seed(1)) * 60
    a, b = torch.cat((corners, corners + sides), -1)
    overlap = box_iou_aligned(a, b)
    torch.testing.assert_close(overlap, box_iou(a, b).diagonal(dim1=1, dim2=2))
    assert (overlap == 0).any() and (overlap > 0.5).any()
    torch.testing.assert_close(box_iou_aligned(a, b[:, :1]), box_iou(a, b[:, :1]).squeeze(-1))


def test_a_box_without_area_overlaps_nothing_not_even_itself() -> None:
    boxes = torch.tensor([[3.0, 4, 3, 4], [9, 4, 3, 8], [0, 0, 10, 10]])
    assert box_iou_aligned(boxes, boxes).tolist() == [0, 0, 1]
    assert box_iou_aligned(boxes, boxes[2]).tolist() == [0, 0, 1]
