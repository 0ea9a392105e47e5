"""Construction of a model's loss: its head names the class, its family the gains, the options the rest."""

from __future__ import annotations

from torch import Tensor

from lehr.losses.loss import Loss
from lehr.models.detection import DetectionModel
from lehr.models.family import find_family
from lehr.options import LossOptions
from lehr.plugins import resolve


def build_loss(model: DetectionModel, options: LossOptions, imgsz: int, class_weights: Tensor | None = None) -> Loss:
    """Build the loss of a model.

    Args:
        model: its head names the kind of loss.
        options: gains and variations; gains that are unset are those of the family.
        imgsz: side of the training square, pixels.
        class_weights: (classes,), a factor for the objects of each class, on the model's device; None for none.
    """
    kind: type[Loss] = resolve(model.head.loss)
    given = {"box": options.box, "cls": options.cls}
    gains = {**find_family(model.variant).gains, **{name: gain for name, gain in given.items() if gain is not None}}
    return kind.from_options(options, gains, classes=len(model.names), imgsz=imgsz, class_weights=class_weights)
