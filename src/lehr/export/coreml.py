"""Core ML (`.mlpackage`): the graph for Apple's devices. It is converted anywhere, and runs on macOS alone."""

from __future__ import annotations

from pathlib import Path

from lehr.export.graph import capture
from lehr.export.names import BOXES, IMAGES, SCORES
from lehr.export.options import ExportOptions
from lehr.export.quiet import quiet
from lehr.models.detection import DetectionModel
from lehr.weights.export_metadata import KEY, ExportMetadata


def write_coreml(model: DetectionModel, path: Path, options: ExportOptions, metadata: ExportMetadata) -> None:
    """Write a model for Core ML, as an ML program of iOS 16 and macOS 13.

    Args:
        model: in eval mode; not changed.
        path: the folder of the package, which is empty.
        options: of the export.
        metadata: its description, kept among what the package says of itself.
    """
    with quiet():
        _write(model, path, options, metadata)


def _write(model: DetectionModel, path: Path, options: ExportOptions, metadata: ExportMetadata) -> None:
    """Write it, with the words and bars of the converter."""
    import coremltools

    # Decomposed to torch's core operators: of others, such as products with a vector, the converter lacks some.
    program = capture(model, options, half=False).run_decompositions()
    package = coremltools.convert(
        program,
        inputs=[coremltools.TensorType(IMAGES, shape=(options.batch, 3, *options.size))],
        outputs=[coremltools.TensorType(BOXES), coremltools.TensorType(SCORES)],
        minimum_deployment_target=coremltools.target.iOS16,
        compute_precision=coremltools.precision.FLOAT16 if options.half else coremltools.precision.FLOAT32,
    )
    package.user_defined_metadata[KEY] = metadata.to_json()
    package.license = metadata.license
    package.save(str(path))
