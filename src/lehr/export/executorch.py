"""ExecuTorch (`.pte`): the graph for phones and boards, its layers computed by XNNPACK."""

from __future__ import annotations

from pathlib import Path

from lehr.export.graph import capture
from lehr.export.options import ExportOptions
from lehr.export.quiet import quiet
from lehr.models.detection import DetectionModel
from lehr.weights.export_metadata import KEY, ExportMetadata


def write_executorch(model: DetectionModel, path: Path, options: ExportOptions, metadata: ExportMetadata) -> None:
    """Write a model for ExecuTorch.

    Args:
        model: in eval mode; not changed.
        path: the file.
        options: of the export.
        metadata: its description, which the program's method `lehr` returns.
    """
    with quiet():
        _write(model, path, options, metadata)


def _write(model: DetectionModel, path: Path, options: ExportOptions, metadata: ExportMetadata) -> None:
    """Write it, with the words of the converter."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(
        capture(model, options), partitioner=[XnnpackPartitioner()], constant_methods={KEY: metadata.to_json()}
    )
    with path.open("wb") as file:
        lowered.to_executorch().write_to_file(file)
