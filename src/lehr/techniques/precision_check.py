"""Check of a precision on the run's model, images and batch size.

Forward, loss and backward are computed in float32 and in the lower precision, and compared:

- everything is finite; in float16 with some scale of the loss of at least 1;
- the boxes and scores of the best-scored rows stay nearly the same;
- the gradient points the same way. How much it may turn is measured, not guessed: two halves of a batch give two
  gradients, and the effect of rounding must be small compared with that of the choice of images.

The thresholds leave room for rounding that normalization amplifies in fresh weights, where the boxes of single rows
jump, and are far below what a layer that is wrong in low precision does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lehr.losses.iou import box_iou_aligned
from lehr.losses.loss import Loss
from lehr.models.detection import DetectionModel
from lehr.models.preserve_buffers import preserve_buffers
from lehr.runtime.counted import counted
from lehr.techniques.precision import FIRST_SCALE, Precision, autocast

BEST_ROWS = 100
"""Best-scored rows of each image whose boxes and scores are compared."""
MIN_OVERLAP = 0.9
"""Minimum median IoU of their boxes."""
MAX_SHIFT = 0.5
"""Largest change of their scores, relative to the scores."""
MAX_LOSS_ERROR = 0.1
"""Largest change of the loss, relative to it."""
MIN_COSINE = 0.25
"""Minimum cosine of the gradients, however noisy the batch."""
SMALL_ERROR = 0.5
"""Relative error of the gradient that is always accepted."""


@dataclass(frozen=True, slots=True)
class PrecisionCheck:
    """Result of a precision check.

    Attributes:
        precision: the checked one.
        batch: number of images checked.
        reasons: why it failed; empty if it passed.
        loss: the loss in it.
        loss_float32: the loss in float32.
        overlap: median IoU of the boxes of the best rows with those in float32.
        score_shift: change of their scores, relative to them.
        cosine: of the gradient with that in float32.
        gradient_error: norm of the gradient's change, relative to its norm.
        sampling_noise: the same for the choice of images; None for a batch of one image.
        scale: the largest scale of the loss that did not overflow; 1 if none is needed.
    """

    precision: Precision
    batch: int
    reasons: tuple[str, ...]
    loss: float
    loss_float32: float
    overlap: float = 0.0
    score_shift: float = 0.0
    cosine: float = 0.0
    gradient_error: float = 0.0
    sampling_noise: float | None = None
    scale: float = 1.0

    @property
    def passed(self) -> bool:
        """True if the check passed."""
        return not self.reasons

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "failed"
        head = f"Precision check of {self.precision} on {counted(self.batch, 'image')} {verdict}: "
        if not self.passed and self.overlap == 0:
            return head + " ".join(self.reasons)
        noise = "" if self.sampling_noise is None else f" (sampling noise {self.sampling_noise:.2f})"
        numbers = (
            f"loss {self.loss:.5g} (float32 {self.loss_float32:.5g}), box overlap {self.overlap:.3f}, score change "
            f"{self.score_shift:.3f}, gradient error {self.gradient_error:.2f}{noise}, cosine {self.cosine:.3f}."
        )
        return " ".join((head + numbers, *self.reasons))


@dataclass(frozen=True, slots=True)
class _Pass:
    """Forward, loss and backward in one precision.

    Attributes:
        boxes: (batch, rows, 4), xyxy, pixels.
        scores: (batch, rows, classes).
        loss: the sum of its parts.
        gradient: (parameters,), all in a row.
    """

    boxes: Tensor
    scores: Tensor
    loss: float
    gradient: Tensor

    @property
    def answer_is_finite(self) -> bool:
        return bool(self.boxes.isfinite().all() & self.scores.isfinite().all())

    @property
    def gradient_is_finite(self) -> bool:
        return bool(self.gradient.isfinite().all())


def check_precision(
    model: DetectionModel, loss: Loss, images: Tensor, boxes: Tensor, classes: Tensor, precision: Precision
) -> PrecisionCheck:
    """Check a precision; the model is left unchanged.

    Args:
        model: on its device, in training mode.
        loss: its loss.
        images: float (batch, 3, height, width), 0 to 1.
        boxes: (batch, objects, 4) xyxy, pixels.
        classes: (batch, objects), -1 for padding.
        precision: bfloat16 or float16.

    Raises:
        RuntimeError: not enough memory for this batch in float32.
    """
    with preserve_buffers(model):
        truth = _compute(model, loss, images, boxes, classes, Precision.FLOAT32)
        if not truth.answer_is_finite or not truth.gradient_is_finite:
            where = _first_not_finite(model, images, Precision.FLOAT32)
            why = f"Not even float32 is finite on {counted(len(images), 'image')}{where}: precision is not the cause."
            return PrecisionCheck(precision, len(images), (why,), truth.loss, truth.loss)
        noise = _sampling_noise(model, loss, images, boxes, classes)
        scale = FIRST_SCALE if precision is Precision.FLOAT16 else 1.0
        tried = _compute(model, loss, images, boxes, classes, precision, scale)
        while tried.answer_is_finite and not tried.gradient_is_finite and scale > 1:
            scale /= 2
            tried = _compute(model, loss, images, boxes, classes, precision, scale)
        if not tried.answer_is_finite:
            where = _first_not_finite(model, images, precision)
            why = f"The model's answer to {counted(len(images), 'image')} is not finite{where}."
            return PrecisionCheck(precision, len(images), (why,), tried.loss, truth.loss)
        if not tried.gradient_is_finite:
            why = f"The gradient on {counted(len(images), 'image')} is not finite, whatever the scale of the loss."
            return PrecisionCheck(precision, len(images), (why,), tried.loss, truth.loss)
    return _compared(precision, truth, tried, noise, scale)


def _compared(precision: Precision, truth: _Pass, tried: _Pass, noise: float | None, scale: float) -> PrecisionCheck:
    """Judge two finite passes."""
    overlap, shift = _detections_kept(truth, tried)
    length = float(truth.gradient.norm())
    error = float((tried.gradient - truth.gradient).norm()) / max(length, 1e-30)
    cosine = float(tried.gradient @ truth.gradient) / max(length * float(tried.gradient.norm()), 1e-30)
    loss_error = abs(tried.loss - truth.loss) / max(abs(truth.loss), 1e-30)
    allowed = max(SMALL_ERROR, 1.0 if noise is None else noise)
    reasons = []
    if not loss_error <= MAX_LOSS_ERROR:
        reasons.append(f"The loss is {tried.loss:.5g} instead of {truth.loss:.5g}.")
    if not overlap >= MIN_OVERLAP:
        reasons.append(f"Detections drift: their boxes overlap those of float32 by only {overlap:.2f}.")
    if not shift <= MAX_SHIFT:
        reasons.append(f"Detections drift: their scores differ by {shift:.0%}.")
    if not cosine >= MIN_COSINE:
        reasons.append(f"The gradient points in another direction: its cosine with that of float32 is {cosine:.2f}.")
    elif not error <= allowed:
        reasons.append(f"The gradient is {error:.2f} off, more than the {allowed:.2f} by which images differ.")
    images = len(truth.boxes)
    return PrecisionCheck(
        precision,
        images,
        tuple(reasons),
        tried.loss,
        truth.loss,
        overlap,
        shift,
        cosine,
        error,
        noise,
        scale,
    )


def _compute(
    model: DetectionModel,
    loss: Loss,
    images: Tensor,
    boxes: Tensor,
    classes: Tensor,
    precision: Precision,
    scale: float = 1.0,
) -> _Pass:
    model.zero_grad()
    with autocast(images.device, precision):
        prediction = model(images)
    total: Tensor = loss(prediction, boxes, classes).sum()
    torch.autograd.backward(total * scale)
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    found, scores = prediction.decode()
    return _Pass(found.detach(), scores.detach(), float(total.detach()), torch.cat(gradients).float() / scale)


def _detections_kept(truth: _Pass, tried: _Pass) -> tuple[float, float]:
    """Median IoU of the boxes of the best-scored rows, and the change of their scores relative to them."""
    best = truth.scores.amax(-1)
    rows = best.topk(min(BEST_ROWS, best.shape[1]), 1).indices.unsqueeze(-1)

    def at(values: Tensor) -> Tensor:
        return values.gather(1, rows.expand(-1, -1, values.shape[-1]))

    overlap = box_iou_aligned(at(truth.boxes), at(tried.boxes)).median()
    scores = at(truth.scores)
    return float(overlap), float((at(tried.scores) - scores).abs().sum() / scores.sum().clamp(min=1e-30))


def _sampling_noise(model: DetectionModel, loss: Loss, images: Tensor, boxes: Tensor, classes: Tensor) -> float | None:
    """Sampling noise of a batch's gradient: half the difference of its halves over their mean."""
    half = len(images) // 2
    if half == 0:
        return None
    one, other = (
        _compute(model, loss, images[part], boxes[part], classes[part], Precision.FLOAT32).gradient
        for part in (slice(0, half), slice(half, 2 * half))
    )
    return float((one - other).norm() / (one + other).norm().clamp(min=1e-30))


def _first_not_finite(model: DetectionModel, images: Tensor, precision: Precision) -> str:
    """Finds the first layer with non-finite output, and the largest float32 value there."""
    names = {module: name for name, module in model.named_modules() if name}
    found: list[tuple[str, float]] = []

    def look(layer: nn.Module, _: object, answer: object) -> None:
        if not found and isinstance(answer, Tensor) and not bool(answer.isfinite().all()):
            found.append((names[layer], 0.0))

    def measure(_: nn.Module, __: object, answer: object) -> None:
        if isinstance(answer, Tensor):
            found[0] = (found[0][0], float(answer.abs().max()))

    with torch.no_grad():
        handles = [layer.register_forward_hook(look) for layer in names]
        with autocast(images.device, precision):
            model(images)
        for handle in handles:
            handle.remove()
        if not found:
            return ""
        if precision is Precision.FLOAT32:
            return f", first in layer {found[0][0]}"
        layer = next(layer for layer, name in names.items() if name == found[0][0])
        handle = layer.register_forward_hook(measure)
        model(images)
        handle.remove()
    name, largest = found[0]
    reaches = torch.finfo(precision.dtype).max
    value = f"; {largest:.3g} there in float32, and {precision} reaches {reaches:.3g}" if largest > reaches else ""
    return f", first in layer {name}{value}"
