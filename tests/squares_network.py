"""A network that finds bright rectangles on a dark ground, exactly: what tiles and views do to them can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.stand_in_network import StandInNetwork

GROUND, BRIGHT = 40, 230


@dataclass
class Boxes:
    """Decoded boxes and scores."""

    boxes: Tensor
    scores: Tensor

    def decode(self) -> tuple[Tensor, Tensor]:
        return self.boxes, self.scores


class SquaresNetwork(StandInNetwork):
    """Finds bright rectangles by connected components, of one class; the larger score higher."""

    names = ("square", "nothing")

    def __init__(self, least: int = 3) -> None:
        super().__init__()
        self.least = least
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Boxes:
        self.shapes.append(tuple(images.shape))
        rows = []
        for image in (images.mean(1) > 0.55).to(torch.uint8).numpy():
            stats = cv2.connectedComponentsWithStats(image)[2][1:]
            rows.append(np.array([s for s in stats.tolist() if min(s[2:4]) >= self.least], float).reshape(-1, 5))
        boxes = torch.zeros(len(rows), max(map(len, rows)), 4)
        scores = torch.zeros(len(rows), boxes.shape[1], 2)
        for number, found in enumerate(rows):
            x, y, w, h, area = torch.tensor(found).T
            boxes[number, : len(found)] = torch.stack((x, y, x + w, y + h), 1).float()
            scores[number, : len(found), 0] = (0.5 + 0.4 * area / images[0, 0].numel()).float()
        return Boxes(boxes, scores)


def picture(width: int, height: int, boxes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """An image of bright rectangles, xyxy."""
    image = np.full((height, width, 3), GROUND, np.uint8)
    for x1, y1, x2, y2 in boxes.tolist():
        image[y1:y2, x1:x2] = BRIGHT
    return image


def lattice(width: int, height: int, pitch: int, size: tuple[int, int]) -> NDArray[np.int64]:
    """Rectangles of some width and height at every `pitch` pixels, moved a little from row to row."""
    x, y = np.arange(7, width - size[0], pitch), np.arange(5, height - size[1], pitch)
    corners = np.stack(np.meshgrid(x, y), -1)
    corners[..., 0] += np.arange(len(y))[:, None] % 5
    corners = corners.reshape(-1, 2)
    return np.concatenate((corners, corners + np.array(size)), 1).astype(np.int64)
