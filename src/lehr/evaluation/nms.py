"""From the scores of every anchor point to detections: threshold, cap, non-maximum suppression by torchvision."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

CANDIDATES = 8192
"""Most (point, class) pairs of an image that enter the suppression: the best scored."""


@dataclass(frozen=True, slots=True)
class Found:
    """Detections of a batch in a row, best first within each image.

    Attributes:
        images: int64 (n,), the image in the batch, ascending.
        boxes: float32 (n, 4), xyxy in pixels of the batch.
        scores: float32 (n,), 0 to 1.
        classes: int64 (n,).
    """

    images: Tensor
    boxes: Tensor
    scores: Tensor
    classes: Tensor

    def cpu(self) -> Found:
        """The same on the CPU."""
        return Found(self.images.cpu(), self.boxes.cpu(), self.scores.cpu(), self.classes.cpu())


@torch.no_grad()
def suppress(
    boxes: Tensor,
    scores: Tensor,
    *,
    confidence: float = 0.001,
    iou: float = 0.7,
    most: int = 300,
    best_class_only: bool = False,
) -> Found:
    """Non-maximum suppression of all images and classes at once.

    Args:
        boxes: (batch, anchors, 4) xyxy, pixels.
        scores: (batch, anchors, classes), 0 to 1.
        confidence: scores must exceed this.
        iou: a box that overlaps a better one of its class by more than this is dropped.
        most: most detections an image.
        best_class_only: only the best class of each point counts; else every class above `confidence`.
    """
    batch, _, classes = scores.shape
    if best_class_only:
        best = scores.max(-1, keepdim=True)
        scores = torch.full_like(scores, -1).scatter_(-1, best.indices, best.values)
    image, pair = _candidates(scores.flatten(1), confidence)
    point, number = pair // classes, pair % classes
    score, box = scores[image, point, number].float(), boxes[image, point].float()
    kept = (
        _suppress_cpu(box, score, number, image, iou)
        if box.device.type == "cpu"
        else batched_nms(box, score, image * classes + number, iou)
    )
    # Kept pairs come best first; a stable sort by image keeps that order within each image.
    kept = kept[image[kept].argsort(stable=True)]
    image = image[kept]
    counts = torch.bincount(image, minlength=batch)
    place = torch.arange(len(image), device=image.device) - (counts.cumsum(0) - counts)[image]
    kept, image = kept[place < most], image[place < most]
    return Found(image, box[kept], score[kept], number[kept])


def _candidates(scores: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """Image and (point, class) pair of the scores (batch, pairs) above the confidence, the best of each image."""
    if scores.device.type == "cpu":
        image, pair = (scores > confidence).nonzero(as_tuple=True)
        if not len(image) or int(torch.bincount(image).max()) <= CANDIDATES:
            return image, pair
    top = scores.topk(min(CANDIDATES, scores.shape[1]), sorted=False)
    image, rank = (top.values > confidence).nonzero(as_tuple=True)
    return image, top.indices[image, rank]


def _suppress_cpu(boxes: Tensor, scores: Tensor, classes: Tensor, images: Tensor, iou: float) -> Tensor:
    """What is kept, image by image: on a CPU the cost grows with the square of what is compared at once."""
    of_image = torch.split(torch.arange(len(images)), torch.bincount(images).tolist())  # images come in ascending order
    kept = [own[batched_nms(boxes[own], scores[own], classes[own], iou)] for own in of_image if len(own)]
    return torch.cat([torch.zeros(0, dtype=torch.int64), *kept])
