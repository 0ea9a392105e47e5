"""`lehr predict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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
from lehr.cli.predict_outputs import WantedFiles
from lehr.options.help_groups import HelpGroup
from lehr.runtime.counted import counted

if TYPE_CHECKING:
    from lehr.cli.predict_progress import Progress
    from lehr.errors import LehrError
    from lehr.prediction.feed import Reader
    from lehr.prediction.frames import Output
    from lehr.prediction.pipeline import PipelineCounts, Predict
    from lehr.prediction.sources import FoundSources


def predict(
    *sources: Annotated[str, Parameter(group=HelpGroup.BASICS)],
    weights: Weights,
    watch: Annotated[bool, Parameter(group=HelpGroup.INPUT, negative=())] = False,
    skip_broken: Annotated[bool, Parameter(group=HelpGroup.INPUT)] = False,
    imgsz: ImageSize = None,
    square: Square = False,
    batch: Batch = 1,
    device: Device = "auto",
    half: Annotated[bool, Parameter(group=HelpGroup.DETECTIONS, negative=())] = False,
    conf: Confidence = 0.25,
    iou: Overlap = 0.7,
    max_det: MostDetections = 300,
    classes: Annotated[
        list[str] | None, Parameter(group=HelpGroup.DETECTIONS, metavar="CLASSES", show_default=False)
    ] = None,
    agnostic: Annotated[bool, Parameter(group=HelpGroup.DETECTIONS, negative=())] = False,
    track: Annotated[bool, Parameter(group=HelpGroup.DETECTIONS, negative=())] = False,
    tile: Tile = None,
    overlap: TileOverlap = OVERLAP,
    tta: Tta = False,
    project: Annotated[Path, Parameter(group=HelpGroup.BASICS, metavar="FOLDER")] = Path("runs"),
    name: Annotated[str | None, Parameter(group=HelpGroup.BASICS)] = None,
    save: Annotated[bool, Parameter(group=HelpGroup.OUTPUT)] = True,
    save_labels: Annotated[bool, Parameter(group=HelpGroup.OUTPUT, negative=())] = False,
    save_conf: Annotated[bool, Parameter(group=HelpGroup.OUTPUT, negative=())] = False,
    save_crops: Annotated[bool, Parameter(group=HelpGroup.OUTPUT, negative=())] = False,
    json: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    jsonl: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    csv: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    coco: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    coco_ids: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    quiet: Quiet = False,
) -> int:
    """Find objects in images, videos, cameras and streams.

    Annotated copies are saved in the run's folder; options write JSON, CSV, labels and more. All inputs are checked
    first. Ctrl-C ends the command with complete files.

    Parameters
    ----------
    sources:
        Images, videos, folders, globs, URLs; cameras (0), streams (rtsp://...); a text file that lists such names;
        - for the standard input.
    watch:
        Stay with the folders, and predict new files.
    skip_broken:
        Skip what cannot be read; the exit code is then 1.
    half:
        Compute in float16 on a GPU.
    classes:
        Find only these, e.g. cat,dog or 0,2 (unset: all).
    agnostic:
        Let boxes of different classes suppress each other.
    track:
        Number objects from frame to frame (ByteTrack).
    project:
        Folder that holds the runs.
    name:
        Name of the run's folder (unset: predict, predict-2, ...).
    save:
        Save annotated copies of images and videos.
    save_labels:
        Save YOLO labels, a text file per image or frame.
    save_conf:
        Add the score to each line of the labels.
    save_crops:
        Save each object as an image, in crops/CLASS.
    json:
        Write all detections to this file.
    jsonl:
        Write a line of JSON per image or frame, at once.
    csv:
        Write a table with a row per object.
    coco:
        Write results in COCO's format.
    coco_ids:
        COCO JSON that gives the ids for --coco, by name.

    Examples
    --------
    Annotate a folder of images:
        lehr predict photos/ --weights runs/train
    Write the detections of a video as CSV, with tracks:
        lehr predict video.mp4 --weights best.pt --track --csv found.csv
    Find only people, and save no annotated copies:
        lehr predict photos/ --weights best.pt --classes person --no-save
    """
    from lehr.checkpoint.run_folder import check_free, make_run_folder
    from lehr.cli.output import check_writable, report_rounding, speaker
    from lehr.cli.predict_progress import Progress
    from lehr.runtime.tuning import tune_process

    tune_process()
    from lehr.data.faults import group_faults
    from lehr.detector import Detector
    from lehr.errors import InputError
    from lehr.prediction.open_sources import open_readers
    from lehr.prediction.options import PredictOptions
    from lehr.prediction.sources import check_sources, find_sources
    from lehr.prediction.tracking import ObjectTracker
    from lehr.runtime.console import complain
    from lehr.runtime.device import configure_backend

    if not sources:
        raise InputError("Name at least one image, video, folder, URL, camera or stream, e.g. lehr predict photos/.")
    files = WantedFiles(save, save_labels, save_conf, save_crops, json, jsonl, csv, coco, coco_ids)
    given = find_sources(sources, watch=watch)
    files.check()
    if files.in_folder:
        check_writable(project, "--project")
        check_free(project, name)
    options = PredictOptions(
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
        agnostic=agnostic,
        classes=classes,
        half=half,
    )
    tracker = ObjectTracker(conf) if track else None
    detector = Detector.load(weights, device=device)
    find: Predict = detector.frame_predictor(replace(options, conf=tracker.detection_conf) if tracker else options)
    notes = check_sources(given, skip_broken)
    for group in group_faults((*given.left_out, *notes)):
        complain(str(group))
    configure_backend(detector.device)
    say = speaker(quiet)
    for note in detector.notes:
        say(note)
    report_rounding(imgsz, say)
    exclude: list[Path] = []
    readers = open_readers(given, skip_broken=skip_broken, by_region=tile is not None, exclude=exclude)
    folder = make_run_folder(project, name, "predict") if files.in_folder else None
    exclude += [] if folder is None else [folder]  # which a folder that is watched may hold
    progress = Progress(say, max_det)
    try:
        outputs = [*files.outputs(folder), progress]
        if tracker is not None:
            find = tracker.following(find)
        ended = _run(readers, find, outputs, batch if tile is None else 1)
    finally:
        if folder is not None:
            with suppress(OSError):  # there is something in it
                folder.rmdir()
    return _report(ended, progress, given, files.describe(folder), say)


@dataclass(frozen=True, slots=True)
class _Ended:
    """The end of a run: its counts, the signal that stopped it, and why it did not come to its end otherwise."""

    counts: PipelineCounts | None
    signal_number: int | None
    failure: LehrError | None


def _run(readers: Sequence[Reader], find: Predict, outputs: Sequence[Output], batch: int) -> _Ended:
    """Predict until the sources end, one fails or a signal comes."""
    from lehr.errors import LehrError
    from lehr.prediction.pipeline import run_pipeline
    from lehr.runtime.stop_request import StopRequest

    with StopRequest() as stop:
        try:
            counts = run_pipeline(
                readers, find, outputs, batch=batch, should_stop=lambda: stop.signal_number is not None
            )
        except LehrError as error:
            return _Ended(None, stop.signal_number, error)
    return _Ended(counts, stop.signal_number, None)


def _report(
    ended: _Ended, progress: Progress, given: FoundSources, places: Sequence[str], say: Callable[[str], None]
) -> int:
    """Say what was found where, and return the exit code.

    Raises:
        LehrError: why the run did not come to its end; or nothing could be read.
    """
    from lehr.errors import InputError
    from lehr.runtime.console import complain

    for fault in given.broken:
        complain(f"Skipped: {fault.path}: {fault.message}")
    images, broken = progress.images, progress.broken + len(given.broken)
    what = "frame" if progress.of_clips else "image"
    if not images and broken and ended.failure is None:
        raise InputError(
            f"The {what} cannot be read." if broken == 1 else f"None of the {counted(broken, what)} can be read."
        )
    if progress.full:
        say(
            f"{progress.full} of {counted(images, what)} {'has' if progress.full == 1 else 'have'} as many "
            f"detections as are kept, {progress.max_det}: "
            "--max-det may find more."
        )
    for place in places if images else ():
        say(place)
    if ended.counts is not None and ended.counts.dropped:
        complain(
            f"{counted(ended.counts.dropped, 'frame')} of cameras and streams dropped: the source is faster than the "
            "prediction or the writing."
        )
    if broken:
        complain(
            f"{broken} of {counted(broken + images, what)} could not be read and "
            f"{'is' if broken == 1 else 'are'} not in the results."
        )
    if ended.failure is not None:
        raise ended.failure
    if ended.signal_number is not None:
        return 128 + ended.signal_number
    return 1 if broken else 0
