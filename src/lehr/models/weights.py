"""Weights in and out: safetensors, which can hold numbers and text and nothing that runs.

The metadata holds what is needed to use the weights: the model's name and scale, class names, image size, anchors and
metrics.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lehr.errors import InputError
from lehr.models.build import anchor_head, build_model
from lehr.models.class_rows import ClassTransfer, carry_classes
from lehr.models.detection import DetectionModel
from lehr.models.family import is_model
from lehr.models.foreign_weights import ENDING, PICKLED, STATE, describe_foreign
from lehr.runtime.atomic_write import atomic_file
from lehr.technique import Section, State, Switch, Technique

FORMAT = "lehr-1"


def save_weights(model: DetectionModel, path: Path, details: Mapping[str, Any] | None = None) -> None:
    """Write a model's weights; the file appears whole or not at all.

    Args:
        model: the model; its weights are written as float32.
        path: the file, a `.safetensors` name.
        details: more metadata that JSON can hold, e.g. metrics.

    Raises:
        InputError: the file cannot be written.
    """
    write_weights(encode_weights(model.state_dict(), describe_model(model, details)), path)


def describe_model(model: DetectionModel, details: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The metadata of a model's weights file.

    Args:
        model: the model.
        details: more that JSON can hold, e.g. metrics.
    """
    head = anchor_head(model)
    return {
        "format": FORMAT,
        "model": model.variant,
        "names": json.dumps(model.names),
        "imgsz": str(model.imgsz),
        "depth": str(model.scale.depth),
        "width": str(model.scale.width),
        **({} if head is None else {"anchors": json.dumps(_rounded(head.pixel_anchors))}),
        **{name: json.dumps(value) for name, value in (details or {}).items()},
    }


def encode_weights(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[bytes | memoryview, ...]:
    """The bytes of a weights file, in parts; the same content gives the same bytes.

    Args:
        tensors: by name, on any device.
        metadata: text by name.
    """
    return _in_order(save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, dict(metadata)))


def write_weights(encoded: Sequence[bytes | memoryview], path: Path) -> None:
    """Write a weights file; it appears whole or not at all.

    Args:
        encoded: its parts.
        path: the file, a `.safetensors` name.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_file(path, "Make room, or choose another --project.") as temporary, temporary.open("wb") as file:
        for part in encoded:
            file.write(part)


def _in_order(encoded: bytes) -> tuple[bytes | memoryview, ...]:
    """A safetensors file with its metadata sorted by name: the library writes it in an order of chance."""
    end = 8 + int.from_bytes(encoded[:8], "little")
    header = json.loads(encoded[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at multiples of 8
    return len(text).to_bytes(8, "little"), text, memoryview(encoded)[end:]


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a weights file.

    Raises:
        InputError: the file is missing, is no safetensors file, is cut off, or was not written by Lehr.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError):
        raise InputError(f"{path}: {describe_foreign(path)}") from None
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path}: has no Lehr metadata, so model and classes are unknown. Give weights that Lehr saved."
        )
    return dict(metadata)


def names_weights(text: str | Path) -> bool:
    """Tell whether a text names a file of weights rather than a model: by its ending, or by a folder in it."""
    path = Path(text)
    return isinstance(text, Path) or path.suffix.lower() in (ENDING, STATE, *PICKLED) or path.name != text


def load_model(path: Path, device: torch.device | None = None) -> DetectionModel:
    """The model of a weights file, in eval mode.

    Args:
        path: a file written by `save_weights`.
        device: where to put it; None for the CPU.

    Raises:
        InputError: the file is missing, damaged, or does not fit the model it names.
    """
    metadata = read_metadata(path)
    try:
        names = tuple(map(str, json.loads(metadata["names"])))
        imgsz = int(metadata["imgsz"])
        depth, width = (float(metadata[key]) if key in metadata else None for key in ("depth", "width"))
        anchors = len(json.loads(metadata["anchors"])[0]) if "anchors" in metadata else 3
        variant = metadata["model"]
    except (KeyError, ValueError, TypeError, IndexError):
        raise InputError(
            f"{path}: its metadata are damaged, so model and classes are unknown. Give weights as Lehr saved them."
        ) from None
    if not is_model(variant):
        raise InputError(f"{path}: is of the model '{variant}', which is not here. Install the package that adds it.")
    model = build_model(variant, names, imgsz, depth=depth, width=width, anchors=anchors)
    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path}: does not fit {variant}: {error}") from None
    return model.to(device or torch.device("cpu")).eval()


@dataclass(frozen=True, slots=True)
class Transfer:
    """Outcome of a transfer of weights.

    Attributes:
        taken: tensors copied.
        total: tensors of the model.
        anchors: whether the anchors are among them.
        source: the model that the weights are of, for people.
        classes: which classes start from the weights.
    """

    taken: int
    total: int
    anchors: bool
    source: str
    classes: ClassTransfer


def take_fitting_weights(model: DetectionModel, path: Path) -> Transfer:
    """Copy the tensors of a weights file whose name and shape fit into a model, as a start for new classes.

    The others keep the values that the model was built with. Of the class layers, rows of classes of the same name are
    copied.

    Raises:
        InputError: the file is missing or damaged.
    """
    metadata = read_metadata(path)
    state = model.state_dict()
    with safe_open(path, framework="pt") as file:
        given = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    fitting = {name: value for name, value in given.items() if name in state and state[name].shape == value.shape}
    classes, layers = carry_classes(model, given, _class_names(metadata))
    fitting |= {name: value for name, value in layers.items() if value is not None}
    for name in [name for name, value in layers.items() if value is None]:
        fitting.pop(name, None)
    model.load_state_dict({**state, **fitting})
    anchors = any(name.endswith(".anchors") for name in fitting)
    scale = "".join(f", {key} {metadata[key]}" for key in ("depth", "width") if key in metadata)
    return Transfer(len(fitting), len(state), anchors, metadata["model"] + scale, classes)


def _class_names(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """The class names of a weights file; None where it has none."""
    try:
        names = json.loads(metadata.get("names", "null"))
    except ValueError:
        return None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def _rounded(anchors: Tensor) -> list[list[list[float]]]:
    """Anchors as people read them; the exact ones are among the tensors."""
    return [[[round(side, 2) for side in anchor] for anchor in level] for level in anchors.tolist()]


TECHNIQUE = Technique(
    name="pretrained start",
    page="pretrained-start",
    section=Section.MODEL,
    order=10,
    options=("weights",),
    why="features learned elsewhere need fewer images here",
    state=lambda run: State(run.config.model.weights is not None, str(run.config.model.weights)),
    switches=(Switch("pretrained_start", {"weights": ...}, {"weights": None}, aliases=("weights",)),),
    turn_on="--weights FILE",
)
