"""`lehr predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lehr.cli.options import Batch, Confidence, Device, ImageSize, MostDetections, Overlap, Quiet, Square, Weights


def predict(
    *sources: Annotated[str, Parameter(group="Input")],
    weights: Weights,
    imgsz: ImageSize = None,
    square: Square = False,
    batch: Batch = 1,
    device: Device = "auto",
    conf: Confidence = 0.25,
    iou: Overlap = 0.7,
    max_det: MostDetections = 300,
    project: Annotated[Path, Parameter(group="Output")] = Path("runs"),
    name: Annotated[str | None, Parameter(group="Output")] = None,
    save: Annotated[bool, Parameter(group="Output")] = True,
    json: Annotated[Path | None, Parameter(group="Output")] = None,
    quiet: Quiet = False,
) -> None:
    """Find objects in images: annotated copies in the run's folder, and JSON.

    Parameters
    ----------
    sources:
        Images, folders of images, globs.
    project:
        Folder that holds the runs.
    name:
        Name of the run's folder (unset: predict, predict-2, ...).
    save:
        Save annotated copies.
    json:
        Write all detections to this file.
    """
    from lehr.checkpoint.run_folder import make_run_folder
    from lehr.cli.output import report_rounding, speaker, write_json
    from lehr.runtime.malloc import tune_malloc

    tune_malloc()
    from lehr.data.images import read_image, write_image
    from lehr.detector import Detector
    from lehr.errors import InputError
    from lehr.prediction.annotate import annotate
    from lehr.prediction.sources import find_images
    from lehr.runtime.device import configure_backend

    if not sources:
        raise InputError("lehr predict: name at least one image, folder or glob.")
    images = find_images(sources)
    detector = Detector.load(weights, device=device)
    configure_backend(detector.device)
    say = speaker(quiet)
    report_rounding(imgsz, say)
    folder = make_run_folder(project, name, "predict") if save else None
    taken: set[str] = set()
    found = []
    each_image = detector.stream(images, imgsz=imgsz, square=square, batch=batch, conf=conf, iou=iou, max_det=max_det)
    for path, detections in zip(images, each_image, strict=True):
        found.append(detections.as_dict())
        counts = {name: int((detections.classes == i).sum()) for i, name in enumerate(detections.names)}
        listed = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing"
        say(f"{path}: {listed}")
        if folder is not None:
            write_image(folder / _free_name(path, taken), annotate(read_image(path), detections))
    if json is not None:
        write_json(json, found)
    if folder is not None:
        say(f"Annotated copies in {folder}")


def _free_name(path: Path, taken: set[str]) -> str:
    """A file name for an annotated copy; images of the same name in several folders get a number."""
    suffix = path.suffix if path.suffix.lower() in (".jpg", ".jpeg", ".png") else ".jpg"
    name, number = f"{path.stem}{suffix}", 2
    while name in taken:
        name, number = f"{path.stem}-{number}{suffix}", number + 1
    taken.add(name)
    return name
