"""Weights in and out: safetensors, which can hold numbers and text and nothing that runs.

The metadata holds what is needed to use the weights: the model's name and scale, class names, image size, anchors and
metrics.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from lehr.errors import InputError
from lehr.models.build import anchor_head, build_model, tensor_shapes
from lehr.models.class_rows import ClassTransfer, carry_classes
from lehr.models.detection import DetectionModel
from lehr.models.family import is_model
from lehr.models.foreign_weights import ENDING, PICKLED, STATE, describe_foreign
from lehr.models.tensor_file import DamagedTensors, Header, read_header, read_tensors
from lehr.models.weights_metadata import WeightsMetadata, parse_metadata
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
    """Metadata of a weights file, as text; those that a model is built of are checked.

    Raises:
        InputError: the file is missing, is no safetensors file, is cut off, was not written by Lehr, or its metadata
            are damaged.
    """
    return _opened(path)[0].metadata


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
    header, details = _opened(path)
    if not is_model(details.model):
        raise InputError(
            f"{path}: is of the model '{details.model}', which is not here. Install the package that adds it."
        )
    names, imgsz = details.names, details.imgsz
    if names is None or imgsz is None:
        raise _damaged_metadata(path, "'names' is no list of class names" if names is None else "'imgsz' is missing")
    depth, width, anchors = details.depth, details.width, details.anchors_a_level
    shapes = tensor_shapes(details.model, names, depth=depth, width=width, anchors=anchors)
    given = {name: tensor.shape for name, tensor in header.tensors.items()}
    if shapes is not None and shapes != given:  # before memory is taken for a model that the file does not hold
        raise InputError(f"{path}: does not fit {details.model}: {_difference(shapes, given)}.")
    model = build_model(details.model, names, imgsz, depth=depth, width=width, anchors=anchors)
    tensors = _read(path, header, header.tensors)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise InputError(
                f"{path}: {name} holds numbers that are not finite, as of a training that diverged. Give other weights."
            )
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{path}: does not fit {details.model}: {error}") from None
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
    header, details = _opened(path)
    state, prefix = model.state_dict(), f"model.{len(model.model) - 1}."
    fits = {name for name, each in header.tensors.items() if name in state and state[name].shape == each.shape}
    classes_there = len(details.names or model.names)
    of_classes = {prefix + name: len(rows) for name, rows in model.head.class_rows(classes_there).items()}
    wanted = {
        name
        for name, rows in of_classes.items()
        if name in header.tensors and header.tensors[name].shape == (rows, *state[name].shape[1:])
    }
    given = _read(path, header, fits | wanted)
    fitting = {name: value for name, value in given.items() if name in fits}
    classes, layers = carry_classes(model, given, details.names)
    fitting |= {name: value for name, value in layers.items() if value is not None}
    for name in [name for name, value in layers.items() if value is None]:
        fitting.pop(name, None)
    model.load_state_dict({**state, **fitting})
    anchors = any(name.endswith(".anchors") for name in fitting)
    factors = (("depth", details.depth), ("width", details.width))
    scale = "".join(f", {key} {value}" for key, value in factors if value is not None)
    return Transfer(len(fitting), len(state), anchors, details.model + scale, classes)


def _opened(path: Path) -> tuple[Header, WeightsMetadata]:
    """The header of a weights file and its metadata, checked.

    Raises:
        InputError: it is missing, is no safetensors file, is cut off, or its metadata are missing or damaged.
    """
    try:
        header = read_header(path)
    except (DamagedTensors, OSError):
        raise InputError(f"{path}: {describe_foreign(path)}") from None
    if header.metadata.get("format") != FORMAT:
        raise InputError(
            f"{path}: has no Lehr metadata, so model and classes are unknown. Give weights that Lehr saved."
        )
    try:
        return header, parse_metadata(header.metadata)
    except ValueError as error:
        raise _damaged_metadata(path, str(error)) from None


def _damaged_metadata(path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: its metadata are damaged, so model and classes are unknown: {what}. Give weights as Lehr saved them."
    )


def _read(path: Path, header: Header, names: Iterable[str]) -> dict[str, Tensor]:
    """Tensors of a weights file.

    Raises:
        InputError: the file has changed since its header was read, or cannot be read.
    """
    try:
        return read_tensors(path, header, names)
    except DamagedTensors as error:
        raise InputError(f"{path}: is damaged ({error}). Copy it again.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None


def _difference(own: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]]) -> str:
    """Say in what the tensors of a file are not those of a model."""
    missing = [name for name in own if name not in given]
    if missing:
        return f"it lacks {len(missing)} of its {len(own)} tensors, such as {missing[0]}"
    other = next((name for name in own if own[name] != given[name]), None)
    if other is not None:
        return f"{other} is {list(given[other])} and must be {list(own[other])}"
    more = next(name for name in given if name not in own)
    return f"it has more tensors than the model, such as {more[:100]}"


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
