"""OpenVINO: the ONNX graph as OpenVINO's own, in float32, in float16, or in int8 by NNCF.

Quantized are the layers of the network, by ranges that are measured on the user's images (Jacob et al., 2018); what
follows the head is coordinates and probabilities, whose steps int8 would make visible, and stays in float.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from lehr.export.names import DECODE, IMAGES, SUPPRESSION
from lehr.export.onnx import make_onnx
from lehr.export.options import ExportOptions
from lehr.export.quiet import quiet
from lehr.models.detection import DetectionModel
from lehr.runtime.telemetry import refuse_telemetry
from lehr.weights.export_metadata import KEY, ExportMetadata

if TYPE_CHECKING:
    import openvino

NETWORK = "model.xml"
"""File of the folder that describes the graph; its weights are in a file of the same name that ends with `.bin`."""


def write_openvino(model: DetectionModel, folder: Path, options: ExportOptions, metadata: ExportMetadata) -> None:
    """Write a model for OpenVINO.

    Args:
        model: in eval mode; not changed.
        folder: the folder, which is there.
        options: of the export.
        metadata: its description, kept among the runtime information.
    """
    refuse_telemetry()
    import openvino

    proto = make_onnx(model, dataclasses.replace(options, half=False), metadata)
    network = openvino.Core().read_model(model=proto.SerializeToString())
    if options.int8:
        network = _quantized(network, options)
    network.set_rt_info(metadata.to_json(), [KEY])
    openvino.save_model(network, str(folder / NETWORK), compress_to_fp16=options.half)


def _quantized(network: openvino.Model, options: ExportOptions) -> openvino.Model:
    """Quantize the layers of a network to int8."""
    with quiet():
        import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    outside = [
        operation.get_friendly_name()
        for operation in network.get_ordered_ops()
        if operation.get_friendly_name().startswith((f"{DECODE}/", f"{SUPPRESSION}/"))
    ]
    assert options.calibration is not None
    images = list(options.calibration())
    with quiet():
        quantized: openvino.Model = nncf.quantize(
            network,
            nncf.Dataset(images, lambda image: {IMAGES: image}),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(images),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                # The whole range that was seen, since clear objects of rare classes are what lies at its ends.
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
            ),
            ignored_scope=nncf.IgnoredScope(names=outside, validate=False),
        )
    return quantized
