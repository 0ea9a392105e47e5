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
from lehr.data.load import load_dataset, require_split
from lehr.data.loader import EvalBatches, Key, Loader, TrainBatches, eval_keys
from lehr.data.types import Dataset, Sample
from lehr.engine.device import available_cores, describe_device, pick_device, use_whole_machine
from lehr.engine.run_folder import make_run_folder
from lehr.engine.state import TrainState
from lehr.errors import InputError
from lehr.models.build import build_model, check_model_name
from lehr.models.weights import read_metadata, take_fitting_weights
from lehr.models.yolov8 import YOLOv8
from lehr.techniques.accumulation import scaled_weight_decay
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema import ModelEma
from lehr.techniques.optimizer import build_optimizer, choose_optimizer
from lehr.techniques.plan import TrainingPlan

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
    notes: list[str] = []
    if config.data.imgsz is not None and config.imgsz != config.data.imgsz:
        notes.append(f"--imgsz {config.data.imgsz} is not a multiple of 32: rounded up to {config.imgsz}.")
    dataset = load_dataset(config.data.data, config.run.seed)
    refuse_unusable(dataset, config.data.skip_broken)
    train_samples, val_samples = require_split(dataset, "train"), require_split(dataset, "val")
    train_store = _open_store(train_samples, config, notes)
    val_store = _open_store(val_samples, config, notes)
    state, plan = _start(config, dataset, len(train_store.samples), device, notes)
    workers = _workers(config, device)
    pin = device.type == "cuda"
    train_make = TrainBatches(train_store, config.augment, config.imgsz, config.run.seed, config.epochs)
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


def _start(
    config: TrainConfig, dataset: Dataset, images: int, device: torch.device, notes: list[str]
) -> tuple[TrainState, TrainingPlan]:
    model = build_model(config.model.model, dataset.names, config.imgsz, config.run.seed)
    if config.model.weights is not None:
        taken, total = take_fitting_weights(model, config.model.weights)
        notes.append(f"{taken} of {total} tensors start from {config.model.weights}; the others start random.")
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
    batch = min(config.data.batch, images)
    batches = -(-images // config.data.batch)
    options = config.schedule
    choice = choose_optimizer(
        options.optimizer,
        classes=len(dataset.names),
        iterations=batches * config.epochs,
        lr0=options.lr0,
        momentum=options.momentum,
        warmup_bias_lr=options.warmup_bias_lr,
    )
    decay = scaled_weight_decay(options.weight_decay, batch, options.nominal_batch)
    state = TrainState(
        model=model,
        optimizer=build_optimizer(model, choice, decay),
        ema=ModelEma(model, options.ema_decay, options.ema_tau) if options.ema_decay > 0 else None,
        stopping=EarlyStopping(options.patience),
    )
    return state, TrainingPlan(options, choice, config.epochs, batches, batch)


def _workers(config: TrainConfig, device: torch.device) -> int:
    """Loading processes: those asked for; else none beside a CPU that is busy training, up to 8 beside a GPU."""
    if config.data.workers is not None:
        return config.data.workers
    return 0 if device.type == "cpu" else min(MOST_WORKERS, available_cores())


def _write_config(config: TrainConfig, folder: Path) -> None:
    text = yaml.safe_dump(config.flat(), sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")


def _describe(
    config: TrainConfig,
    dataset: Dataset,
    model: YOLOv8,
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
