"""Torch programs (`.pt2`): the graph of torch.export as torch saves it, to be run or compiled without Lehr."""

from __future__ import annotations

from pathlib import Path

import torch

from lehr.export.graph import capture
from lehr.export.options import ExportOptions
from lehr.models.detection import DetectionModel
from lehr.weights.export_metadata import KEY, ExportMetadata


def write_torch_program(model: DetectionModel, path: Path, options: ExportOptions, metadata: ExportMetadata) -> None:
    """Write a model as a torch program.

    Args:
        model: in eval mode; not changed.
        path: the file.
        options: of the export.
        metadata: its description, kept among the extra files.
    """
    program = capture(model, options)
    program.example_inputs = None  # which would be pickled in the file
    torch.export.save(program, path, extra_files={KEY: metadata.to_json()})
