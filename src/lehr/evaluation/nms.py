"""From the scores of every anchor point to detections: threshold, cap, non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lehr.evaluation.torchvision_nms import nms_by_class
from lehr.kernels.support import usable
from lehr.models.network import Network

FIRST, CANDIDATES = 1024, 8192
"""Best scored (point, class) pairs of an image that enter the suppression: at first, and where those do not fill it."""
CANDIDATES_EACH = 27
"""Of those at the end for each detection that is kept, where that makes more: many points answer for an object."""
CANDIDATES_BY_KERNEL = 2**15
"""Most of them on an accelerator with the kernel; without it they stay at `CANDIDATES`, for the memory of all pairs."""
AT_ONCE, AT_ONCE_BY_KERNEL = 2**26, 2**31
"""Most pairs of boxes that are compared at once on an accelerator; the kernel takes a bit for each."""
ROUNDS = 8
"""Rounds of the suppression between two looks at whether it has come to an end."""


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


def remaining_iou(network: Network, iou: float, agnostic: bool = False) -> float:
    """Overlap from which detections of a network are repetitions.

    Args:
        network: one that suppresses itself has compared all boxes with its own overlap; what it kept is compared
            again only by a smaller one, since the same would be compared with other roundings.
        iou: overlap that is asked for.
        agnostic: whether boxes of different classes are to suppress each other; a network that does so by class has not
            compared those.
    """
    own = network.suppression
    return iou if own is None or iou < own.iou or (agnostic and not own.agnostic) else 1.0


@torch.no_grad()
def suppress(
    boxes: Tensor,
    scores: Tensor,
    *,
    confidence: float = 0.001,
    iou: float = 0.7,
    max_det: int = 300,
    best_class_only: bool = False,
    agnostic: bool = False,
    wanted: Sequence[int] | None = None,
) -> Found:
    """Non-maximum suppression of all images and classes at once.

    Args:
        boxes: (batch, anchors, 4) xyxy, pixels.
        scores: (batch, anchors, classes), 0 to 1.
        confidence: scores must exceed this.
        iou: a box that overlaps a better one of its class by more than this is dropped.
        max_det: maximum number of detections per image.
        best_class_only: only the best class of each point counts; else every class above `confidence`.
        agnostic: boxes of different classes suppress each other too.
        wanted: the classes that are looked for, by index; others neither are found nor suppress. None for all.
    """
    classes = scores.shape[-1]
    if best_class_only:
        best = scores.max(-1, keepdim=True)
        scores = torch.full_like(scores, -1).scatter_(-1, best.indices, best.values)
    if wanted is not None:
        of_wanted = torch.zeros(classes, dtype=torch.bool)
        of_wanted[list(wanted)] = True
        scores = scores.masked_fill(~of_wanted.to(scores.device), -1)
    pairs = scores.flatten(1).float()
    keep = _keep_by_image if scores.device.type == "cpu" else _keep_all_at_once
    boxes = boxes.float().nan_to_num(0.0, 0.0, 0.0)  # of weights that overflow: such a box is empty, and no error
    image, pair = keep(boxes, pairs, classes, confidence, iou, max_det, agnostic)
    return Found(image, boxes[image, pair // classes], pairs[image, pair], pair % classes)


def _keep_by_image(
    boxes: Tensor, scores: Tensor, classes: int, confidence: float, iou: float, max_det: int, agnostic: bool
) -> tuple[Tensor, Tensor]:
    """Image and (point, class) pair of what is kept, each image separately: on a CPU looking at the data is free.

    What a box is suppressed by scores higher, so the best candidates decide alone, and mostly suffice.

    Args:
        boxes: (batch, anchors, 4).
        scores: (batch, anchors * classes).
        classes: how many.
        confidence: as in `suppress`, like the rest.
    """
    images, pairs = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, dtype=torch.int64)]
    most = max(CANDIDATES, CANDIDATES_EACH * max_det)
    for image, image_scores in enumerate(scores):
        candidates = (image_scores > confidence).nonzero().squeeze(1)
        best = candidates[image_scores[candidates].argsort(descending=True, stable=True)[:most]]
        count = min(FIRST, len(best))
        while len(best):
            some = best[:count]
            class_ids = torch.zeros_like(some) if agnostic else some % classes
            kept = nms_by_class(boxes[image, some // classes], image_scores[some], class_ids, iou)
            if len(kept) >= max_det or count == len(best):
                images.append(torch.full((min(len(kept), max_det),), image))
                pairs.append(some[kept[:max_det]])
                break
            count = min(4 * count, len(best))
    return torch.cat(images), torch.cat(pairs)


def _keep_all_at_once(
    boxes: Tensor, scores: Tensor, classes: int, confidence: float, iou: float, max_det: int, agnostic: bool
) -> tuple[Tensor, Tensor]:
    """The same for many images at once: on an accelerator the host looks a few times in all.

    Images that are not filled by their best candidates are done again with twice as many, the others are not.
    """
    images, pairs = [], []
    open_images = torch.arange(len(boxes), device=boxes.device)
    by_kernel = usable(boxes.device)
    most = max(CANDIDATES, min(CANDIDATES_EACH * max_det, CANDIDATES_BY_KERNEL)) if by_kernel else CANDIDATES
    count, largest = min(FIRST, scores.shape[1]), min(most, scores.shape[1])
    pairs_at_once = AT_ONCE_BY_KERNEL if by_kernel else AT_ONCE
    while True:
        some = torch.split(open_images, max(1, pairs_at_once // count**2))
        parts = [
            _keep_of_best(*_of(each, boxes, scores), count, classes, confidence, iou, max_det, agnostic)
            for each in some
        ]
        keep, pair, lacks = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        if count == largest:
            lacks = torch.zeros_like(lacks)
        place, rank = (keep & ~lacks.unsqueeze(1)).nonzero(as_tuple=True)
        images.append(open_images[place])
        pairs.append(pair[place, rank])
        open_images = open_images[lacks]
        if not len(open_images):
            break
        count = min(2 * count, largest)
    image, order = torch.cat(images).sort(stable=True)
    return image, torch.cat(pairs)[order]


def _of(images: Tensor, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes and scores of some images; without a copy where they are all."""
    return (boxes, scores) if len(images) == len(boxes) else (boxes[images], scores[images])


def _keep_of_best(
    boxes: Tensor,
    scores: Tensor,
    count: int,
    classes: int,
    confidence: float,
    iou: float,
    max_det: int,
    agnostic: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Select among the best candidates of some images.

    Returns:
        bool (images, count), kept; int64 (images, count), their (point, class) pairs, best first; and bool (images,),
        whether an image has fewer than `max_det`, and further candidates.
    """
    top = scores.topk(count)
    class_ids = torch.zeros_like(top.indices) if agnostic else top.indices % classes
    box = boxes.gather(1, (top.indices // classes).unsqueeze(-1).expand(-1, -1, 4))
    valid = top.values > confidence
    if usable(boxes.device):
        from lehr.kernels.nms import keep_best

        keep = keep_best(box, class_ids, valid, iou)
    else:
        keep = _keep_by_rounds(box, class_ids, valid, iou)
    lacks = valid.all(1) & (keep.sum(1) < max_det)
    return keep & (keep.cumsum(1) <= max_det), top.indices, lacks


def _keep_by_rounds(box: Tensor, class_ids: Tensor, valid: Tensor, iou: float) -> Tensor:
    """Keep each candidate that no better one of its image and class, which is itself kept, overlaps.

    Args:
        box: (images, count, 4), xyxy, the best first.
        class_ids: (images, count).
        valid: bool (images, count), those that may be kept.
        iou: overlap from which a box is dropped, exclusive.

    Returns:
        bool (images, count).
    """
    count = valid.shape[1]
    higher = torch.ones(count, count, dtype=torch.bool, device=box.device).tril_(-1)
    rivals = (_pairwise_iou(box) > iou) & (class_ids.unsqueeze(2) == class_ids.unsqueeze(1)) & higher
    # A box is kept unless a higher one that is kept rivals it. From any start, the k best are right after k rounds,
    # and mostly all are after a few.
    rivals_by = rivals.to(torch.float16 if box.device.type == "cuda" else torch.float32)
    keep, settled = valid, False
    while not settled:
        before = keep
        for _ in range(ROUNDS):
            before = keep
            keep = valid & (torch.bmm(rivals_by, keep.to(rivals_by.dtype).unsqueeze(2)).squeeze(2) == 0)
        settled = bool((keep == before).all())
    return keep


def _pairwise_iou(boxes: Tensor) -> Tensor:
    """IoU of every two boxes of each image.

    Args:
        boxes: (images, n, 4), xyxy.

    Returns:
        (images, n, n).
    """
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    one, other = boxes.unsqueeze(2), boxes.unsqueeze(1)
    sides = (torch.min(one[..., 2:], other[..., 2:]) - torch.max(one[..., :2], other[..., :2])).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    return shared / (area.unsqueeze(2) + area.unsqueeze(1) - shared)
