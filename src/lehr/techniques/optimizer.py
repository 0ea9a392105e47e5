"""Optimizers in three parameter groups: weights, which decay, and norms and biases, which do not.

Decay pulls weights towards zero; on normalization scales and biases it only hurts (Jia et al., 2018). Each group has a
rate of its own in the warmup. The optimizers are torch's, fused into one operation where the device has that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

GROUP_NAMES = ("weights", "norms", "biases")
AUTO_SGD_ITERATIONS = 10_000


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """An optimizer with its values.

    Attributes:
        name: SGD or AdamW.
        lr0: learning rate after the warmup.
        momentum: SGD's momentum or AdamW's beta1.
        warmup_bias_lr: the biases' rate at the start of the warmup.
    """

    name: str
    lr0: float
    momentum: float
    warmup_bias_lr: float


def choose_optimizer(
    name: str,
    *,
    classes: int,
    iterations: int,
    lr0: float | None = None,
    momentum: float | None = None,
    warmup_bias_lr: float | None = None,
) -> OptimizerChoice:
    """What the options mean: `auto` resolved, and values that were not given filled in.

    `auto` takes SGD (0.01, momentum 0.9) above 10,000 iterations, else AdamW with rate `0.002 * 5 / (4 + classes)`:
    short runs have no time for SGD's slow start. A value that was given always wins. AdamW's steps do not grow with
    the gradient, so its biases start at rate 0 instead of SGD's 0.1.

    Args:
        name: auto, SGD or AdamW.
        classes: number of classes.
        iterations: batches of the whole run.
        lr0: rate asked for, or None.
        momentum: momentum asked for, or None.
        warmup_bias_lr: rate asked for, or None.
    """
    default_momentum = 0.9 if name == "auto" else 0.937
    if name == "auto":
        name = "SGD" if iterations > AUTO_SGD_ITERATIONS else "AdamW"
    default_lr0 = 0.01 if name == "SGD" else round(0.002 * 5 / (4 + classes), 6)
    default_bias = 0.1 if name == "SGD" else 0.0
    return OptimizerChoice(
        name,
        default_lr0 if lr0 is None else lr0,
        default_momentum if momentum is None else momentum,
        default_bias if warmup_bias_lr is None else warmup_bias_lr,
    )


def parameter_groups(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trainable parameters as weights, norms (BatchNorm scales) and biases (of convolutions and norms)."""
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in GROUP_NAMES}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            if name == "bias":
                groups["biases"].append(parameter)
            elif isinstance(module, nn.BatchNorm2d):
                groups["norms"].append(parameter)
            else:
                groups["weights"].append(parameter)
    return groups


def build_optimizer(model: nn.Module, choice: OptimizerChoice, weight_decay: float) -> torch.optim.Optimizer:
    """torch's optimizer over the three groups, in the order of `GROUP_NAMES`.

    Args:
        model: its trainable parameters are taken.
        choice: which optimizer, and its values.
        weight_decay: decay of the weights; norms and biases do not decay.
    """
    groups = parameter_groups(model)
    parameters = [
        {"params": groups[name], "name": name, "weight_decay": weight_decay if name == "weights" else 0.0}
        for name in GROUP_NAMES
    ]
    device = next(model.parameters()).device.type
    fused = device in ("cpu", "cuda", "mps")
    if choice.name == "SGD":
        return torch.optim.SGD(parameters, lr=choice.lr0, momentum=choice.momentum, nesterov=True, fused=fused)
    return torch.optim.AdamW(parameters, lr=choice.lr0, betas=(choice.momentum, 0.999), fused=fused)


def set_rates(optimizer: torch.optim.Optimizer, rates: tuple[float, float, float], momentum: float) -> None:
    """Sets each group's learning rate, in the order of `GROUP_NAMES`, and the momentum of all."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        else:
            group["momentum"] = momentum
