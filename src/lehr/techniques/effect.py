"""Options without effect in a run, and why.

Each technique declares this for its own options (`Technique.without_effect`), the model's family for those that its
loss lacks; the rules for options that belong to no technique are here. Runs whose options with an effect are the same
are the same run.
"""

from __future__ import annotations

from typing import Any

from lehr.augment.mosaic import closed_epochs
from lehr.data.difficult import has_difficult
from lehr.distributed.process_count import trains_together
from lehr.errors import InputError
from lehr.losses.without_effect import gain, gains_without_effect
from lehr.models.family import ANCHOR_OPTIONS
from lehr.runtime.device import pick_device
from lehr.technique import NoEffect, Run, once_a_split, training_samples
from lehr.techniques.catalog import techniques
from lehr.techniques.multi_scale import sizes_of
from lehr.techniques.partner_window import windows_of
from lehr.techniques.replay import replayed_images
from lehr.techniques.schedule import course

SUMMED_UP = ("cos_lr", "lrf", "lr0_mult", "restart_epochs", "restart_factor", "grid_min", "grid_max")
"""Options that only set values of others, as `effective_options` has them."""


_has_difficult = once_a_split(has_difficult)


def without_effect(run: Run) -> dict[str, NoEffect]:
    """Return the options without effect in a planned run, by flat name, and why.

    Args:
        run: its data set is read if an enabled option depends on it.
    """
    config, model, family = run.config, run.config.model.model, run.config.family
    found: dict[str, NoEffect] = {}
    for technique in techniques():
        if technique.suits(family):
            found |= technique.without_effect(run)
        else:
            found |= dict.fromkeys(technique.options, NoEffect(f"it needs {technique.family}"))
    found |= gains_without_effect(run) | _of_devices(run)
    samples = training_samples(run) if config.data.difficult == "ignore" else None
    if samples is not None and not _has_difficult(samples):
        found["difficult"] = NoEffect("no object to train on is marked as difficult", acts_as="use")
    if not config.run.callback:
        found["strict_callbacks"] = NoEffect("no --callback is given")
    for name in family.without_effect:
        if (name in ANCHOR_OPTIONS) == family.anchors:
            found[name] = NoEffect(f"the loss of {model} does not have it")
        else:
            found[name] = NoEffect(f"{model} has {'anchors' if family.anchors else 'no anchors'}")
    return found


def effective_options(run: Run) -> dict[str, Any]:
    """Return what determines a planned run: the resolved values of its options, normalized for those without effect.

    Args:
        run: the run.
    """
    config, plan, choice = run.config, run.plan, run.plan.optimizer
    options = config.flat() | {
        "optimizer": choice.name,
        "lr0": choice.lr0,
        "momentum": choice.momentum,
        "weight_decay": plan.weight_decay,
        "nominal_batch": choice.nominal_batch,
        "warmup_epochs": plan.warmup,
        "warmup_bias_lr": choice.warmup_bias_lr,
        "ema_tau": plan.ema_tau,
        "epochs": plan.epochs,
        "imgsz": config.imgsz,
        "multi_scale": sizes_of(config),
        "replay": replayed_images(config.batch, config.data.replay),
        "close_mosaic": closed_epochs(run),
        "partner_window": windows if (windows := windows_of(run)) > 1 else None,
        "box": gain(config, "box"),
        "cls": gain(config, "cls"),
    }
    options |= {name: found.acts_as for name, found in without_effect(run).items()}
    options["lr_schedule"] = course(config.schedule, plan.epochs)
    options["multi_scale"] = options["multi_scale"] or None
    if options["warmup"] == "none":
        options["warmup_epochs"] = None
    return {name: value for name, value in options.items() if name not in SUMMED_UP}


def _of_devices(run: Run) -> dict[str, NoEffect]:
    """Device options without effect on the run's devices; none if the run is for another machine."""
    devices = run.config.devices
    found: dict[str, NoEffect] = {}
    if not trains_together(devices):
        found = dict.fromkeys(("restarts", "timeout"), NoEffect("one process trains"))
    if run.config.run.deterministic:
        try:
            kind = pick_device(devices.device.split(",")[0]).type
        except InputError:
            return found
        if kind != "cuda":
            why = "a CPU is deterministic without it" if kind == "cpu" else f"nothing of {kind} can be made to repeat"
            found["deterministic"] = NoEffect(why, acts_as=False)
    return found
