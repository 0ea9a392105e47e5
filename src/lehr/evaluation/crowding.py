"""Images with more objects than an evaluation counts detections: found in the labels, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lehr.evaluation.metrics import COCO_MAX_DET
from lehr.sample import Sample


def is_crowded(samples: Sequence[Sample], max_det: int) -> bool:
    """Return whether an image holds more objects of a class than COCO counts, which suppression may keep.

    Args:
        samples: the split.
        max_det: most detections kept of an image.
    """
    most = max((_of_a_class(sample) for sample in samples), default=0)
    return min(most, max_det) > COCO_MAX_DET


def crowding_notes(samples: Sequence[Sample], max_det: int, images: str = "images") -> list[str]:
    """Describe what an evaluation cannot count, one line each; none if it counts everything.

    Args:
        samples: the split.
        max_det: most detections kept of an image.
        images: what to call them in the message.
    """
    notes = []
    if is_crowded(samples, max_det):
        counts, coco = [_of_a_class(sample) for sample in samples], COCO_MAX_DET
        notes.append(
            f"Dense images: {_share(counts, coco)} {images} hold more than {coco} objects of one class, the densest "
            f"{max(counts)}. mAP50 and mAP50-95 are COCO's and count {coco} detections of a class in an image, so even "
            f"perfect detections stay below 1. mAP50_{max_det} and mAP50-95_{max_det} count all that are kept "
            f"(--max-det {max_det}); fitness is made of these. See docs/evaluation.md."
        )
    counts = [len(sample.instance_classes) for sample in samples]
    if max(counts, default=0) > max_det:
        notes.append(
            f"Dense images: {_share(counts, max_det)} {images} hold more than {max_det} objects, the densest "
            f"{max(counts)}, but {max_det} detections of an image are kept, so the others count as missed. Give "
            f"--max-det {-(-max(counts) // 100) * 100}, or cut the images into tiles."
        )
    return notes


def _of_a_class(sample: Sample) -> int:
    """The most objects of one class in an image."""
    classes = sample.instance_classes
    return int(np.bincount(classes).max()) if len(classes) else 0


def _share(counts: Sequence[int], limit: int) -> str:
    """The number of images above a limit, and of all."""
    above = sum(count > limit for count in counts)
    return f"{above} of {len(counts)}"
