"""Limits of an evaluation of a network that suppresses its detections itself."""

from __future__ import annotations

from lehr.models.network import Network
from lehr.runtime.counted import counted


def suppression_notes(network: Network, confidence: float, iou: float, max_det: int) -> list[str]:
    """Say which options of an evaluation go beyond the suppression within a network, one line each.

    Args:
        network: what is evaluated.
        confidence: lowest score that is asked for.
        iou: overlap that is asked for.
        max_det: maximum number of detections per image that is asked for.
    """
    own = network.suppression
    if own is None:
        return []
    beyond = []
    if confidence < own.conf:
        beyond.append(f"scores above {own.conf:g} (--conf {confidence:g})")
    if iou > own.iou:
        beyond.append(f"overlaps of at most {own.iou:g} (--iou {iou:g})")
    if max_det > own.max_det:
        beyond.append(f"at most {counted(own.max_det, 'detection')} per image (--max-det {max_det})")
    if not beyond:
        return []
    return [
        f"The export suppresses its detections itself and keeps {', '.join(beyond)}: mAP is lower than without. "
        "Compare exports made without --nms."
    ]
