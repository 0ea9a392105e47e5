"""`lehr val`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number


def val(
    *,
    weights: Annotated[Path, Parameter(group="Data")],
    data: Annotated[str, Parameter(group="Data")],
    split: Annotated[Literal["train", "val", "test"], Parameter(group="Data")] = "val",
    imgsz: Annotated[int | None, Parameter(group="Data", validator=Number(gte=1))] = None,
    batch: Annotated[int, Parameter(group="Data", validator=Number(gte=1))] = 16,
    workers: Annotated[int, Parameter(group="Data", validator=Number(gte=0))] = 0,
    square: Annotated[bool, Parameter(group="Data")] = False,
    skip_broken: Annotated[bool, Parameter(group="Data")] = False,
    conf: Annotated[float, Parameter(group="Detection", validator=Number(gte=0, lt=1))] = 0.001,
    iou: Annotated[float, Parameter(group="Detection", validator=Number(gt=0, lte=1))] = 0.7,
    max_det: Annotated[int, Parameter(group="Detection", validator=Number(gte=1))] = 300,
    device: Annotated[str, Parameter(group="Run")] = "auto",
    json: Annotated[Path | None, Parameter(group="Run")] = None,
) -> None:
    """Evaluate weights on a data set: COCO's numbers, and precision, recall and F1 of each class.

    Parameters
    ----------
    weights:
        Weights, a .safetensors file, e.g. runs/train/best.safetensors.
    data:
        A data YAML, a folder, a VOC folder, a COCO JSON, or `shapes` (generated).
    split:
        The split to evaluate on.
    imgsz:
        Longest side that the model sees, pixels (unset: what the weights were trained for).
    batch:
        Images at once.
    workers:
        Processes that load images; 0 loads in this one.
    square:
        Letterbox to squares instead of the smallest rectangle of multiples of 32.
    skip_broken:
        Evaluate without the images that are broken; otherwise they stop the evaluation.
    conf:
        Lowest score of a detection, 0 to 1.
    iou:
        Overlap from which a detection repeats a better one, 0 to 1.
    max_det:
        Most detections an image.
    device:
        auto, cpu, cuda, mps or a CUDA index such as 0.
    json:
        Write the metrics to this file.
    """
    from lehr.cli.output import say, tell_rounding, write_json
    from lehr.engine.memory import keep_memory

    keep_memory()
    from lehr.detector import Detector
    from lehr.engine.progress import class_table

    detector = Detector.load(weights, device=device)
    tell_rounding(imgsz)
    evaluation = detector.val(
        data,
        split=split,
        imgsz=imgsz,
        batch=batch,
        workers=workers,
        square=square,
        skip_broken=skip_broken,
        confidence=conf,
        iou=iou,
        max_det=max_det,
    )
    metrics, seconds = evaluation.metrics, evaluation.seconds
    say(f"{weights} on {data}, {split}: {metrics.images} images, {metrics.instances} instances")
    say(class_table(metrics))
    say(f"P, R and F1 at confidence {metrics.confidence:.3f}, IoU 0.5.")
    say(
        f"Milliseconds an image: preprocess {seconds.preprocess * 1e3:.1f}, inference {seconds.inference * 1e3:.1f}, "
        f"postprocess {seconds.postprocess * 1e3:.1f}."
    )
    if json is not None:
        write_json(json, evaluation.as_dict())
