"""`lehr export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.cli.options import Confidence, MostDetections, Overlap, Quiet
from lehr.options.help_groups import HelpGroup

if TYPE_CHECKING:
    from lehr.export.certificate import Certificate

Source = Annotated[
    Path, Parameter(group=HelpGroup.BASICS, help="A run's folder, or weights: .safetensors, .pt or .onnx.")
]
Size = Annotated[
    list[int] | None,
    Parameter(
        group=HelpGroup.BASICS,
        consume_multiple=(1, 2),
        metavar="N",
        help="Side, or height and width, of the images, pixels; rounded up to multiples of 32 (unset: that of the "
        "training).",
    ),
]


def export(
    *,
    weights: Source,
    format: Annotated[str, Parameter(group=HelpGroup.BASICS)] = "onnx",
    imgsz: Size = None,
    batch: Annotated[int, Parameter(group=HelpGroup.BASICS, validator=Number(gte=1))] = 1,
    dynamic: Annotated[bool, Parameter(group=HelpGroup.CONVERSION)] = False,
    half: Annotated[bool, Parameter(group=HelpGroup.CONVERSION)] = False,
    int8: Annotated[bool, Parameter(group=HelpGroup.CONVERSION)] = False,
    opset: Annotated[int, Parameter(group=HelpGroup.CONVERSION)] = 18,
    nms: Annotated[bool, Parameter(group=HelpGroup.DETECTIONS)] = False,
    conf: Confidence = 0.25,
    iou: Overlap = 0.7,
    max_det: MostDetections = 300,
    agnostic: Annotated[bool, Parameter(group=HelpGroup.DETECTIONS)] = False,
    data: Annotated[str | None, Parameter(group=HelpGroup.BASICS)] = None,
    out: Annotated[Path | None, Parameter(group=HelpGroup.BASICS)] = None,
    quiet: Quiet = False,
) -> None:
    """Export weights to ONNX, OpenVINO, Core ML and others.

    With --data, the export runs on validation images in its own runtime. It is kept only if it finds what the weights
    find.

    Parameters
    ----------
    format:
        onnx, openvino, torch (.pt2), executorch or coreml.
    batch:
        Images at once.
    dynamic:
        Take any number and size of images; for ONNX, OpenVINO and torch.
    half:
        Compute in float16; not for ExecuTorch.
    int8:
        Compute in int8, for OpenVINO; ranges are measured on the training images of --data.
    opset:
        Operator set of ONNX, 18 to 23.
    nms:
        Suppress duplicates in the graph; ONNX and OpenVINO; the other options here are then part of it.
    agnostic:
        Let boxes of different classes suppress each other.
    data:
        Data set to compare the export and the weights on.
    out:
        File or folder to write (unset: next to the weights).

    Examples
    --------
    Write best.onnx next to the weights of a run:
        lehr export --weights runs/train
    Write an ONNX with suppression, compared on your data:
        lehr export --weights runs/train --nms --data data.yaml
    Write an OpenVINO model in int8:
        lehr export --weights runs/train --format openvino --int8 --data data.yaml
    """
    from lehr.cli.output import speaker
    from lehr.data.relocation import data_of_run
    from lehr.detector import Detector
    from lehr.export.formats import find_format
    from lehr.export.target import check_target, default_path
    from lehr.runtime.plain_text import one_line
    from lehr.runtime.tuning import tune_process

    if weights.exists():
        check_target(out or default_path(weights, find_format(format)), find_format(format))
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
