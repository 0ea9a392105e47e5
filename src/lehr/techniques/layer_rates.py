"""Layer-wise learning rates: the backbone's layers learn at a multiple of the rates of the others.

A backbone that starts from weights already knows edges, textures and parts; small steps keep them while the layers
after it learn the new classes at full rate. All three rates of the backbone (weights, norms, biases) are multiplied,
warmup and schedule included. Lower rates for lower layers: Howard & Ruder, "Universal Language Model Fine-tuning for
Text Classification", 2018. A tenth of the rate for a detector's backbone: Carion et al., "End-to-End Object Detection
with Transformers", 2020.
"""

from __future__ import annotations

from lehr.errors import InputError
from lehr.models.detection import DetectionModel
from lehr.plugins import resolve
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique


def backbone_parameters(model: DetectionModel) -> set[str]:
    """Names of the parameters of the backbone's layers.

    Args:
        model: of a family that declares which of its layers are the backbone.

    Raises:
        InputError: it does not declare them.
    """
    if not model.backbone_layers:
        raise InputError(
            f"--backbone-lr-mult: {model.variant} does not declare which layers are its backbone. Omit the option, or "
            "set backbone_layers in its class."
        )
    layers = tuple(f"model.{layer}." for layer in range(model.backbone_layers))
    return {name for name, _ in model.named_parameters() if name.startswith(layers)}


def describe_backbone(model: DetectionModel, multiple: float) -> str:
    """Describe in one line which part of the backbone is trained at a multiple of the rates.

    Args:
        model: with its frozen layers, if any.
        multiple: of the learning rates.

    Raises:
        InputError: the model does not declare which layers are its backbone.
    """
    names = backbone_parameters(model)
    trained = sum(parameter.requires_grad for name, parameter in model.named_parameters() if name in names)
    if not trained:
        return f"--backbone-lr-mult {multiple:g} has no effect: --freeze freezes the whole backbone."
    layers = f"layers 0 to {model.backbone_layers - 1}"
    return f"Backbone ({layers}): {trained} parameters learn at {multiple:g} times the rates (--backbone-lr-mult)."


def _without_effect(run: Run) -> dict[str, NoEffect]:
    """No effect if every layer of the backbone is frozen by number or as a whole."""
    model, build = run.config.model, resolve(run.config.family.build)
    layers = getattr(build, "backbone_layers", 0)
    if model.freeze is None or not layers:
        return {}
    words = {word.strip() for word in model.freeze.split(",") if word.strip()}
    count = int(next(iter(words))) if len(words) == 1 and model.freeze.strip(" ,").isdigit() else 0
    if count < layers and not {f"model.{layer}" for layer in range(layers)} <= words:
        return {}
    return {"backbone_lr_mult": NoEffect("--freeze freezes the whole backbone")}


def _state(run: Run) -> State:
    multiple, rate = run.plan.options.backbone_lr_mult, run.plan.optimizer.lr0
    return State(multiple != 1, f"the backbone learns at {multiple:g} times the rates, from {multiple * rate:g}")


TECHNIQUE = Technique(
    name="layer-wise learning rates",
    page="layer-wise-rates",
    section=Section.COURSE,
    order=35,
    options=("backbone_lr_mult",),
    without_effect=_without_effect,
    why="small steps keep what the backbone's weights already know",
    state=_state,
    switches=(Switch("backbone_lr", {"backbone_lr_mult": 0.1}, {"backbone_lr_mult": 1.0}),),
    code=("techniques/optimizer.py",),
)
