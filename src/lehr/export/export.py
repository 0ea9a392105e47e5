"""An export from beginning to end: written under another name, proven, and then given its name."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from lehr.errors import InputError
from lehr.export.formats import ExportFormat
from lehr.export.options import ExportOptions
from lehr.export.target import check_target
from lehr.models.detection import DetectionModel
from lehr.plugins import resolve
from lehr.runtime.atomic_write import flush_to_disk, folder_beside
from lehr.runtime.reading import MIB, open_file
from lehr.version import __version__
from lehr.weights.export_metadata import ExportMetadata

REMEDY = "Choose another --out."


def export_model(
    model: DetectionModel,
    path: Path,
    kind: ExportFormat,
    options: ExportOptions,
    *,
    weights: Path | None = None,
    prove: Callable[[Path, ExportMetadata], None] = lambda path, metadata: None,
) -> ExportMetadata:
    """Export a model; the file or folder appears whole and proven, or not at all.

    Args:
        model: in eval mode; not changed.
        path: the file or folder.
        kind: its format.
        options: what it can do.
        weights: the file that the model's weights are from, whose digest the export carries.
        prove: called with what was written, under another name that ends as `path` does, and with its description;
            raises if it does not compute what the model does.

    Returns:
        The description that it carries.

    Raises:
        InputError: the format does not take these options, something that it needs is not installed, or the file cannot
            be written.
    """
    options.check(kind)
    kind.require()
    check_target(path, kind)
    metadata = _describe(model, options, weights)
    try:
        with folder_beside(path) as temporary:
            written = temporary / path.name
            if kind.folder:
                written.mkdir()
            resolve(kind.writer)(model, written, options, metadata)
            prove(written, metadata)
            for each in (*written.rglob("*"), written):
                flush_to_disk(each)
            shutil.move(written, path)
            flush_to_disk(path.absolute().parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}). {REMEDY}") from None
    return metadata


def _describe(model: DetectionModel, options: ExportOptions, weights: Path | None) -> ExportMetadata:
    """The description of an export."""
    return ExportMetadata(
        variant=model.variant,
        names=model.names,
        imgsz=max(options.size),
        size=None if options.dynamic else options.size,
        batch=None if options.dynamic else options.batch,
        strides=model.strides,
        nms=options.nms,
        precision="float16" if options.half else "int8" if options.int8 else "float32",
        lehr=__version__,
        torch=str(torch.__version__),
        weights_sha256="" if weights is None else _digest(weights),
    )


def _digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while part := file.read(MIB):
            digest.update(part)
    return digest.hexdigest()
