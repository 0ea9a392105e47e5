"""Non-maximum suppression among the best candidates of many images in two launches, without the host.

The twin of the rounds of `evaluation/nms.py`, with the same comparisons. The first kernel records in one bit per pair
whether candidates overlap; the second visits the candidates of an image from the best on, 32 at once.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, WORDS = 16, 4
"""Candidates, and words of 32 candidates each, that a program compares."""


def keep_best(boxes: Tensor, class_ids: Tensor, valid: Tensor, iou: float) -> Tensor:
    """Keep each candidate that overlaps no better kept one of its image and class.

    Args:
        boxes: float32 (images, candidates, 4), xyxy, the best first.
        class_ids: int64 (images, candidates).
        valid: bool (images, candidates), those that may be kept.
        iou: overlap from which a box is dropped, exclusive.

    Returns:
        bool (images, candidates).
    """
    images, count = valid.shape
    width = triton.cdiv(count, 32)
    kept = torch.zeros((images, count), dtype=torch.uint8, device=boxes.device)
    if not kept.numel():
        return kept.bool()
    # Bits of candidates that are not better stay unwritten and unread.
    rivals = torch.empty((images, count, width), dtype=torch.int32, device=boxes.device)
    with torch.cuda.device_of(boxes):
        grid = (triton.cdiv(width, WORDS), triton.cdiv(count, ROWS), images)
        _compare[grid](
            boxes.contiguous(),
            class_ids.contiguous(),
            rivals,
            iou,
            count,
            width,
            ROWS=ROWS,
            WORDS=WORDS,
            enable_fp_fusion=False,
        )
        wide = triton.next_power_of_2(width)
        _select[(images,)](
            rivals,
            valid.contiguous().view(torch.uint8),
            kept,
            count,
            width,
            WIDE=wide,
            num_warps=4 if wide <= 64 else 8,
        )
    return kept.view(torch.bool)


@triton.jit(do_not_specialize=("count", "width"))
def _compare(boxes, class_ids, rivals, iou, count, width, ROWS: tl.constexpr, WORDS: tl.constexpr):
    """Set bit b of word w of a row, where candidate 32 w + b is better than the row's and overlaps it."""
    first_row, first_word = tl.program_id(1) * ROWS, tl.program_id(0) * WORDS
    if 32 * first_word < first_row + ROWS:
        image = tl.program_id(2).to(tl.int64)
        boxes += image * count * 4
        class_ids += image * count
        row = (first_row + tl.arange(0, ROWS))[:, None, None]
        word = (first_word + tl.arange(0, WORDS))[None, :, None]
        bit = tl.arange(0, 32)[None, None, :]
        other = 32 * word + bit
        here, there = row < count, other < count
        x1, y1 = tl.load(boxes + 4 * row, mask=here), tl.load(boxes + 4 * row + 1, mask=here)
        x2, y2 = tl.load(boxes + 4 * row + 2, mask=here), tl.load(boxes + 4 * row + 3, mask=here)
        left, top = tl.load(boxes + 4 * other, mask=there), tl.load(boxes + 4 * other + 1, mask=there)
        right, bottom = tl.load(boxes + 4 * other + 2, mask=there), tl.load(boxes + 4 * other + 3, mask=there)
        wide = tl.maximum(tl.minimum(x2, right) - tl.maximum(x1, left), 0.0)
        high = tl.maximum(tl.minimum(y2, bottom) - tl.maximum(y1, top), 0.0)
        shared = wide * high
        union = ((x2 - x1) * (y2 - y1) + (right - left) * (bottom - top)) - shared
        same = tl.load(class_ids + row, mask=here, other=-1) == tl.load(class_ids + other, mask=there, other=-2)
        rival = same & (other < row) & (tl.div_rn(shared, union) > iou)
        packed = tl.xor_sum(tl.where(rival, tl.full(rival.shape, 1, tl.int32) << bit, 0), 2)
        row = (first_row + tl.arange(0, ROWS))[:, None]
        word = (first_word + tl.arange(0, WORDS))[None, :]
        target = rivals + (image * count + row) * width + word
        tl.store(target, packed, mask=(row < count) & (word < width))


@triton.jit(do_not_specialize=("count", "width"))
def _select(rivals, valid, kept, count, width, WIDE: tl.constexpr):
    """Keep the candidates of an image, from the best on."""
    image = tl.program_id(0).to(tl.int64)
    rivals += image * count * width
    valid += image * count
    kept += image * count
    lane, place = tl.arange(0, 32), tl.arange(0, WIDE)
    bit = tl.full((32,), 1, tl.int32) << lane
    chosen = tl.zeros((WIDE,), tl.int32)  # one bit per candidate
    for block in range(width):
        row = 32 * block + lane
        here = row < count
        better = here[:, None] & (place[None, :] < block)
        over = tl.load(rivals + row[:, None] * width + place[None, :], mask=better, other=0)
        beaten = tl.max(((over & chosen[None, :]) != 0).to(tl.int32), 1)
        free = (tl.load(valid + row, mask=here, other=0) != 0) & (beaten == 0)
        # Among these 32: from any start, the k best are right after k rounds.
        own = tl.load(rivals + row * width + block, mask=here, other=0)
        word = tl.xor_sum(tl.where(free, bit, 0), 0)
        before = ~word
        while before != word:
            before = word
            word = tl.xor_sum(tl.where(free & ((own & before) == 0), bit, 0), 0)
        chosen = tl.where(place == block, word, chosen)
        tl.store(kept + row, ((word & bit) != 0).to(tl.uint8), mask=here)
