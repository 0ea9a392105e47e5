"""Average precision that fixing each kind of mistake would give: TIDE (Bolya et al., ECCV 2020), by hotcoco.

Each kind is fixed alone, over all detections whatever their score: a badly placed box or a wrong class becomes right
where the object is free and no better mistake concerns it, a missed object counts no more, everything else is taken
away. The gains do not add up: fixing one kind leaves more, or less, to gain by another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.analysis.confusion import without_ignored
from lehr.analysis.mistakes import Kind
from lehr.analysis.record import DetectionRecord
from lehr.evaluation.matching import evaluation_of
from lehr.evaluation.metrics import as_coco, most_of_class

SHORT = {
    Kind.LOCALISATION: "Loc",
    Kind.CLASS: "Cls",
    Kind.BOTH: "Both",
    Kind.DUPLICATE: "Dupe",
    Kind.BACKGROUND: "Bkg",
    Kind.MISSED: "Miss",
}
"""TIDE's names of the kinds."""


@dataclass(frozen=True, slots=True)
class Gains:
    """Average precision that there is, and that fixing mistakes would add, 0 to 1.

    Attributes:
        average_precision: at `iou`, the mean over the classes with objects.
        kinds: what fixing each kind would add.
        false_positives: what it would add if every false positive scored below everything right.
        false_negatives: what it would add if objects that nothing found did not count.
        iou: overlap from which a detection is right.
        background: overlap up to which there is nothing.
    """

    average_precision: float
    kinds: dict[Kind, float]
    false_positives: float
    false_negatives: float
    iou: float
    background: float

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, as JSON can hold it."""
        return {
            "iou": self.iou,
            "background": self.background,
            "average_precision": self.average_precision,
            "gains": {str(kind): gain for kind, gain in self.kinds.items()},
            "false_positives": self.false_positives,
            "false_negatives": self.false_negatives,
        }


def measure_gains(
    record: DetectionRecord, ignored: NDArray[np.int64], iou: float = 0.5, background: float = 0.1
) -> Gains | None:
    """Measure what fixing each kind of mistake would add; None if there is no object.

    Args:
        record: the detections and the objects.
        ignored: int64 (k,), rows of the detections that count neither as right nor as wrong, whatever their score.
        iou: overlap from which a detection is right.
        background: overlap up to which there is nothing.
    """
    counted = without_ignored(record, ignored)
    if not any(len(sample.classes) for sample in counted.samples):
        return None
    truth, found = as_coco(counted.samples, counted.names, counted.detections)
    evaluation = evaluation_of(truth, found, max(most_of_class(counted.detections, len(counted.names)), 1), ious=(iou,))
    evaluation.evaluate()
    errors = evaluation.tide_errors(pos_thr=iou, bg_thr=background)
    gains = errors["delta_ap"]
    return Gains(
        float(errors["ap_base"]),
        {kind: max(float(gains[name]), 0.0) for kind, name in SHORT.items()},
        float(gains["FP"]),
        float(gains["FN"]),
        iou,
        background,
    )
