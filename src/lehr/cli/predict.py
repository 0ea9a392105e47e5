"""`lehr predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lehr.augment.tile_grid import OVERLAP
from lehr.cli.options import (
    Batch,
    Confidence,
    Device,
    ImageSize,
    MostDetections,
    Overlap,
    Quiet,
    Square,
    Tile,
    TileOverlap,
    Tta,
    Weights,
)

if TYPE_CHECKING:
    from lehr.detections import Detections


def predict(
    *sources: Annotated[str, Parameter(group="Input")],
    weights: Weights,
    skip_broken: Annotated[bool, Parameter(group="Input")] = False,
    imgsz: ImageSize = None,
    square: Square = False,
    batch: Batch = 1,
    device: Device = "auto",
    conf: Confidence = 0.25,
    iou: Overlap = 0.7,
    max_det: MostDetections = 300,
    tile: Tile = None,
    overlap: TileOverlap = OVERLAP,
    tta: Tta = False,
    project: Annotated[Path, Parameter(group="Output")] = Path("runs"),
    name: Annotated[str | None, Parameter(group="Output")] = None,
    save: Annotated[bool, Parameter(group="Output")] = True,
    json: Annotated[Path | None, Parameter(group="Output")] = None,
    quiet: Quiet = False,
) -> int:
    """Find objects in images: annotated copies in the run's folder, and JSON.

    All images are looked at first, and broken ones end the command before anything is computed, with exit code 2.

    Parameters
    ----------
    sources:
        Images, folders of images, globs.
    skip_broken:
        Predict without the images that cannot be read: each is named, and the exit code is 1 where there was one.
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
    from lehr.cli.output import check_output, report_rounding, speaker, write_json
    from lehr.runtime.tuning import tune_process

    tune_process()
    from lehr.data.faults import group_faults
    from lehr.detector import Detector
    from lehr.errors import InputError
    from lehr.prediction.sources import check_sources, find_sources
    from lehr.runtime.console import complain
    from lehr.runtime.device import configure_backend
    from lehr.runtime.plain_text import one_line

    if not sources:
        raise InputError("lehr predict: name at least one image, folder or glob.")
    given = find_sources(sources)
    check_output(json, "--json")
    detector = Detector.load(weights, device=device)
    notes = check_sources(given, skip_broken)
    for group in group_faults((*given.left_out, *notes)):
        complain(str(group))
    configure_backend(detector.device)
    say = speaker(quiet)
    for note in detector.notes:
        say(note)
    report_rounding(imgsz, say)
    folder = make_run_folder(project, name, "predict") if save else None
    taken: set[str] = set()
    found, broken, full = [], 0, 0
    for detections in detector.stream(
        given.images,
        imgsz=imgsz,
        square=square,
        batch=batch,
        conf=conf,
        iou=iou,
        max_det=max_det,
        skip_broken=skip_broken,
        tile=tile,
        overlap=overlap,
        tta=tta,
    ):
        if detections.fault is not None:
            complain(f"Skipped: {detections.fault}")
            broken += 1
            continue
        found.append(detections.as_dict())
        full += len(detections) == max_det
        say(f"{one_line(detections.source)}: {detections.summary()}")
        if folder is not None:
            _write_copy(folder, detections, taken)
    for fault in given.broken:
        complain(f"Skipped: {fault.path}: {fault.message}")
    broken += len(given.broken)
    if not found:
        if folder is not None:
            folder.rmdir()
        raise InputError(f"None of the {broken} images can be read.")
    if json is not None:
        write_json(json, found)
    if full:
        say(f"{full} of {len(found)} images have as many detections as are kept, {max_det}: --max-det may find more.")
    if folder is not None:
        say(f"Annotated copies in {folder}")
    if broken:
        complain(f"{broken} of {broken + len(found)} images could not be read and are not in the results.")
    return 1 if broken else 0


def _write_copy(folder: Path, detections: Detections, taken: set[str]) -> None:
    """Write an annotated copy of an image."""
    from lehr.data.images import read_image, write_image
    from lehr.prediction.annotate import annotate

    path = Path(detections.source)
    write_image(folder / _free_name(path, taken), annotate(read_image(path), detections))


def _free_name(path: Path, taken: set[str]) -> str:
    """A file name for an annotated copy; images of the same name in several folders get a number."""
    suffix = path.suffix if path.suffix.lower() in (".jpg", ".jpeg", ".png") else ".jpg"
    name, number = f"{path.stem}{suffix}", 2
    while name in taken:
        name, number = f"{path.stem}-{number}{suffix}", number + 1
    taken.add(name)
    return name
