"""Suppression of one image by the compiled operator of torchvision, without importing torchvision itself.

That import takes two seconds, since it brings models and with them the compiler of torch, which neither evaluation nor
prediction uses. The operator is in a separate library, which is loaded alone; where none is found under a known name,
torchvision is imported after all.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

BY_CLASS_FROM = 1000
"""Boxes from which suppressing class by class is quicker than all classes at once, on a CPU (torchvision's figure)."""


def nms_by_class(boxes: Tensor, scores: Tensor, class_ids: Tensor, iou: float) -> Tensor:
    """Keep each box that no better kept one of its class overlaps; the same as `torchvision.ops.batched_nms` on a CPU.

    Args:
        boxes: float32 (n, 4), xyxy.
        scores: float32 (n,).
        class_ids: int64 (n,).
        iou: overlap from which a box is dropped, exclusive, 0 to 1.

    Returns:
        int64 (kept,), the best first.
    """
    if len(boxes) == 0:
        return torch.zeros(0, dtype=torch.int64)
    nms = torch.ops.torchvision.nms
    if len(boxes) > BY_CLASS_FROM:
        keep = torch.zeros(len(boxes), dtype=torch.bool)
        for class_id in sorted(set(class_ids.tolist())):
            members = (class_ids == class_id).nonzero().squeeze(1)
            keep[members[nms(boxes[members], scores[members], iou)]] = True
        kept = keep.nonzero().squeeze(1)
        return kept[scores[kept].argsort(descending=True)]
    # Each class is moved to a place of its own, where it overlaps no other.
    offsets = class_ids.to(boxes) * (boxes.max() + 1)
    found: Tensor = nms(boxes + offsets.unsqueeze(1), scores, iou)
    return found


def _load_operators() -> None:
    """Make `torch.ops.torchvision.nms` known."""
    spec = find_spec("torchvision")
    folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
    load: Callable[[Path], None] = torch.ops.load_library
    for library in sorted(folder.glob("_C*")) if folder is not None else []:
        try:
            load(library)
        except OSError:  # another version's, or no library: torchvision knows which it needs, and says what is wrong
            break
    if not hasattr(torch.ops.torchvision, "nms"):
        import_module("torchvision")


_load_operators()
