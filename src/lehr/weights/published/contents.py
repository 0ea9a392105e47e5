"""Weights within a checkpoint: the model that the trainer evaluates, its tensors by published names, its layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from lehr.runtime.plain_text import one_line
from lehr.weights.published.module_tree import inner_models, named_layers, tensors_of
from lehr.weights.published.stand_in import Refused, StandIn

AVERAGED = ("ema", "ema_state_dict", "ema_model", "model_ema")
"""Entries that hold the exponential moving average of the weights, which is what the published trainers evaluate."""
PLAIN = ("model", "state_dict", "model_state_dict", "weights", "net")
"""Entries that hold the weights themselves."""
PREFIX = re.compile(r"(?:(?:module|_orig_mod|model|ema)\.)*(?=\d+\.)")
"""Text before a layer's number in names of tensors."""
T = TypeVar("T")
SHOWN = 8
"""Entries of a file that a message names."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Weights as a checkpoint holds them.

    Attributes:
        tensors: by published names, `model.<layer>.`, as they are stored.
        layers: layers by path, "model.0.conv"; empty if the file holds tensors alone.
        models: the model and those that it wraps, innermost first; empty likewise.
        averaged: whether they are an exponential moving average.
        entries: the other entries of the file.
        exported: whether they are of an ONNX export, whose layers are its convolutions alone.
    """

    tensors: Mapping[str, Tensor]
    layers: Mapping[str, StandIn] = field(default_factory=dict)
    models: tuple[StandIn, ...] = ()
    averaged: bool = False
    entries: Mapping[Any, Any] = field(default_factory=dict)
    exported: bool = False


def find_weights(content: object) -> Contents:
    """Find the weights in what a file holds: its average if there is one, else the model, or tensors by name.

    Args:
        content: the file's content.

    Raises:
        Refused: there are none, or they are of no model whose layers are numbered.
    """
    if isinstance(content, StandIn):
        return _of_module(content, averaged=False, entries={})
    if not isinstance(content, dict):
        raise Refused(f"holds no model, but {_described(content)}.")
    for keys, averaged in ((AVERAGED, True), (PLAIN, False)):
        for key in keys:
            value = content.get(key)
            rest = {name: each for name, each in content.items() if name != key}
            if isinstance(value, StandIn):
                return _of_module(value, averaged or _is_finished(content), rest)
            if isinstance(value, dict) and _tensors(value):
                return Contents(numbered(_tensors(value)), averaged=averaged, entries=rest)
    own = _tensors(content)
    if any(_prefix(name) is not None for name in own):
        return Contents(numbered(own), entries={name: value for name, value in content.items() if name not in own})
    entries = ", ".join(one_line(str(name))[:40] for name in list(content)[:SHOWN]) or "nothing"
    raise Refused(f"holds no weights of a YOLO detector, whose layers are numbered; it holds {entries}.")


def _is_finished(content: Mapping[Any, Any]) -> bool:
    """Return whether a checkpoint is of a finished training, whose trainer puts the average in place of the model."""
    epoch = content.get("epoch")
    return "ema" in content and content["ema"] is None and type(epoch) is int and epoch < 0


def _of_module(root: StandIn, averaged: bool, entries: Mapping[Any, Any]) -> Contents:
    """The weights of a pickled model."""
    *outer, (path, numbered) = inner_models(root)
    layers = {f"model.{name}": layer for name, layer in named_layers(numbered).items() if name}
    if not any(name.split(".")[1].isdigit() for name in layers):
        raise Refused(
            f"holds a model of class {one_line(root.name)[:80]}, whose layers are not numbered as YOLO's are."
        )
    tensors = tensors_of(layers)
    for name in tensors_of(named_layers(root)) if outer else ():
        if path and not name.startswith(f"{path}."):
            raise Refused(f"holds a tensor outside of the layers of the model, {one_line(name)[:80]}.")
    return Contents(tensors, layers, (numbered, *(model for _, model in reversed(outer))), averaged, entries)


def is_numbered(name: str) -> bool:
    """Return whether a tensor's name begins with a layer's number, whatever precedes it."""
    return _prefix(name) is not None


def numbered(tensors: Mapping[str, T]) -> dict[str, T]:
    """Tensors by published names: with `model.` before the layer's number, whatever preceded it.

    Raises:
        Refused: the names have no numbers, or differ in what precedes these.
    """
    prefixes = {name: _prefix(name) for name in tensors}
    common = next((prefix for prefix in prefixes.values() if prefix is not None), None)
    if common is None:
        raise Refused(
            f"holds tensors, but not of a YOLO detector, whose layers are numbered; the first is "
            f"{one_line(next(iter(tensors)))[:80]}."
        )
    other = next((name for name, prefix in prefixes.items() if prefix != common), None)
    if other is not None:
        raise Refused(f"holds a tensor outside of the layers of the model, {one_line(other)[:80]}.")
    return {f"model.{name[len(common) :]}": tensor for name, tensor in tensors.items()}


def _prefix(name: str) -> str | None:
    found = PREFIX.match(name)
    return None if found is None else found[0]


def _tensors(table: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        name: value.detach() for name, value in table.items() if isinstance(name, str) and isinstance(value, Tensor)
    }


def _described(content: object) -> str:
    """Describe an object for a message."""
    if isinstance(content, Tensor):
        return "a single tensor"
    return f"a {type(content).__name__}" if content is not None else "nothing"
