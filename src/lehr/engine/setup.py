"""Everything a run needs, prepared and checked before its folder is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
import yaml

from lehr.config import TrainConfig
from lehr.data.cache import ImageStore, open_store
from lehr.data.check import count_kinds, refuse_unusable
from lehr.data.images import ImageFault
from lehr.data.load import as_one_class, load_dataset, require_split
from lehr.data.loader import EvalBatches, Key, Loader, TrainBatches, eval_keys
from lehr.data.types import Dataset, Sample
from lehr.engine.device import available_cores, describe_device, pick_device, use_whole_machine
from lehr.engine.model_start import start_model
from lehr.engine.run_folder import make_run_folder
from lehr.engine.state import TrainState
from lehr.errors import InputError
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
from lehr.techniques.plan import TrainingPlan, plan_training

MOST_WORKERS = 8


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
    dataset = load_dataset(config.data.data, config.run.seed)
    refuse_unusable(dataset, config.data.skip_broken)
    if config.data.single_cls:
        dataset = as_one_class(dataset)
    train_samples, val_samples = require_split(dataset, "train"), require_split(dataset, "val")
    train_store = _open_store(train_samples, config, notes)
    val_store = _open_store(val_samples, config, notes)
    plan = plan_training(
        config.schedule,
        epochs=config.epochs,
        images=len(train_store.samples),
        batch=config.data.batch,
        classes=len(dataset.names),
    )
    model = start_model(config, dataset.names, train_store.samples, notes.append)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
    state = _start(config, model, plan)
    counts = class_counts(train_store.samples, len(dataset.names))
    power = config.loss.class_weights
    weights = torch.tensor(class_weights(counts, power), device=device) if power > 0 else None
    workers = _workers(config, device)
    pin = device.type == "cuda"
    train_make = TrainBatches(
        train_store, config.augment, config.imgsz, config.run.seed, config.epochs, config.data.rect
    )
    train_loader = Loader(train_make, workers, pin)
    val_loader = Loader(EvalBatches(val_store, config.imgsz), min(workers, 4), pin)
    folder = make_run_folder(config.run.project, config.run.name)
    _write_config(config, folder)
    heading = _describe(config, dataset, state.model, device, plan, folder, train_store, val_store)
    return Setup(
        config=config,
        folder=folder,
        device=device,
        dataset=dataset,
        train_samples=train_store.samples,
        val_samples=val_store.samples,
        train_loader=train_loader,
        val_loader=val_loader,
        val_keys=eval_keys(val_store, config.data.batch),
        plan=plan,
        loss=build_loss(model, config.loss, config.imgsz, weights),
        sizes=_sizes(config),
        state=state,
        notes=(*heading, *notes),
    )


def _open_store(samples: Sequence[Sample], config: TrainConfig, notes: list[str]) -> ImageStore:
    """The images of a split; those that turn out broken only in decoding are left out where that is allowed."""
    left = list(samples)
    while True:
        try:
            return open_store(left, config.imgsz, config.data.cache, notes.append)
        except ImageFault as error:
            if not config.data.skip_broken or len(left) == 1:
                raise InputError(f"{error}\nRepair or remove it, or train without it by --skip-broken.") from None
            notes.append(f"Skipped: {error}")
            left = [sample for sample in left if sample.path != error.path]


def _start(config: TrainConfig, model: DetectionModel, plan: TrainingPlan) -> TrainState:
    options = config.schedule
    return TrainState(
        model=model,
        optimizer=build_optimizer(model, plan.optimizer, plan.weight_decay),
        ema=ModelEma(model, options.ema_decay, options.ema_tau) if options.ema_decay > 0 else None,
        stopping=EarlyStopping(options.patience),
    )


def _workers(config: TrainConfig, device: torch.device) -> int:
    """Loading processes: those asked for; else none beside a CPU that is busy training, up to 8 beside a GPU."""
    if config.data.workers is not None:
        return config.data.workers
    return 0 if device.type == "cpu" else min(MOST_WORKERS, available_cores())


def _sizes(config: TrainConfig) -> SizeRange | None:
    """The sizes that multi-scale training draws from; None when it is off."""
    data = config.data
    if data.grid_min is not None and data.grid_max is not None:
        return range_of_cells(data.grid_min, data.grid_max)
    return range_around(config.imgsz, data.multi_scale) if data.multi_scale > 0 else None


def _write_config(config: TrainConfig, folder: Path) -> None:
    text = yaml.safe_dump(config.flat(), sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")


def _describe(
    config: TrainConfig,
    dataset: Dataset,
    model: DetectionModel,
    device: torch.device,
    plan: TrainingPlan,
    folder: Path,
    train_store: ImageStore,
    val_store: ImageStore,
) -> list[str]:
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    choice = plan.optimizer
    lines = [
        f"{config.model.model}, {parameters:.2f} M parameters, on {describe_device(device)}, "
        f"torch {torch.__version__}, OpenCV {cv2.__version__}",
        f"Data {config.data.data}: {len(train_store.samples)} images to train, {len(val_store.samples)} to validate, "
        f"{len(dataset.names)} classes",
        f"{config.epochs} epochs of {plan.batches} batches of {config.data.batch} at {config.imgsz} pixels; "
        f"{choice.name}, lr0 {choice.lr0:g}, momentum {choice.momentum:g}, warmup {plan.warmup} steps; "
        f"seed {config.run.seed}",
        f"Results in {folder}",
    ]
    if dataset.faults:
        lines.insert(2, f"Faults in the data: {count_kinds(dataset.faults)}; `lehr data check` lists them")
    return lines
