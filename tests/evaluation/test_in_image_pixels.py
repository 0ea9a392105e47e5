"""Detections of letterboxed images are led back to the pixels of the originals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lehr.augment.letterbox import centred_placement
from lehr.data.batch import Batch
from lehr.evaluation.evaluator import in_image_pixels
from lehr.evaluation.nms import Found
from lehr.sample import Sample

NOTHING = torch.zeros(2, 0, 4)


def test_boxes_come_back_where_they_were_and_are_cut_at_the_edge() -> None:
    samples = [
        Sample(Path(f"{i}.png"), width, height, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        for i, (width, height) in enumerate([(100, 50), (320, 640), (640, 480)])
    ]
    placements = [centred_placement(samples[i].width, samples[i].height, 320, 320) for i in (2, 1)]
    boxes = np.array([[64, 48, 320, 240], [10, 20, 300, 600]], np.float32)
    there = [placement.to_letterbox(box[None]) for placement, box in zip(placements, boxes, strict=True)]
    beyond = np.array([[-50, -50, 400, 400]], np.float32)
    found = Found(
        torch.tensor([0, 1, 1]),
        torch.from_numpy(np.concatenate((*there, beyond))),
        torch.tensor([0.9, 0.8, 0.7]),
        torch.tensor([1, 0, 2]),
    )
    rows = torch.tensor([placement.as_row() for placement in placements])
    batch = Batch(torch.zeros(2, 3, 320, 320), NOTHING, NOTHING[..., 0].long(), torch.tensor([2, 1]), rows)
    expected = [[2, *boxes[0], 0.9, 1], [1, *boxes[1], 0.8, 0], [1, 0, 0, 320, 640, 0.7, 2]]
    np.testing.assert_allclose(in_image_pixels(found, batch, samples), expected, atol=1e-3)
