"""Preparation of a run, new or resumed: everything it needs, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from lehr.callbacks.run_info import Run
from lehr.config import TrainConfig
from lehr.data.batch import Batch
from lehr.data.faults import describe_faults
from lehr.data.feed import DevicePrefetcher
from lehr.data.loader import Loader
from lehr.data.relocation import data_source, weights_source
from lehr.data.requests import BatchRequest, shard_requests
from lehr.data.tiled_split import images_of
from lehr.distributed.collectives import Ranks, check_divides
from lehr.distributed.devices import data_parallel_devices, own_device
from lehr.distributed.environment import world
from lehr.distributed.group import Group
from lehr.distributed.step_sync import StepSync
from lehr.engine.data import RunData, eval_batch, first_request, plan_of, start_data
from lehr.engine.guard import Guard
from lehr.engine.identity import check_same, identity_of
from lehr.engine.kept_start import is_kept, keep_start
from lehr.engine.loading import loading_of
from lehr.engine.model import start_model
from lehr.engine.older import OlderData
from lehr.engine.preflight import PrecisionChoice, choose_speed, write_precision
from lehr.engine.profile import Profile
from lehr.engine.resume import Resumption, as_planned, closed_epochs, planned, restore
from lehr.engine.state import EpochSums, TrainState
from lehr.engine.step import ForwardLoss
from lehr.evaluation.background import background_notes
from lehr.evaluation.crowding import crowding_notes, is_crowded
from lehr.losses.build import build_loss
from lehr.losses.loss import Loss
from lehr.options import DeviceOptions
from lehr.runtime.counted import counted
from lehr.runtime.device import configure_backend, describe_device, expect_changing_shapes, set_deterministic
from lehr.sample import Dataset, Sample
from lehr.techniques.class_weights import class_weights, shown_counts
from lehr.techniques.compiled_steps import check_compiler_graphs
from lehr.techniques.cuda_graphs import obstacle_to_graphs
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema import ModelEma
from lehr.techniques.guard import is_guarded, knows
from lehr.techniques.layer_rates import backbone_parameters, describe_backbone
from lehr.techniques.multi_scale import SizeRange, sizes_of
from lehr.techniques.non_finite import Statistics
from lehr.techniques.optimizer import build_optimizer
from lehr.techniques.plan import TrainingPlan
from lehr.techniques.replay import Replay, describe_replay
from lehr.techniques.sync_batch_norm import Membership, convert
from lehr.weights.source import open_weights, release_weights


@dataclass(frozen=True, slots=True)
class Setup:
    """A prepared run.

    Attributes:
        config: its options.
        folder: its folder, with `config.yaml` in it.
        group: the processes that train together.
        device: device of this process.
        dataset: its data set.
        train_samples: the training split, followed by the images of the older data to replay; in a run on tiles, their
            tiles.
        own_samples: the training split itself, or its tiles.
        val_samples: the validation split, or its tiles.
        partner_window: images of the windows of an epoch that partners are drawn from; 0 for all images.
        feed: yields training batches, on the device.
        val_loader: yields validation batches, also of the older data.
        val_requests: the batches of a validation.
        older: older data that it is also evaluated on; None for none.
        older_requests: the batches of an evaluation on them.
        plan: rates of every step.
        forward_loss: computes the loss of a batch.
        step_sync: what several processes exchange in a step; None for one process.
        sizes: the image sizes that steps draw from; None for one size.
        state: the training state at the start, or where the run resumes.
        statistics: the BatchNorm statistics of its model.
        profile: measures its stages if requested.
        identity: what a checkpoint holds in addition to the state: the run's identity, compared on resume.
        notes: notes for the user, one line each.
    """

    config: TrainConfig
    folder: Path
    group: Group
    device: torch.device
    dataset: Dataset
    train_samples: Sequence[Sample]
    own_samples: Sequence[Sample]
    val_samples: Sequence[Sample]
    partner_window: int
    feed: DevicePrefetcher
    val_loader: Loader
    val_requests: list[BatchRequest]
    older: OlderData | None
    older_requests: list[BatchRequest]
    plan: TrainingPlan
    forward_loss: ForwardLoss
    step_sync: StepSync | None
    sizes: SizeRange | None
    state: TrainState
    statistics: Statistics
    profile: Profile
    identity: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def loss(self) -> Loss:
        """The loss."""
        return self.forward_loss.loss

    @property
    def captured(self) -> int | None:
        """Batch size of steps captured as CUDA graphs; None if none are."""
        speed, alone = self.config.speed, not self.ranks.is_distributed
        on = self.device.type == "cuda" and speed.cuda_graphs != "off" and alone
        return self.plan.batch if on and not obstacle_to_graphs(self.config) else None

    @property
    def ranks(self) -> Ranks:
        """Rank of this process among the training processes."""
        return self.group.ranks

    @property
    def run_info(self) -> Run:
        """The run as listeners to its events see it."""
        return Run(
            folder=self.folder,
            config=self.config,
            names=self.dataset.names,
            parts=tuple(self.loss.parts),
            batches=self.plan.batches,
            train_images=len(self.own_samples),
            val_images=len(self.val_samples),
            crowded=is_crowded(images_of(self.val_samples), self.config.run.max_det),
            device=self.device,
            rank=self.ranks.rank,
            processes=self.ranks.count,
            model=self.state.model,
            averaged=self.state.evaluated_model,
            older_images=0 if self.older is None else len(self.older.val),
            fingerprint=self.identity["data"],
            warmup=self.plan.warmup,
            closed=self.identity["plan"]["closed"],
        )

    def first_batch(self) -> Batch:
        """Return this process's share of a batch like the run's first, on the device, for measurements."""
        request = first_request(self.config, self.train_samples, len(self.own_samples))
        return next(self.feed.batches(shard_requests([request], self.ranks)))


def prepare(
    config: TrainConfig, folder: Path, resumption: Resumption | None = None, group: Group | None = None
) -> Setup:
    """Prepare a run.

    Args:
        config: its options.
        folder: its folder.
        resumption: where it resumes; None for a new run.
        group: the training processes; None for this one alone.

    Raises:
        InputError: the options or the data cannot be trained on, or are not those of the resumed run.
    """
    checkpoint = resumption.checkpoint if resumption is not None else None
    group = group or Group.alone()
    weights, notes = weights_source(config), list(config.notes)
    kept = resumption is not None and checkpoint is None and weights is not None and is_kept(folder, group.ranks)
    if weights is not None and checkpoint is None and not kept:
        notes += open_weights(weights).notes
    ranks, device = group.ranks, open_device(config.devices, config.run.deterministic)
    check_compiler_graphs(config, device.type, ranks.count)
    if isinstance(config.data.batch, int):
        check_divides(config.batch, ranks.count)
    if config.data.imgsz is not None and config.imgsz != config.data.imgsz:
        notes.append(f"--imgsz {config.data.imgsz} is not a multiple of 32: rounded up to {config.imgsz}.")
    closed = closed_epochs(config, checkpoint)
    data = start_data(config, device, notes.append, ranks, closed, loading_of(checkpoint))
    data.train_loader.start()  # before this process starts more threads
    data.val_loader.start()
    if checkpoint is not None:
        notes += check_same(identity_of(config, data, ranks), checkpoint)
    notes += background_notes(images_of(data.val_samples), training=True)
    notes += crowding_notes(images_of(data.val_samples), config.run.max_det, "validation images")
    samples, sizes = data.train_store.samples, sizes_of(config)
    counts = shown_counts(samples, len(data.train_samples), config.data.replay, len(data.dataset.names))
    start = start_model(
        config,
        data.dataset.names,
        samples,
        notes.append,
        ranks,
        restored=checkpoint is not None,
        kept=folder if kept else None,
        counts=counts,
    )
    if start.transfer is not None and weights is not None and not kept:
        keep_start(folder, start.model, weights, start.transfer, ranks)
    release_weights()
    model = start.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
    statistics = Statistics(model)  # before the average, which refers to them
    forward_loss = ForwardLoss(
        model, build_loss(model, config.loss, config.imgsz, loss_weights(config, counts, device)), device
    )
    choice: PrecisionChoice | None = None
    if checkpoint is None:
        config, choice = choose_speed(config, data, forward_loss, sizes, notes.append, ranks)
        if ranks.is_main:
            write_precision(choice, folder)
    synchronized = convert(model) if config.devices.sync_bn and ranks.is_distributed else None
    _spread(config, forward_loss, ranks, synchronized, notes)
    plan = plan_of(config, data.dataset, len(data.train_samples), trained=start.is_trained, known=start.known)
    state, plan = _start(config, plan, forward_loss, choice, resumption, notes)
    if checkpoint is None and is_guarded(config, start.transfer):
        state.guard = Guard()
    if checkpoint is None and data.older is not None and knows(config, start.transfer, data.older.names):
        state.older_guard = Guard()
    feed, profile = DevicePrefetcher(data.train_loader, device), Profile(device, config.speed.profile)
    forward_loss.mark = feed.mark = profile.mark
    check_compiler_graphs(config, device.type, ranks.count, len(data.train_samples))
    varying = sizes is not None or config.data.rect
    if varying and expect_changing_shapes(device):
        notes.append("The images change size, so cuDNN picks kernels without benchmarking all of them first.")
    forward_loss.compile(config.speed.compile, plan.batch // ranks.count, sizes_vary=varying)
    return Setup(
        config=config,
        folder=folder,
        group=group,
        device=device,
        dataset=data.dataset,
        train_samples=samples,
        own_samples=data.train_samples,
        val_samples=data.val_samples,
        partner_window=data.loading.partner_window,
        feed=feed,
        val_loader=data.val_loader,
        val_requests=data.val_requests(eval_batch(config)),
        older=data.older,
        older_requests=data.older_requests(eval_batch(config)),
        plan=plan,
        forward_loss=forward_loss,
        step_sync=StepSync(ranks, statistics.block if synchronized is None else None, device)
        if ranks.is_distributed
        else None,
        sizes=sizes,
        state=state,
        statistics=statistics,
        profile=profile,
        identity=identity_of(config, data, ranks) | planned(plan, closed, data.loading),
        notes=(*_describe(config, data, state, plan, folder, ranks), *notes),
    )


def open_device(options: DeviceOptions, deterministic: bool = False) -> torch.device:
    """Set up the device of this process.

    Args:
        options: name the devices of the run.
        deterministic: make CUDA bit-reproducible.

    Raises:
        InputError: there is no such device.
    """
    device = data_parallel_devices(options)[0] if options.parallel == "dp" else own_device(options, world())
    if device.type == "cuda":
        set_deterministic(deterministic)
        torch.cuda.set_device(device)
    configure_backend(device, world().local_count)
    return device


def _spread(
    config: TrainConfig, forward_loss: ForwardLoss, ranks: Ranks, synchronized: Membership | None, notes: list[str]
) -> None:
    """Distribute the run's batches over several processes, or over several devices of one, if requested."""
    options = config.devices
    forward_loss.join(ranks, synchronized)
    if options.parallel == "dp":
        devices = data_parallel_devices(options)
        forward_loss.spread(devices)
        names = ",".join(str(device.index) for device in devices)
        notes.append(
            f"--parallel dp: one process drives {len(devices)} devices and copies the model to each in every step. "
            f"--device {names} without it gives each device a process, which is faster (docs/scaling.md)."
        )


def _start(
    config: TrainConfig,
    plan: TrainingPlan,
    forward_loss: ForwardLoss,
    choice: PrecisionChoice | None,
    resumption: Resumption | None,
    notes: list[str],
) -> tuple[TrainState, TrainingPlan]:
    """Build the training state, new or restored, and the rates of every step; add notes for the user.

    Raises:
        InputError: the checkpoint does not fit the run.
    """
    options, model = config.schedule, forward_loss.model
    if resumption is not None and resumption.checkpoint is not None:
        plan = as_planned(plan, resumption.checkpoint)
    notes += plan.notes
    slowed = set() if options.backbone_lr_mult == 1 else backbone_parameters(model)
    if slowed:
        notes.append(describe_backbone(model, options.backbone_lr_mult))
    state = TrainState(
        model=model,
        optimizer=build_optimizer(model, plan.optimizer, plan.weight_decay, slowed, options.backbone_lr_mult),
        ema=ModelEma(model, options.ema_decay, plan.ema_tau) if options.ema_decay > 0 else None,
        stopping=EarlyStopping(options.patience),
        sums=EpochSums.of_parts(forward_loss.loss.parts, forward_loss.device),
        finite=torch.ones((), dtype=torch.bool, device=forward_loss.device),
    )
    if choice is not None:
        state.use_precision(choice.precision, choice.scale)
    if resumption is not None:
        notes += restore(state, plan, resumption)
    return state, plan


def loss_weights(config: TrainConfig, counts: Sequence[float], device: torch.device) -> torch.Tensor | None:
    """Compute a loss factor for each class, on the device; None if they are off.

    Args:
        config: the run's options.
        counts: objects per class in an epoch.
        device: device of the loss.
    """
    power = config.loss.class_weights
    return None if power == 0 else torch.tensor(class_weights(counts, power), device=device)


def _describe(
    config: TrainConfig, data: RunData, state: TrainState, plan: TrainingPlan, folder: Path, ranks: Ranks
) -> list[str]:
    parameters = sum(parameter.numel() for parameter in state.model.parameters()) / 1e6
    choice = plan.optimizer
    train, val = len(data.train_samples), len(data.val_samples)
    what = "images" if config.data.tile is None else "tiles"
    lines = [
        f"{config.model.model}, {parameters:.2f} M parameters, on {describe_device(data.device)} in {state.precision}, "
        f"torch {torch.__version__}, OpenCV {cv2.__version__}",
        f"Data {data_source(config)}: {train} {what} to train, {val} to validate, "
        f"{counted(len(data.dataset.names), 'class')}",
        f"{counted(config.epochs, 'epoch')} of {counted(plan.batches, 'batch')} of {config.batch} at "
        f"{config.imgsz} pixels; "
        f"{choice.name}, lr0 {choice.lr0:g}, momentum {choice.momentum:g}, {plan.accumulate} "
        f"{'batch' if plan.accumulate == 1 else 'batches'} an optimizer step, warmup {counted(plan.warmup, 'step')}; "
        f"seed {config.run.seed}",
        f"Results in {folder}",
    ]
    if ranks.is_distributed:
        share = config.batch // ranks.count
        lines.insert(
            1, f"{ranks.count} processes, each with {counted(share, 'image')} of a batch{_synchronized(config)}"
        )
    older = [] if data.older is None else list(data.older.notes)
    if data.older is not None and config.data.replay > 0:
        replay = Replay(train, config.batch, config.data.replay)
        older.append(describe_replay(replay, len(data.older.train), data.older.source))
    return [*lines, *describe_faults(data.dataset.faults), *older]


def _synchronized(config: TrainConfig) -> str:
    return ", BatchNorm over all of them" if config.devices.sync_bn else ""
