"""Compatibility of a saved training state with a run: tensors must have the shapes that the next step needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lehr.runtime.counted import counted

MOMENTS = {
    "SGD": (),
    "Adam": ("step", "exp_avg", "exp_avg_sq"),
    "AdamW": ("step", "exp_avg", "exp_avg_sq"),
    "RMSprop": ("step", "square_avg"),
    "NAdam": ("step", "exp_avg", "exp_avg_sq", "mu_product"),
    "RAdam": ("step", "exp_avg", "exp_avg_sq"),
}
"""State per parameter that torch's optimizers require."""
SCALARS = ("step", "mu_product")
FIXED = ("name", "maximize", "amsgrad", "nesterov", "differentiable", "centered")
"""Values of a parameter group that are constant over the run, if both have them."""
NUMBERS = ("lr", "momentum", "weight_decay", "lr_mult", "dampening", "eps", "alpha", "momentum_decay")
SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}


def check_tensors(what: str, saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Check that saved tensors have the names and shapes of a run's own.

    Raises:
        ValueError: they differ; names the first difference.
    """
    missing = [name for name in own if name not in saved]
    if missing:
        raise ValueError(f"its {what} lack {len(missing)} of {counted(len(own), 'tensor')}, such as {missing[0]}")
    more = [name for name in saved if name not in own]
    if more:
        raise ValueError(f"its {what} have {counted(len(more), 'tensor')} too many, such as {more[0][:100]}")
    for name, tensor in own.items():
        if saved[name].shape != tensor.shape:
            raise ValueError(f"{name} of its {what} is {list(saved[name].shape)} and must be {list(tensor.shape)}")


def check_optimizer(saved: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Check that an optimizer can resume from a saved state.

    Args:
        saved: its `state_dict`, of the types that a checkpoint has.
        optimizer: that of the run, not yet used.

    Raises:
        ValueError: the state belongs to another optimizer, or to other parameters.
    """
    groups: Sequence[Mapping[str, Any]] = saved["param_groups"]
    if len(groups) != len(optimizer.param_groups):
        raise ValueError(
            f"its optimizer has {counted(len(groups), 'group')} of parameters, not {len(optimizer.param_groups)}"
        )
    parameters: list[Tensor] = []
    for group, own in zip(groups, optimizer.param_groups, strict=True):
        first = len(parameters)
        parameters += own["params"]
        if group.get("params") != list(range(first, len(parameters))):
            raise ValueError("its optimizer has other parameters")
        _check_group(group, own)
    kind = type(optimizer).__name__
    for number, moments in saved["state"].items():
        if not 0 <= number < len(parameters) or any(name not in moments for name in MOMENTS.get(kind, ())):
            raise ValueError(f"its optimizer is not {kind}")
        for name, value in moments.items():
            shape = torch.Size() if name in SCALARS else parameters[number].shape
            fits = value.shape == shape if isinstance(value, Tensor) else name in SCALARS or value is None
            if not fits:
                raise ValueError(f"{name} of its optimizer has a different shape from the parameter")


def check_gradients(saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Check that gradients have the shapes and types of their parameters.

    Raises:
        ValueError: one does not.
    """
    for name in saved.keys() & own.keys():
        if saved[name].shape != own[name].shape or saved[name].dtype != own[name].dtype:
            raise ValueError(f"the gradient of {name} has another shape or type than the parameter")


def check_scaler(saved: Mapping[str, Tensor | float] | None) -> None:
    """Check the state of a loss scaler.

    Raises:
        ValueError: a value is missing or invalid.
    """
    if saved is None or not saved.keys() >= SCALER:
        raise ValueError("the scale of its loss is missing")
    values = {name: saved[name] for name in SCALER}
    if any(value.numel() != 1 or value.is_complex() for value in values.values() if isinstance(value, Tensor)):
        raise ValueError("the scale of its loss is not a number")
    scale, growth, backoff = (float(values[name]) for name in ("scale", "growth_factor", "backoff_factor"))
    if not (0 < scale < float("inf") and 1 < growth < float("inf") and 0 < backoff < 1):
        raise ValueError("the scale of its loss is invalid")
    if type(values["growth_interval"]) is not int or values["growth_interval"] < 1:
        raise ValueError("the scale of its loss never grows")


def _check_group(group: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Check the values of a group of parameters.

    Raises:
        ValueError: a value is missing, invalid, or not that of the run.
    """
    for name, value in group.items():
        if name == "params" or name not in own:
            continue
        if name in FIXED:
            fits = value == own[name]
        elif name in NUMBERS:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        elif name == "betas":
            fits = isinstance(value, tuple) and len(value) == 2 and all(isinstance(each, float) for each in value)
        else:  # foreach, fused, decoupled_weight_decay: how the step is computed
            fits = value is None or isinstance(value, bool)
        if not fits:
            raise ValueError(f"{name} of its optimizer is {str(value)[:40]!r}")
    if group.get("foreach") and group.get("fused"):
        raise ValueError("its optimizer sets contradictory ways of computing")
    needed = ("lr", "momentum", "betas", "name", "weight_decay")
    missing = [name for name in needed if name in own and name not in group]
    if missing:
        raise ValueError(f"{missing[0]} of its optimizer is missing")
