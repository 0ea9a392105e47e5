"""Everything a run needs, prepared and checked before its folder is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
import yaml

from lehr.config import TrainConfig
from lehr.data.check import count_kinds
from lehr.data.loader import Key, Loader, eval_keys
from lehr.data.types import Dataset, Sample
from lehr.engine.data_start import RunData, plan_of, start_data
from lehr.engine.device import describe_device, pick_device, use_whole_machine
from lehr.engine.model_start import start_model
from lehr.engine.run_folder import make_run_folder
from lehr.engine.state import TrainState
from lehr.losses.build import build_loss
from lehr.losses.loss import Loss
from lehr.models.build import check_model_name
from lehr.models.detection import DetectionModel
from lehr.models.weights import read_metadata
from lehr.techniques.class_weights import class_counts, class_weights
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema import ModelEma
from lehr.techniques.multi_scale import SizeRange, range_around, range_of_cells
from lehr.techniques.optimizer import build_optimizer
from lehr.techniques.plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class Setup:
    """A run, ready to start.

    Attributes:
        config: its options.
        folder: its folder, with `config.yaml` in it.
        device: where it trains.
        dataset: what it trains on.
        train_samples: the training split.
        val_samples: the split it is validated on.
        train_loader: gives training batches.
        val_loader: gives validation batches.
        val_keys: the batches of a validation.
        plan: rates of every step.
        loss: what is minimized.
        sizes: the sizes that steps are drawn from; None for one size.
        state: the training state at the start.
        notes: what the user should know, a line each.
    """

    config: TrainConfig
    folder: Path
    device: torch.device
    dataset: Dataset
    train_samples: Sequence[Sample]
    val_samples: Sequence[Sample]
    train_loader: Loader
    val_loader: Loader
    val_keys: list[Key]
    plan: TrainingPlan
    loss: Loss
    sizes: SizeRange | None
    state: TrainState
    notes: tuple[str, ...]


def prepare(config: TrainConfig) -> Setup:
    """Prepares a run; the run's folder is made last, so that bad input leaves nothing behind.

    Raises:
        InputError: options or data that cannot be trained on.
    """
    check_model_name(config.model.model)
    if config.model.weights is not None:
        read_metadata(config.model.weights)
    device = pick_device(config.run.device)
    use_whole_machine(device)
    notes: list[str] = list(config.notes)
    if config.data.imgsz is not None and config.imgsz != config.data.imgsz:
        notes.append(f"--imgsz {config.data.imgsz} is not a multiple of 32: rounded up to {config.imgsz}.")
    data = start_data(config, device, notes.append)
    dataset, train_samples = data.dataset, data.train_store.samples
    plan = plan_of(config, dataset, len(train_samples))
    model = start_model(config, dataset.names, train_samples, notes.append)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
    state = _start(config, model, plan)
    folder = make_run_folder(config.run.project, config.run.name)
    _write_config(config, folder)
    heading = _describe(config, data, model, plan, folder)
    return Setup(
        config=config,
        folder=folder,
        device=device,
        dataset=dataset,
        train_samples=train_samples,
        val_samples=data.val_store.samples,
        train_loader=data.train_loader,
        val_loader=data.val_loader,
        val_keys=eval_keys(data.val_store, config.data.batch),
        plan=plan,
        loss=build_loss(model, config.loss, config.imgsz, _class_weights(config, data)),
        sizes=_sizes(config),
        state=state,
        notes=(*heading, *notes),
    )


def _start(config: TrainConfig, model: DetectionModel, plan: TrainingPlan) -> TrainState:
    options = config.schedule
    return TrainState(
        model=model,
        optimizer=build_optimizer(model, plan.optimizer, plan.weight_decay),
        ema=ModelEma(model, options.ema_decay, options.ema_tau) if options.ema_decay > 0 else None,
        stopping=EarlyStopping(options.patience),
    )


def _class_weights(config: TrainConfig, data: RunData) -> torch.Tensor | None:
    """A factor for each class in the loss, on the device; None when they are off."""
    power = config.loss.class_weights
    if power == 0:
        return None
    counts = class_counts(data.train_store.samples, len(data.dataset.names))
    return torch.tensor(class_weights(counts, power), device=data.device)


def _sizes(config: TrainConfig) -> SizeRange | None:
    """The sizes that multi-scale training draws from; None when it is off."""
    data = config.data
    if data.grid_min is not None and data.grid_max is not None:
        return range_of_cells(data.grid_min, data.grid_max)
    return range_around(config.imgsz, data.multi_scale) if data.multi_scale > 0 else None


def _write_config(config: TrainConfig, folder: Path) -> None:
    text = yaml.safe_dump(config.flat(), sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")


def _describe(config: TrainConfig, data: RunData, model: DetectionModel, plan: TrainingPlan, folder: Path) -> list[str]:
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    choice = plan.optimizer
    train, val = len(data.train_store.samples), len(data.val_store.samples)
    lines = [
        f"{config.model.model}, {parameters:.2f} M parameters, on {describe_device(data.device)}, "
        f"torch {torch.__version__}, OpenCV {cv2.__version__}",
        f"Data {config.data.data}: {train} images to train, {val} to validate, {len(data.dataset.names)} classes",
        f"{config.epochs} epochs of {plan.batches} batches of {config.data.batch} at {config.imgsz} pixels; "
        f"{choice.name}, lr0 {choice.lr0:g}, momentum {choice.momentum:g}, {plan.accumulate} "
        f"{'batch' if plan.accumulate == 1 else 'batches'} an optimizer step, warmup {plan.warmup} steps; "
        f"seed {config.run.seed}",
        f"Results in {folder}",
    ]
    if data.dataset.faults:
        lines.insert(2, f"Faults in the data: {count_kinds(data.dataset.faults)}; `lehr data check` lists them")
    return lines
