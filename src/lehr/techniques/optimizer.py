"""Optimizers in three parameter groups: weights, which decay, and norms and biases, which do not.

Decay pulls weights towards zero; on normalization scales and biases it only hurts (Jia et al., 2018). Each group has
its own rate in the warmup. If the backbone learns at a multiple of the rates, its parameters form three further groups.
The optimizers are torch's, fused into one operation where the device supports it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from lehr.techniques.auto import OptimizerChoice

GROUP_NAMES = ("weights", "norms", "biases")


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


def build_optimizer(
    model: nn.Module,
    choice: OptimizerChoice,
    weight_decay: float,
    slowed: Collection[str] = (),
    lr_mult: float = 1.0,
) -> torch.optim.Optimizer:
    """Build torch's optimizer over the three groups, in the order of `GROUP_NAMES`, and three for slowed parameters.

    Args:
        model: its trainable parameters are taken.
        choice: which optimizer, and its values.
        weight_decay: decay of the weights; norms and biases do not decay.
        slowed: names of parameters that learn at a multiple of the rates; without any there are three groups.
        lr_mult: that multiple.
    """
    groups = parameter_groups(model)
    apart = {
        id(parameter) for name, parameter in model.named_parameters() if name in slowed and parameter.requires_grad
    }
    parameters = [
        {
            "params": [parameter for parameter in groups[name] if (id(parameter) in apart) == is_apart],
            "name": name,
            "weight_decay": weight_decay if name == "weights" else 0.0,
            **({"lr_mult": lr_mult} if is_apart else {}),
        }
        for is_apart in ((False, True) if apart else (False,))
        for name in GROUP_NAMES
    ]
    device = next(model.parameters()).device.type
    fused = device in ("cpu", "cuda", "mps")
    # For those that are never fused: steps are counted on the device, for `non_finite.step_if_finite`.
    not_fused: dict[str, Any] = {"foreach": True, "capturable": device == "cuda"}
    betas = (choice.momentum, 0.999)
    match choice.name:
        case "SGD":
            return torch.optim.SGD(parameters, lr=choice.lr0, momentum=choice.momentum, nesterov=True, fused=fused)
        case "RMSProp":
            return torch.optim.RMSprop(parameters, lr=choice.lr0, momentum=choice.momentum, **not_fused)
        case "Adam":
            return torch.optim.Adam(parameters, lr=choice.lr0, betas=betas, fused=fused)
        case "AdamW":
            return torch.optim.AdamW(parameters, lr=choice.lr0, betas=betas, fused=fused)
        case "NAdam":
            return torch.optim.NAdam(parameters, lr=choice.lr0, betas=betas, **not_fused)
        case "RAdam":
            return torch.optim.RAdam(parameters, lr=choice.lr0, betas=betas, **not_fused)
    raise ValueError(f"no optimizer named {choice.name}")


def load_optimizer(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Load the state of an optimizer, possibly saved on another kind of device.

    Args:
        optimizer: from `build_optimizer`; the place of its step counters is kept.
        saved: its `state_dict`.

    Raises:
        KeyError, RuntimeError, TypeError, ValueError: it belongs to another optimizer.
    """
    pairs = zip(saved["param_groups"], optimizer.param_groups, strict=True)
    own = [{name: group[name] for name in ("capturable",) if name in group} for _, group in pairs]
    groups = [{**group, **kept} for group, kept in zip(saved["param_groups"], own, strict=True)]
    optimizer.load_state_dict({**saved, "param_groups": groups})


def set_rates(optimizer: torch.optim.Optimizer, rates: tuple[float, float, float], momentum: float) -> None:
    """Set the learning rate of each group, times its multiple if it has one, and the momentum of all.

    Args:
        optimizer: from `build_optimizer`.
        rates: in the order of `GROUP_NAMES`.
        momentum: momentum, or beta1 of the Adam family.
    """
    of_name = dict(zip(GROUP_NAMES, rates, strict=True))
    for group in optimizer.param_groups:
        group["lr"] = of_name[group["name"]] * group.get("lr_mult", 1.0)
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        else:
            group["momentum"] = momentum
