"""`lehr export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.cli.options import Confidence, MostDetections, Overlap, Quiet

if TYPE_CHECKING:
    from lehr.export.certificate import Certificate

Source = Annotated[
    Path,
    Parameter(
        group="Model",
        help="Weights: a .safetensors file, or a checkpoint of YOLOv5, YOLOv8, YOLOv3-SPP (.pt, .onnx).",
    ),
]
Size = Annotated[
    list[int] | None,
    Parameter(
        group="Graph",
        consume_multiple=(1, 2),
        help="Side of the images, or height and width, pixels; rounded up to multiples of 32 (unset: that of the "
        "training).",
    ),
]


def export(
    *,
    weights: Source,
    format: Annotated[str, Parameter(group="Graph")] = "onnx",
    imgsz: Size = None,
    batch: Annotated[int, Parameter(group="Graph", validator=Number(gte=1))] = 1,
    dynamic: Annotated[bool, Parameter(group="Graph")] = False,
    half: Annotated[bool, Parameter(group="Graph")] = False,
    int8: Annotated[bool, Parameter(group="Graph")] = False,
    opset: Annotated[int, Parameter(group="Graph")] = 18,
    nms: Annotated[bool, Parameter(group="Detection")] = False,
    conf: Confidence = 0.25,
    iou: Overlap = 0.7,
    max_det: MostDetections = 300,
    agnostic: Annotated[bool, Parameter(group="Detection")] = False,
    data: Annotated[str | None, Parameter(group="Data")] = None,
    out: Annotated[Path | None, Parameter(group="Output")] = None,
    quiet: Quiet = False,
) -> None:
    """Export weights to another runtime.

    Parameters
    ----------
    format:
        onnx, openvino, torch (a program of torch.export, .pt2), executorch or coreml.
    batch:
        Images at once.
    dynamic:
        Take any number of images, of any sizes that are multiples of 32; ONNX, OpenVINO and torch.
    half:
        Compute in float16; all but ExecuTorch.
    int8:
        Compute in int8, with ranges measured on the training images of --data; OpenVINO.
    opset:
        Operator set of ONNX, 18 to 23.
    nms:
        Suppress within the graph, by standard operators and the options of this group, so that detections come out;
        ONNX and OpenVINO.
    agnostic:
        Suppress across classes.
    data:
        A data YAML, a folder, a VOC folder, a COCO JSON, or `shapes` (generated): the export is run on its validation
        images in its own runtime, compared with the weights, and kept only where it computes the same.
    out:
        The file, or the folder, to write (unset: beside the weights, under their name).
    """
    from lehr.cli.output import speaker
    from lehr.data.relocation import data_of_run
    from lehr.detector import Detector
    from lehr.runtime.plain_text import one_line
    from lehr.runtime.tuning import tune_process

    tune_process()
    detector = Detector.load(weights, device="cpu")
    say = speaker(quiet)
    for note in detector.notes:
        say(note)
    written = detector.export(
        format,
        out=out,
        imgsz=None if imgsz is None else imgsz[0] if len(imgsz) == 1 else (imgsz[0], imgsz[1]),
        batch=batch,
        dynamic=dynamic,
        half=half,
        int8=int8,
        opset=opset,
        nms=nms,
        conf=conf,
        iou=iou,
        max_det=max_det,
        agnostic=agnostic,
        data=None if data is None else data_of_run(weights, data),
    )
    if detector.certificate is not None:
        for line in detector.certificate.describe():
            say(line)
    say(f"Written: {one_line(str(written))}{_proof(detector.certificate, written, data)}")


def _proof(certificate: Certificate | None, written: Path, data: str | None) -> str:
    """Say where the certificate is, or why there is none."""
    from lehr.export.certificate import certificate_path

    if certificate is not None:
        return f", and its certificate: {certificate_path(written).name}"
    if data is None:
        return " (not certified: --data names images to compare it on)"
    return " (not certified: nothing here computes this format)"
