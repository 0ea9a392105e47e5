"""Freezing: layers that stay unchanged, for fine-tuning on few images (Yosinski et al., "How transferable are
features", 2014).

Frozen parameters get no gradient and are not in the optimizer. Frozen BatchNorm keeps its statistics too: it normalizes
with what it learned before instead of with the batch, and does not move its averages.
"""

from __future__ import annotations

from torch import nn

from lehr.errors import InputError, did_you_mean
from lehr.models.detection import DetectionModel
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique


def freeze(model: DetectionModel, layers: str) -> int:
    """Freeze layers of a model.

    Args:
        model: the model.
        layers: the count of first layers, e.g. "10", or names of layers or parameters, e.g. "model.0,model.4.cv1".

    Returns:
        Number of frozen parameters (tensors).

    Raises:
        InputError: there is no such layer, or nothing is left to train.
    """
    prefixes = frozen_prefixes(model, layers)
    frozen = [p for name, p in model.named_parameters() if name.startswith(prefixes)]
    for parameter in frozen:
        parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"--freeze {layers}: freezes the whole {model.variant}, so nothing is left to train.")
    return len(frozen)


def frozen_prefixes(model: DetectionModel, layers: str) -> tuple[str, ...]:
    """Prefixes of the names of the parameters to freeze.

    Args:
        model: the model.
        layers: as in `freeze`.

    Raises:
        InputError: there is no such layer.
    """
    words = [name.strip() for name in layers.split(",") if name.strip()]
    if len(words) == 1 and words[0].isdigit():
        count = int(words[0])
        if count > len(model.model):
            raise InputError(f"--freeze {count}: {model.variant} has {len(model.model)} layers.")
        return tuple(f"model.{layer}." for layer in range(count))
    known = {name for name, _ in model.named_modules()} | {name for name, _ in model.named_parameters()}
    for name in words:
        if name not in known:
            raise InputError(f"--freeze {name}: {model.variant} has no such layer. {did_you_mean(name, known - {''})}")
    parameters = {name for name, _ in model.named_parameters()}
    return tuple(name if name in parameters else f"{name}." for name in words)


def freeze_bn_stats(model: nn.Module) -> None:
    """Put frozen BatchNorm layers into eval mode, so that they keep their statistics; after each `model.train()`."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
            module.eval()


def _without_effect(run: Run) -> dict[str, NoEffect]:
    layers = run.config.model.freeze
    return {} if layers is None or layers.strip(" 0,") else {"freeze": NoEffect("it names no layer")}


TECHNIQUE = Technique(
    name="freezing",
    page="freezing",
    section=Section.MODEL,
    order=20,
    options=("freeze",),
    without_effect=_without_effect,
    why="learned features cannot be spoilt, and need no gradient",
    state=lambda run: State(run.config.model.freeze is not None, run.config.model.freeze or ""),
    switches=(Switch("freezing", {"freeze": ...}, {"freeze": None}, aliases=("freeze",), in_all=False),),
    turn_on="--freeze 10",
)
