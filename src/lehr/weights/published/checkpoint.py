"""A checkpoint of YOLOv5, YOLOv8 or YOLOv3-SPP as weights of a detector of Lehr's: found out, accounted for, tried."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lehr.errors import InputError
from lehr.models.build import anchor_head, build_without_memory
from lehr.models.detection import DetectionModel
from lehr.models.family import find_family
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.runtime.reading import open_file
from lehr.weights.foreign import describe_foreign, is_exported, is_pickled
from lehr.weights.metadata import FORMAT
from lehr.weights.published.architecture import check_architecture
from lehr.weights.published.contents import Contents, find_weights
from lehr.weights.published.conversion import complete, unmerge_batch_norm
from lehr.weights.published.facts import DEFAULT_SIZE, Facts, check_names, read_facts
from lehr.weights.published.forward_check import check_forward
from lehr.weights.published.identify import Identity, identify
from lehr.weights.published.kinds import unsupported_kind
from lehr.weights.published.onnx_export import read_export
from lehr.weights.published.reading import read_torch_file
from lehr.weights.published.stand_in import Refused
from lehr.weights.safetensors_file import DamagedTensors, read_header
from lehr.weights.write import describe_model

REMEDY = "Give a detection checkpoint of YOLOv5, YOLOv8 or YOLOv3-SPP."
STATED = ("names", "imgsz", "author", "version", "date", "license")
"""Metadata of an ONNX export that are taken."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of another trainer that a model of Lehr's can take.

    Attributes:
        identity: which model it is.
        names: its class names; made up where the file has none.
        imgsz: image size of the model, pixels.
        facts: what else the file states.
        averaged: whether the weights are an exponential moving average.
        tensors: by the names of the model, as they are stored.
        entries: the entries of the file that are not taken.
        metadata: those of a weights file, as text.
        notes: what to know about it, one line each, without the file's name.
    """

    identity: Identity
    names: tuple[str, ...]
    imgsz: int
    facts: Facts
    averaged: bool
    tensors: Mapping[str, Tensor]
    entries: tuple[str, ...]
    metadata: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line that says what it is, e.g. "YOLOv8n, 3 classes, 320 pixels, EMA weights of epoch 39 of 40"."""
        count, facts = len(self.names), self.facts
        of = "" if facts.epoch is None else f" of epoch {facts.epoch}"
        of += "" if facts.epoch is None or facts.epochs is None else f" of {facts.epochs}"
        kind = "EMA weights" if self.averaged else "weights"
        classes = counted(count, "class")
        return f"{self.identity.title}, {classes}, {self.imgsz} pixels, {kind}{of}"


def read_checkpoint(
    path: Path,
    *,
    names: Sequence[str] | None = None,
    imgsz: int | None = None,
    origin: Mapping[str, str] | None = None,
) -> Checkpoint:
    """Read a checkpoint of another trainer; nothing in it runs.

    Args:
        path: the file.
        names: the class names, in place of those of the file.
        imgsz: the image size of the model, pixels, in place of that of the file.
        origin: what else the metadata say of where the weights came from.

    Raises:
        InputError: it cannot be read, or is of a model that Lehr does not have; with the reason.
    """
    try:
        contents = read_export(path) if is_exported(path) else find_weights(read_torch_file(path))
        return take_checkpoint(contents, names=names, imgsz=imgsz, origin=origin)
    except Refused as error:
        raise InputError(f"{path}: {error}") from None


def import_checkpoint(
    path: Path, *, names: Sequence[str] | None = None, imgsz: int | None = None
) -> tuple[Checkpoint, str]:
    """Read a checkpoint of another trainer to be written as weights, which say what file they came from.

    Args:
        path: the file.
        names: the class names, in place of those of the file.
        imgsz: the image size of the model, pixels, in place of that of the file.

    Returns:
        The checkpoint, and the file's SHA-256.

    Raises:
        InputError: as `read_checkpoint`; or it is one of Lehr's own files.
    """
    if not (is_pickled(path) or is_exported(path)):
        with contextlib.suppress(DamagedTensors, OSError):
            if read_header(path).metadata.get("format") == FORMAT:
                raise InputError(f"{path}: is a weights file of Lehr's already, and can be used unchanged.")
        raise InputError(f"{path}: {describe_foreign(path)}")
    digest = _sha256(path)
    return read_checkpoint(path, names=names, imgsz=imgsz, origin={"file": path.name, "sha256": digest}), digest


def _sha256(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None


def take_checkpoint(
    contents: Contents,
    *,
    names: Sequence[str] | None = None,
    imgsz: int | None = None,
    origin: Mapping[str, str] | None = None,
) -> Checkpoint:
    """Take the weights of a checkpoint as those of a model of Lehr's, which predicts once with them.

    Args:
        contents: what the file holds.
        names: the class names, in place of those of the file.
        imgsz: the image size of the model, pixels, in place of that of the file.
        origin: what else the metadata say of where the weights came from.

    Raises:
        Refused: Lehr has no such model, or the weights are damaged.
    """
    tensors, merged = unmerge_batch_norm(contents.tensors)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    kind = unsupported_kind(contents, shapes)
    if kind is not None:
        raise Refused(f"{kind}. {REMEDY}")
    facts = read_facts(contents)
    identity = identify(shapes, facts.scales)
    found = facts.names if names is None else tuple(names)
    check_names(found, identity.classes, given=names is not None)
    named = found or tuple(f"class{index}" for index in range(identity.classes))
    size = imgsz or facts.imgsz or DEFAULT_SIZE
    model = _skeleton(identity, named, size)
    check_architecture(model, find_family(identity.model).name, contents.layers)
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    taken = complete(tensors, own)
    check_forward(model, taken)
    check_anchors(model)
    return Checkpoint(
        identity,
        named,
        size,
        facts,
        contents.averaged,
        taken,
        tuple(one_line(str(name))[:100] for name in contents.entries if not (contents.exported and name in STATED)),
        describe_model(model, _described(facts, contents, origin or {})),
        tuple(_notes(contents, facts, found is None, imgsz is None and facts.imgsz is None, merged)),
    )


def check_anchors(model: DetectionModel) -> None:
    """Check that the anchors of a model have sides.

    Raises:
        Refused: one has none.
    """
    head = anchor_head(model)
    if head is not None and not (head.anchors > 0).all():
        raise Refused("has anchors without a side, so its weights are damaged.")


def _skeleton(identity: Identity, names: tuple[str, ...], imgsz: int) -> DetectionModel:
    try:
        model = build_without_memory(
            identity.model, names, imgsz, depth=identity.depth, width=identity.width, anchors=identity.anchors
        )
    except InputError as error:  # names that are too long
        raise Refused(f"has class names that no model of Lehr's takes. {error}") from None
    assert model is not None  # Lehr's own families can be built so
    return model


def _described(facts: Facts, contents: Contents, origin: Mapping[str, str]) -> dict[str, Any]:
    """Metadata that a weights file keeps of a checkpoint."""
    source = {**origin, "trainer": facts.trainer, "ema": contents.averaged, **facts.texts}
    details: dict[str, Any] = {"source": source}
    if facts.epoch is not None:
        details["epoch"] = facts.epoch
    return details | ({"metrics": dict(facts.metrics)} if facts.metrics else {})


def _notes(contents: Contents, facts: Facts, unnamed: bool, unsized: bool, merged: int) -> list[str]:
    notes = []
    if unnamed:
        notes.append("it has no class names, so they are class0, class1, ...; `lehr import --names` gives them.")
    if unsized:
        notes.append(f"it does not say its image size; {DEFAULT_SIZE} pixels are assumed.")
    if not contents.layers:
        notes.append("it holds tensors alone, so that its layers are of the published settings is assumed.")
    if contents.exported:
        notes.append(
            "of its graph, convolutions and activations were compared; that these are joined as published is assumed."
        )
    if merged:
        notes.append(
            f"BatchNorm was merged into {merged} convolutions: it predicts as before, but its statistics are lost, so "
            "it is no good start for a training."
        )
    return notes
