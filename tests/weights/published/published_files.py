"""Checkpoints in the form of the published trainers, written from models of Lehr's.

Classes of the names that these trainers save exist only while a file is written: they hold attributes and do nothing.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lehr.models import blocks
from lehr.models.anchor_head import AnchorHead
from lehr.models.detection import DetectionModel
from lehr.models.dfl_head import DFL, DFLHead
from lehr.models.family import find_family
from lehr.weights.published.architecture import INPUTS

CLASSES: dict[str, dict[type[nn.Module], str]] = {
    "ultralytics": {
        DetectionModel: "ultralytics.nn.tasks.DetectionModel",
        blocks.Conv: "ultralytics.nn.modules.conv.Conv",
        blocks.C2f: "ultralytics.nn.modules.block.C2f",
        blocks.Bottleneck: "ultralytics.nn.modules.block.Bottleneck",
        blocks.SPPF: "ultralytics.nn.modules.block.SPPF",
        blocks.Concat: "ultralytics.nn.modules.conv.Concat",
        DFLHead: "ultralytics.nn.modules.head.Detect",
        DFL: "ultralytics.nn.modules.block.DFL",
    },
    "models": {
        DetectionModel: "models.yolo.DetectionModel",
        blocks.Conv: "models.common.Conv",
        blocks.C3: "models.common.C3",
        blocks.Bottleneck: "models.common.Bottleneck",
        blocks.SPP: "models.common.SPP",
        blocks.SPPF: "models.common.SPPF",
        blocks.Concat: "models.common.Concat",
        AnchorHead: "models.yolo.Detect",
    },
}
"""The classes that the published trainers save the layers as."""
KEPT = {"add", "c", "i", "f", "np", "type", "nc", "nl", "na", "no", "reg_max", "stride", "inplace"}


@contextlib.contextmanager
def published_classes() -> Iterator[Callable[[str], type[nn.Module]]]:
    """Have classes of any name importable, each made where it is first asked for."""
    before = dict(sys.modules)

    def named(name: str) -> type[nn.Module]:
        package, _, own = name.rpartition(".")
        for end in range(1, len(parts := package.split(".")) + 1):
            module = sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        if not hasattr(module, own):
            setattr(module, own, type(own, (nn.Module,), {"__module__": package}))
        made: type[nn.Module] = getattr(module, own)
        return made

    try:
        yield named
    finally:
        for name in set(sys.modules) - set(before):
            if name.split(".")[0] in ("ultralytics", "models"):
                del sys.modules[name]


def published_module(
    model: DetectionModel,
    named: Callable[[str], type[nn.Module]],
    *,
    names: Any = None,
    half: bool = True,
    change: Callable[[nn.Module], object] = lambda module: None,
    **attributes: Any,
) -> nn.Module:
    """A model as its trainer pickles it.

    Args:
        model: of Lehr's.
        named: gives a class by name.
        names: the class names; None for a dictionary of the model's.
        half: in float16.
        change: changes the module, e.g. a stride in it.
        attributes: further ones of the module.
    """
    family = find_family(model.variant).name
    package = "ultralytics" if family == "yolov8" else "models"
    classes = CLASSES[package]
    root = named(classes[DetectionModel])()
    layers = [_published(layer, classes, named) for layer in model.model]
    for index, layer in enumerate(layers):
        source = INPUTS[family].get(index, (index - 1,))
        relative = [-1 if each == index - 1 else each for each in source]
        if family == "yolov3" and index in (16, 23):
            relative = [-2]
        layer.i, layer.f = index, relative if len(relative) > 1 else relative[0]  # type: ignore[assignment]
        layer.type = type(layer).__name__  # type: ignore[assignment]
    layers[-1].stride, layers[-1].nc = torch.tensor(model.strides).float(), len(model.names)  # type: ignore[assignment]
    root.model = nn.Sequential(*layers)
    root.names = dict(enumerate(model.names)) if names is None else names
    root.stride = torch.tensor(model.strides).float()  # type: ignore[assignment]
    root.yaml = {"nc": len(model.names)}  # type: ignore[assignment]
    for name, value in attributes.items():
        setattr(root, name, value)
    change(root)
    root = root.half() if half else root.float()
    return root.eval().requires_grad_(False)


def _published(
    layer: nn.Module, classes: dict[type[nn.Module], str], named: Callable[[str], type[nn.Module]]
) -> nn.Module:
    """A layer as its trainer has it: of the published class, with the settings and tensors of Lehr's."""
    plain = {nn.BatchNorm2d: nn.BatchNorm2d, nn.Upsample: nn.Upsample}
    base = next((kind for kind in plain if isinstance(layer, kind)), type(layer))
    kind = plain.get(base) or (named(classes[base]) if base in classes else base)
    made = nn.Module.__new__(kind)
    nn.Module.__init__(made)
    made.__dict__ |= {
        name: value
        for name, value in layer.__dict__.items()
        if not name.startswith("_") and (base not in classes or name in KEPT)
    }
    made._parameters = {
        name: None if p is None else nn.Parameter(p.detach().clone()) for name, p in layer._parameters.items()
    }
    left_out = layer._non_persistent_buffers_set
    made._buffers = {
        name: None if buffer is None else buffer.clone()
        for name, buffer in layer._buffers.items()
        if name not in left_out
    }
    for name, inner in layer._modules.items():
        made._modules[name] = None if inner is None else _published(inner, classes, named)
    return made


def write_published(
    path: Path,
    model: DetectionModel,
    *,
    ema: DetectionModel | None = None,
    entries: dict[str, Any] | None = None,
    wrap: Callable[[nn.Module], Any] | None = None,
    **options: Any,
) -> Path:
    """Write a checkpoint of the published form.

    Args:
        path: the file.
        model: of Lehr's; its weights are those of the checkpoint.
        ema: another one, as the average; None for a finished checkpoint, which has none.
        entries: further entries of the file, or others in place of the usual ones.
        wrap: makes the whole content of the module; None for the dictionary of the trainers.
        options: of `published_module`.
    """
    with published_classes() as named:
        module = published_module(model, named, **options)
        average = None if ema is None else published_module(ema, named, **options)
        arguments = "train_args" if find_family(model.variant).name == "yolov8" else "opt"
        content = {
            "epoch": -1 if ema is None else 11,
            "best_fitness": None,
            "model": module,
            "ema": average,
            "updates": None,
            "optimizer": None,
            arguments: {"imgsz": model.imgsz, "epochs": 20},
            "date": "2026-11-21T02:10:23",
            **(entries or {}),
        }
        torch.save(content if wrap is None else wrap(module), path)
    return path


def with_statistics(model: DetectionModel, seed: int = 0) -> DetectionModel:
    """Give a model BatchNorm statistics as a trained one has, none of them 0 or 1, exact in float16; it is changed."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            for tensor, low in ((module.running_mean, -0.5), (module.running_var, 0.5), (module.weight.data, 0.5)):
                tensor.copy_((torch.rand(tensor.shape, generator=generator) + low).half())
    return model.eval()
