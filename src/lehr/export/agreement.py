"""An export compared with the model that it was made of: the same images, each with its own preparation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lehr.data.batch import Batch
from lehr.data.batch_makers import EvalBatches
from lehr.data.requests import BatchRequest, eval_requests
from lehr.evaluation.evaluator import in_image_pixels
from lehr.evaluation.metrics import Metrics, measure
from lehr.evaluation.nms import Found, remaining_iou, suppress
from lehr.models.network import PADDING, Network, Suppression
from lehr.sample import Sample

LOWEST = 0.001
"""Score from which a row may become a detection of an evaluation."""
SHOWN = Suppression(conf=0.25, iou=0.7, max_det=300)
"""Suppression of `lehr predict`, by which detections are compared."""
BATCH = 8


@dataclass(frozen=True, slots=True)
class Side:
    """One of two networks, with its own preparation.

    Attributes:
        network: the model, or the export.
        make: gives its batches.
    """

    network: Network
    make: EvalBatches


@dataclass(slots=True)
class Agreement:
    """In what an export and its model agree, over some images.

    Attributes:
        images: that were compared.
        boxes: largest difference of a side of a box that scores above 0.001, pixels of the input; None if the export
            suppresses inside, and rows do not come out.
        scores: largest difference of a score; None likewise.
        detections: of the model, as `lehr predict` finds them.
        found: those of the export.
        unmatched: those of either without a counterpart: same class and image, sides and score within bounds.
        worst: index of the batch in which they differ most.
        metrics: the numbers of the model, and of the export; None before the end.
    """

    images: int = 0
    boxes: float | None = None
    scores: float | None = None
    detections: int = 0
    found: int = 0
    unmatched: int = 0
    worst: int = 0
    metrics: tuple[Metrics, Metrics] | None = None
    _most: float = field(default=-1.0, repr=False)

    def add_rows(self, original: tuple[Tensor, Tensor], export: tuple[Tensor, Tensor], batch: int) -> None:
        """Compare boxes and scores of all rows of a batch."""
        if original[0].shape != export[0].shape:
            self.boxes = self.scores = float("inf")
            self._note(float("inf"), batch)
            return
        scoring = torch.maximum(original[1], export[1]).amax(-1) > LOWEST
        boxes = _largest((original[0] - export[0])[scoring])
        scores = _largest(original[1] - export[1])
        self.boxes, self.scores = max(self.boxes or 0.0, boxes), max(self.scores or 0.0, scores)
        self._note(max(boxes, 100 * scores), batch)

    def add_detections(self, original: Found, export: Found, boxes: float, scores: float, batch: int) -> None:
        """Compare the detections of a batch.

        Args:
            original: those of the model.
            export: those of the export.
            boxes: how far sides may be apart, pixels of the input.
            scores: how far scores may be apart.
            batch: its index.
        """
        alone = _count_unmatched(original, export, boxes, scores) + _count_unmatched(export, original, boxes, scores)
        self.detections += len(original.scores)
        self.found += len(export.scores)
        self.unmatched += alone
        self._note(float(alone), batch)

    def _note(self, difference: float, batch: int) -> None:
        if difference > self._most:
            self._most, self.worst = difference, batch


def compare_networks(
    original: Side,
    export: Side,
    samples: Sequence[Sample],
    names: Sequence[str],
    columns: Sequence[int],
    bounds: tuple[float, float],
    on_batch: Callable[[int], None] = lambda done: None,
) -> Agreement:
    """Compare an export with its model on some images, by the code that evaluates.

    Args:
        original: the model.
        export: the export.
        samples: the images with their objects.
        names: the classes that both and the samples have.
        columns: the class of the model that each of them is.
        bounds: how far sides (pixels of the input) and scores may be apart for two detections to be alike.
        on_batch: called after each batch with the count of images done.
    """
    agreement, taken = Agreement(), torch.tensor(columns)
    rows: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
    for number, request in enumerate(requests_of(original)):
        batches: list[Batch] = []
        decoded: list[tuple[Tensor, Tensor]] = []
        for side in (original, export):
            batch = batch_of(side, request, batches)
            batches.append(batch)
            decoded.append(decode(side.network, batch))
        if export.network.suppression is None:
            agreement.add_rows(decoded[0], decoded[1], number)
        shown = [_found(decoded[i], export.network, side.network, SHOWN) for i, side in enumerate((original, export))]
        agreement.add_detections(shown[0], shown[1], *bounds, number)
        for own, batch, answer, side in zip(rows, batches, decoded, (original, export), strict=True):
            wanted = Suppression(LOWEST, SHOWN.iou, SHOWN.max_det)
            kept = _found((answer[0], answer[1][..., taken]), export.network, side.network, wanted)
            own.append(in_image_pixels(kept, batch, samples))
        agreement.images += len(batches[0])
        on_batch(agreement.images)
    both = [np.concatenate([np.zeros((0, 7)), *own]) for own in rows]
    most = (export.network.suppression or SHOWN).max_det
    agreement.metrics = (measure(samples, names, both[0], most)[0], measure(samples, names, both[1], most)[0])
    return agreement


def requests_of(side: Side) -> list[BatchRequest]:
    """The batches of all images of a side, like shapes together."""
    return eval_requests(side.make.store, BATCH)


def batch_of(side: Side, request: BatchRequest, others: Sequence[Batch] = ()) -> Batch:
    """A batch as a side's preparation makes it; that of the other side where both prepare alike.

    Args:
        side: the model, or the export.
        request: which images.
        others: batches of these images that were made with the preparation of models.
    """
    if others and side.network.padding == PADDING:
        return others[0]
    return side.make(request)


@torch.inference_mode()
def decode(network: Network, batch: Batch) -> tuple[Tensor, Tensor]:
    """Boxes and scores that a network gives for a batch, on the CPU."""
    boxes, scores = network(batch.normalized().to(network.device)).decode()
    return boxes.cpu(), scores.cpu()


def _found(answer: tuple[Tensor, Tensor], export: Network, network: Network, wanted: Suppression) -> Found:
    """Detections of either side, as the export suppresses them where it does so itself."""
    own = export.suppression
    inside = own or wanted
    return suppress(
        *answer,
        confidence=max(wanted.conf, inside.conf),
        iou=remaining_iou(network, inside.iou, inside.agnostic),
        max_det=min(wanted.max_det, inside.max_det),
        best_class_only=own is not None or wanted.conf == SHOWN.conf,
        agnostic=inside.agnostic,
    )


def _count_unmatched(some: Found, others: Found, boxes: float, scores: float) -> int:
    """Count detections without a counterpart among the others."""
    alone = 0
    for image in sorted(set(some.images.tolist())):
        own, other = some.images == image, others.images == image
        near = (some.boxes[own].unsqueeze(1) - others.boxes[other].unsqueeze(0)).abs().amax(-1) <= boxes
        near &= (some.scores[own].unsqueeze(1) - others.scores[other].unsqueeze(0)).abs() <= scores
        near &= some.classes[own].unsqueeze(1) == others.classes[other].unsqueeze(0)
        alone += int((~near.any(1)).sum()) if near.shape[1] else int(own.sum())
    return alone


def _largest(difference: Tensor) -> float:
    """The largest absolute value; infinite where one is not a number."""
    if not difference.numel():
        return 0.0
    return float(difference.abs().nan_to_num(float("inf")).max())
