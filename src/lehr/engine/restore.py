"""Taking up a run where its checkpoint left it: the same data, the same plan, the state."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch

from lehr.config import TrainConfig
from lehr.data.fingerprint import fingerprint
from lehr.distributed.ranks import Ranks
from lehr.engine.checkpoint import Checkpoint
from lehr.engine.data_start import RunData
from lehr.engine.device import describe_device
from lehr.engine.precision_start import still_possible
from lehr.engine.resume import Resumption
from lehr.engine.state import TrainState
from lehr.errors import InputError
from lehr.techniques.auto import OptimizerChoice
from lehr.techniques.plan import TrainingPlan
from lehr.techniques.schedule import build_schedule


def identity_of(config: TrainConfig, data: RunData, ranks: Ranks) -> dict[str, Any]:
    """What a checkpoint holds beside the state, to compare with when the run goes on."""
    return {
        "config": config.flat(),
        "data": fingerprint(data.dataset.names, data.train_store.samples, data.val_store.samples),
        "images": len(data.train_store.samples),
        "torch": str(torch.__version__),
        "device": describe_device(data.device),
        "processes": ranks.count,
    }


def check_same(now: dict[str, Any], checkpoint: Checkpoint) -> list[str]:
    """Compares a run with what it was, and says what keeps its numbers from being the same to the last bit.

    Args:
        now: the run's identity.
        checkpoint: has the one before.

    Raises:
        InputError: the data have changed.
    """
    then, path = checkpoint.content, checkpoint.path
    if now["data"] != then["data"]:
        raise InputError(
            f"{now['config']['data']}: has changed since {path} was written: {then['images']} training images then, "
            f"{now['images']} now, or other boxes, classes or names. A run goes on with the data it began with: "
            f"restore them, or start a new run from its weights: --weights {path.parent / 'last.safetensors'}"
        )
    before = then.get("processes", 1)
    changed = [f"{before} processes, now on {now['processes']}"] if now["processes"] != before else []
    changed += [f"{name} {then[name]}, now on {now[name]}" for name in ("device", "torch") if now[name] != then[name]]
    return [f"The run was on {change}: it goes on where it was, but may round otherwise." for change in changed]


def planned(plan: TrainingPlan) -> dict[str, Any]:
    """What of a plan a checkpoint holds: what more epochs would choose anew."""
    return {"plan": {"optimizer": asdict(plan.optimizer), "warmup": plan.warmup}}


def as_planned(plan: TrainingPlan, checkpoint: Checkpoint) -> TrainingPlan:
    """A plan with the optimizer and the warmup that a run began with."""
    kept = checkpoint.content["plan"]
    return replace(plan, optimizer=OptimizerChoice(**kept["optimizer"]), warmup=kept["warmup"])


def restore(state: TrainState, plan: TrainingPlan, resumption: Resumption) -> list[str]:
    """Takes up the state of a run that goes on; what the user should know, a line each.

    Args:
        state: that of a new run; becomes that of the checkpoint, if there is one.
        plan: rates of every step, for the epochs that the run has now.
        resumption: where it goes on.

    Raises:
        InputError: the checkpoint does not fit the run.
    """
    checkpoint, notes = resumption.checkpoint, list(resumption.notes)
    if checkpoint is None:
        return [*notes, "The run has no checkpoint yet: it begins again."]
    try:
        state.load_state_dict(checkpoint.content["state"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{checkpoint.path}: does not fit this run ({error}).") from None
    notes.append(f"Goes on from {checkpoint.path}: {checkpoint.position}.")
    device, precision = state.sums.losses.device, state.precision
    if (left := still_possible(precision, device)) is not precision:
        state.use_precision(left)
        notes.append(f"The run computed in {precision}, which does not work on {device}: now in {left}.")
    before, config = checkpoint.position.epochs, resumption.config
    if config.epochs != before:
        unstretched = replace(plan, epochs=before, schedule=build_schedule(plan.options, before))
        now, then = (each.at(state.step).lr_weights * state.recovery.lr_scale for each in (plan, unstretched))
        text = (
            f"{config.epochs} epochs instead of {before}: the schedule stretches, so the learning rate goes on at "
            f"{now:.3g} instead of {then:.3g}"
        )
        if config.augment.mosaic > 0 and config.augment.close_mosaic > 0:
            text += f", and mosaic is closed for the last {config.augment.close_mosaic} of these epochs"
        notes.append(f"{text}.")
    return notes
