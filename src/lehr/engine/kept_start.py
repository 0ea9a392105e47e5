"""The start of a run, kept in its folder: the model before the first step, if it came from weights.

A run that is killed before its first checkpoint restarts from this file with the same result, whatever happened to the
weights that it was given, and without reading them or fitting anchors again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from lehr.checkpoint.run_folder import START, refuse_link
from lehr.distributed.collectives import Ranks
from lehr.errors import InputError
from lehr.models.detection import DetectionModel
from lehr.runtime.reading import open_file
from lehr.weights.class_rows import ClassTransfer
from lehr.weights.source import open_weights
from lehr.weights.transfer import Transfer
from lehr.weights.write import save_weights

ORIGIN = "start"
"""Metadata key for the origin of the start."""


def is_kept(folder: Path, ranks: Ranks) -> bool:
    """Return whether a run's folder holds its start; rank 0 checks for all."""
    return ranks.broadcast_from_rank0(lambda: (folder / START).exists() or (folder / START).is_symlink())


def keep_start(folder: Path, model: DetectionModel, weights: Path, transfer: Transfer, ranks: Ranks) -> None:
    """Write the start of a run into its folder, on rank 0; the write is atomic.

    Args:
        folder: of the run.
        model: before the first step.
        weights: the file that it came from.
        transfer: the part of it that came from there.
        ranks: the processes that train together.

    Raises:
        InputError: the file cannot be written, or the weights have disappeared.
    """

    def write() -> None:
        origin = {"weights": str(weights), "sha256": _digest(weights), "transfer": dataclasses.asdict(transfer)}
        save_weights(model, folder / START, {ORIGIN: origin})

    ranks.broadcast_from_rank0(write)


def _digest(path: Path) -> str:
    """The SHA-256 of a file, which identifies it."""
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None


def take_start(folder: Path, model: DetectionModel, ranks: Ranks) -> Transfer:
    """Load the start kept in a run's folder into a model; rank 0 reads it for all.

    Args:
        folder: of the run.
        model: as built.
        ranks: the processes that train together.

    Returns:
        The part of it that came from weights.

    Raises:
        InputError: the file is damaged, or does not fit the model.
    """
    tensors, transfer = ranks.broadcast_from_rank0(lambda: _read(folder / START, model), Transfer, ClassTransfer)
    model.load_state_dict(tensors)
    return transfer


def _read(path: Path, model: DetectionModel) -> tuple[dict[str, Tensor], Transfer]:
    """Read and check the tensors of a kept start, and which of them came from weights."""
    refuse_link(path)
    remedy = "Delete this file, and the run restarts from its --weights."
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    try:
        source = open_weights(path)
        details = source.details
        if details.model != model.variant or details.names != model.names or source.shapes != own:
            raise InputError(f"{path}: belongs to another model or other classes than the run.")
        tensors = source.read(own)
    except InputError as error:
        raise InputError(f"{error} {remedy}") from None
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise InputError(f"{path}: holds non-finite numbers. {remedy}")
    try:
        origin: Any = json.loads(source.metadata[ORIGIN])
        return tensors, TypeAdapter(Transfer).validate_python(origin["transfer"])
    except (LookupError, TypeError, ValueError, RecursionError, ValidationError):
        raise InputError(f"{path}: does not record its origin, which a run's start must. {remedy}") from None
