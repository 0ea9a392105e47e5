"""A file that weights come from, opened: what it says of itself, the shapes of its tensors, and a way to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from lehr.errors import InputError
from lehr.weights.foreign import describe_foreign, is_exported, is_pickled
from lehr.weights.metadata import FORMAT, WeightsMetadata, parse_metadata
from lehr.weights.safetensors_file import DamagedTensors, Header, read_header
from lehr.weights.tensor_file import read_tensors

_opened: dict[tuple[str, int, int, int, int], WeightsSource] = {}
"""The checkpoint of another trainer that was opened last, by path and state: a start looks at it several times."""


class Tensors(Protocol):
    """Tensors that can be read from somewhere by name."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Their shapes by name."""

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Read tensors, each into memory of its own.

        Raises:
            InputError: they cannot be read any more.
        """


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """An opened file of weights.

    Attributes:
        path: the file.
        metadata: its metadata, as text.
        details: those that a model is built of, checked.
        tensors: its tensors.
        notes: what to know about a file of another trainer, one line each; nothing of one that Lehr wrote.
    """

    path: Path
    metadata: Mapping[str, str]
    details: WeightsMetadata
    tensors: Tensors
    notes: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of its tensors by name."""
        return self.tensors.shapes

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Read tensors, each into memory of its own.

        Raises:
            InputError: the file has changed since it was opened, or cannot be read.
        """
        return self.tensors.read(names)


@dataclass(frozen=True, slots=True)
class StoredTensors:
    """Tensors stored in a safetensors file.

    Attributes:
        path: the file.
        header: what lies where in it.
    """

    path: Path
    header: Header

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Their shapes by name."""
        return {name: tensor.shape for name, tensor in self.header.tensors.items()}

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Read tensors, each into memory of its own.

        Raises:
            InputError: the file has changed since it was opened, or cannot be read.
        """
        try:
            return read_tensors(self.path, self.header, names)
        except DamagedTensors as error:
            raise InputError(f"{self.path}: is damaged ({error}). Copy it again.") from None
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror}).") from None


@dataclass(frozen=True, slots=True)
class HeldTensors:
    """Tensors of a checkpoint of another trainer, held in memory in the type that they are stored in.

    Attributes:
        by_name: the tensors.
    """

    by_name: Mapping[str, Tensor]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Their shapes by name."""
        return {name: tuple(tensor.shape) for name, tensor in self.by_name.items()}

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Copy tensors, floating ones as float32."""
        return {name: as_stored(self.by_name[name]) for name in names}


def as_stored(tensor: Tensor) -> Tensor:
    """A copy of a tensor as a weights file holds it: contiguous, and in float32 where it is floating."""
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.to(dtype, copy=True, memory_format=torch.contiguous_format)


def open_weights(path: Path) -> WeightsSource:
    """Open a file of weights, of Lehr's or of a trainer of YOLOv5 or YOLOv8; its metadata are checked.

    A checkpoint of another trainer is read whole and predicts once, which takes about a second for the largest.

    Raises:
        InputError: it is missing, is none, is cut off, is of a model that Lehr does not have, or its metadata are
            missing or damaged.
    """
    try:
        header = read_header(path)
    except (DamagedTensors, OSError):
        if not (is_pickled(path) or is_exported(path)):
            raise InputError(f"{path}: {describe_foreign(path)}") from None
        return _open_published(path)
    if header.metadata.get("format") != FORMAT:
        raise InputError(
            f"{path}: has no Lehr metadata, so model and classes are unknown. Give weights that Lehr saved."
        )
    try:
        return WeightsSource(path, header.metadata, parse_metadata(header.metadata), StoredTensors(path, header))
    except ValueError as error:
        raise damaged_metadata(path, str(error)) from None


def release_weights() -> None:
    """Forget the checkpoint of another trainer that was opened last, and so give its memory back."""
    _opened.clear()


def _open_published(path: Path) -> WeightsSource:
    """Open a checkpoint of another trainer; the last one is kept for who opens it again, until `release_weights`."""
    from lehr.weights.published.checkpoint import read_checkpoint  # which few runs need

    status = path.stat()
    key = (str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if (kept := _opened.get(key)) is not None:
        return kept
    release_weights()
    checkpoint = read_checkpoint(path)
    summary = f"{checkpoint.summary}, read without running anything in it."
    notes = tuple(f"{path}: {line}" for line in (summary, *checkpoint.notes))
    details = parse_metadata(checkpoint.metadata)
    source = WeightsSource(path, checkpoint.metadata, details, HeldTensors(checkpoint.tensors), notes)
    _opened[key] = source
    return source


def damaged_metadata(path: Path, what: str) -> InputError:
    """The error of a file whose metadata cannot be used.

    Args:
        path: the file.
        what: what is wrong with them.
    """
    return InputError(
        f"{path}: its metadata are damaged, so model and classes are unknown: {what}. Give weights as Lehr saved them."
    )
