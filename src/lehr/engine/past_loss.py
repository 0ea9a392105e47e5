"""Loss of a rebuilt batch, by part and by image, and the norm of its gradient; nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lehr.checkpoint.content import check_content
from lehr.checkpoint.format import Checkpoint, read_checkpoint
from lehr.engine.model import start_model
from lehr.engine.past_batches import PastBatch, PastBatches, StepPlace, positions
from lehr.engine.preflight import still_possible
from lehr.engine.setup import loss_weights
from lehr.engine.step import ForwardLoss
from lehr.errors import InputError
from lehr.losses.build import build_loss
from lehr.models.detection import DetectionModel
from lehr.models.preserve_buffers import preserve_buffers
from lehr.runtime.counted import counted
from lehr.techniques.class_weights import shown_counts
from lehr.techniques.clipping import clip_gradients
from lehr.techniques.freezing import freeze, freeze_bn_stats
from lehr.techniques.multi_scale import model_input
from lehr.techniques.precision import Precision, autocast, input_dtype
from lehr.weights.best_of_run import BEST_WEIGHTS, LAST_WEIGHTS
from lehr.weights.load import load_model


@dataclass(frozen=True, slots=True)
class PastLoss:
    """Loss of a batch under given weights of its run.

    Attributes:
        weights: the file that they are from.
        step: number of batches that they were trained on; None if the file does not record it.
        exact: whether they are the run's weights at that step.
        precision: in which the model computes.
        parts: each part of the loss, mean per image, as in results.csv.
        images: each image's own, whose mean is `parts`; empty if the model's head cannot separate images.
        norm: norm of the gradient of this batch alone, before clipping.
    """

    weights: Path
    step: int | None
    exact: bool
    precision: str
    parts: Mapping[str, float]
    images: tuple[Mapping[str, float], ...]
    norm: float


def nearest_weights(folder: Path, place: StepPlace) -> Path | None:
    """Return the file of a run whose weights are nearest to a step; None if it has none.

    Checkpoints record their step. One of exactly this step is preferred, otherwise the nearest.

    Args:
        folder: the run's.
        place: the step.
    """
    known = sorted(positions(folder), key=lambda each: abs(each[1].step - place.step))
    files = [path for path, _ in known] + [folder / name for name in (BEST_WEIGHTS, LAST_WEIGHTS)]
    return next((path for path in files if path.is_file() and not path.is_symlink()), None)


def past_loss(past: PastBatches, made: PastBatch, weights: Path) -> PastLoss:
    """Compute the loss of a batch, as the training step does, and the norm of its gradient.

    Args:
        past: the batches of the run.
        made: the batch.
        weights: a checkpoint of the run, or a file of weights of its classes.

    Raises:
        InputError: the weights cannot be read, or do not fit the run.
    """
    device = past.device
    checkpoint = _checkpoint(weights) if weights.suffix == ".ckpt" else None
    model = _model_of(past, checkpoint) if checkpoint is not None else _loaded(past, weights)
    precision = Precision.FLOAT32
    if checkpoint is not None:
        precision = still_possible(Precision(checkpoint.content["state"]["precision"]), device)
    forward_loss = _forward_loss(past, model)
    model.train()
    freeze_bn_stats(model)
    with preserve_buffers(model):
        parts = forward_loss.parts(made.batch, made.size, precision)
        torch.autograd.backward(parts.sum())
        norm = float(clip_gradients(model.parameters(), 0))
        images = _by_image(forward_loss, made, precision)
    step = None if checkpoint is None else checkpoint.position.step
    count = len(made.batch)
    return PastLoss(
        weights,
        step,
        step == made.place.step,
        str(precision),
        _named(forward_loss, parts.detach() / count),
        tuple(_named(forward_loss, each) for each in images),
        norm,
    )


def _checkpoint(path: Path) -> Checkpoint:
    checkpoint = read_checkpoint(path)
    if "state" not in checkpoint.content:
        raise InputError(f"{path}: is not a run's checkpoint. Give another --weights.")
    check_content(checkpoint)
    return checkpoint


def _model_of(past: PastBatches, checkpoint: Checkpoint) -> DetectionModel:
    """Load the run's model from a checkpoint, without its average.

    Raises:
        InputError: the checkpoint belongs to another model.
    """
    model = start_model(past.config, past.data.dataset.names, past.samples, lambda line: None, restored=True).model
    try:
        model.load_state_dict(checkpoint.content["state"]["model"])
    except RuntimeError as error:
        raise InputError(f"{checkpoint.path}: does not fit this run ({error}).") from None
    return model


def _loaded(past: PastBatches, weights: Path) -> DetectionModel:
    """Load a model from a file of weights, frozen like the run's.

    Raises:
        InputError: the file cannot be read, or has other classes.
    """
    model, names = load_model(weights), past.data.dataset.names
    if len(model.names) != len(names):
        raise InputError(
            f"--weights {weights}: has {counted(len(model.names), 'class')} and the data of the run have "
            f"{len(names)}, so there "
            "is not a loss. Give weights of the run."
        )
    if past.config.model.freeze is not None and model.variant == past.config.model.model:
        freeze(model, past.config.model.freeze)
    return model


def _forward_loss(past: PastBatches, model: DetectionModel) -> ForwardLoss:
    config, data, device = past.config, past.data, past.device
    counts = shown_counts(past.samples, len(data.train_samples), config.data.replay, len(data.dataset.names))
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
    loss = build_loss(model, config.loss, config.imgsz, loss_weights(config, counts, device))
    return ForwardLoss(model, loss, device)


@torch.no_grad()
def _by_image(forward_loss: ForwardLoss, made: PastBatch, precision: Precision) -> list[Tensor]:
    """Loss of each image, (parts,), whose mean is the batch's; empty if they cannot be separated.

    BatchNorm sees the whole batch, as in training.
    """
    model, loss, batch = forward_loss.model, forward_loss.loss, made.batch
    images, boxes = model_input(batch, made.size, input_dtype(model, precision))
    with autocast(images.device, precision):
        prediction = model(images)
    if not hasattr(prediction, "of_image"):
        return []
    each = [
        loss.sums(prediction.of_image(index), boxes[index : index + 1], batch.classes[index : index + 1])
        for index in range(len(batch))
    ]
    counts = torch.stack([count for _, count in each]).sum(0)
    return [loss.combined(sums, counts, len(batch)) for sums, _ in each]


def _named(forward_loss: ForwardLoss, values: Tensor) -> dict[str, float]:
    return dict(zip(forward_loss.loss.parts, values.tolist(), strict=True))
