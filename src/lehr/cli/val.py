"""`lehr val`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.augment.tile_grid import OVERLAP
from lehr.cli.options import (
    Batch,
    Confidence,
    Data,
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
from lehr.options.help_groups import HelpGroup
from lehr.runtime.counted import counted
from lehr.runtime.installing import how_to_install

if TYPE_CHECKING:
    from lehr.evaluation.bootstrap import Comparison
    from lehr.evaluation.evaluator import Evaluation

Analyze = Annotated[
    list[Path] | None,
    Parameter(
        help="Write a page on quality and mistakes into this folder; without a value, into runs/val, runs/val-2, ...",
        metavar="FOLDER",
        consume_multiple=(0, 1),
        negative=(),
        group=HelpGroup.OUTPUT,
        show_default=False,
    ),
]


def val(
    *,
    weights: Weights,
    data: Data,
    split: Annotated[Literal["train", "val", "test"], Parameter(group=HelpGroup.BASICS)] = "val",
    workers: Annotated[int, Parameter(group=HelpGroup.DATA, validator=Number(gte=0))] = 0,
    skip_broken: Annotated[bool, Parameter(group=HelpGroup.DATA)] = False,
    single_cls: Annotated[bool, Parameter(group=HelpGroup.DATA)] = False,
    imgsz: ImageSize = None,
    square: Square = False,
    batch: Batch = 16,
    device: Device = "auto",
    conf: Confidence = 0.001,
    iou: Overlap = 0.7,
    max_det: MostDetections = 300,
    tile: Tile = None,
    overlap: TileOverlap = OVERLAP,
    tta: Tta = False,
    compare: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    json: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    analyze: Analyze = None,
    quiet: Quiet = False,
) -> None:
    """Evaluate weights on a data set.

    Prints COCO's metrics, and precision, recall and F1 of each class.

    Parameters
    ----------
    split:
        Split to evaluate on.
    workers:
        Processes that load images; 0 loads in the main one.
    skip_broken:
        Skip broken images instead of stopping.
    single_cls:
        Treat all classes as one, as in such a training.
    compare:
        Evaluate these weights, too, and say which are better; with an interval, by a bootstrap over the images.
    json:
        Write the metrics to this file.

    Examples
    --------
    Evaluate the best weights of a run:
        lehr val data.yaml --weights runs/train
    See where the model is wrong, class by class:
        lehr val data.yaml --weights runs/train --analyze
    Find out whether one model is better than another:
        lehr val data.yaml --weights runs/train-2 --compare old.safetensors
    """
    from lehr.cli.output import check_output, report_rounding, speaker, write_json
    from lehr.runtime.tuning import tune_process

    check_output(json, "--json")
    folder = None if analyze is None else _folder(analyze)
    tune_process()
    from lehr.data.relocation import data_of_run
    from lehr.detector import Detector
    from lehr.evaluation.background import describe_false_positives
    from lehr.evaluation.class_table import class_table
    from lehr.runtime.line_width import line_width
    from lehr.runtime.progress import progress_on_terminal
    from lehr.runtime.standard_streams import SafeStream

    detector = Detector.load(weights, device=device)
    other = None if compare is None else Detector.load(compare, device=device)
    say = speaker(quiet)
    for note in detector.notes:
        say(note)
    report_rounding(imgsz, say)
    data, named = data_of_run(weights, data), data
    if data != named:
        say(f"--data {named}: taken from where the run of the weights was begun, {data}.")
    evaluate = partial(
        Detector.val,
        data=data,
        split=split,
        imgsz=imgsz,
        batch=batch,
        workers=workers,
        square=square,
        skip_broken=skip_broken,
        single_cls=single_cls,
        conf=conf,
        iou=iou,
        max_det=max_det,
        tile=tile,
        overlap=overlap,
        tta=tta,
        record=compare is not None,
    )
    with progress_on_terminal() if not quiet else nullcontext():
        evaluation = evaluate(detector)
    metrics, seconds = evaluation.metrics, evaluation.seconds
    say(f"{weights} on {data}, {split}: {counted(metrics.images, 'image')}, {counted(metrics.instances, 'instance')}")
    for note in evaluation.notes:
        say(note)
    for line in class_table(metrics, line_width(SafeStream("stdout"))).split("\n"):
        say(line)
    if metrics.instances:
        say(f"P, R and F1 at confidence {metrics.confidence:.3f}, IoU 0.5.")
    say(describe_false_positives(metrics))
    say(
        f"Milliseconds per image: preprocess {seconds.preprocess * 1e3:.1f}, inference {seconds.inference * 1e3:.1f}, "
        f"postprocess {seconds.postprocess * 1e3:.1f}."
    )
    numbers = evaluation.as_dict()
    if other is not None:
        with progress_on_terminal() if not quiet else nullcontext():
            found = _compared(evaluate(other), evaluation)
        say(f"{weights}: {found.describe(str(compare))}.")
        numbers["compared"] = asdict(found)
    if json is not None:
        write_json(json, numbers)
    if folder is not None:
        _analyze(evaluation, folder, weights, data, split, say)


def _folder(named: list[Path]) -> Path:
    """The folder of the analysis, checked before any work is done.

    Raises:
        InputError: it is taken, or cannot be made.
    """
    from lehr.checkpoint.run_folder import first_free
    from lehr.cli.output import check_output_folder

    folder = named[0] if named else first_free(Path("runs"), "val")
    check_output_folder(folder, "--analyze")
    return folder


def _analyze(
    evaluation: Evaluation, folder: Path, weights: Path, data: str, split: str, say: Callable[[str], None]
) -> None:
    """Write the page of an evaluation, and say what came out.

    Raises:
        InputError: a file cannot be written.
    """
    from lehr.analysis.record import make_record
    from lehr.checkpoint.run_folder import PAGE
    from lehr.errors import InputError
    from lehr.report.analysis_page import write_analysis

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}). Choose another --analyze.") from None
    summary = [("Weights", str(weights)), ("Data", data), ("Split", split)]
    record = make_record(evaluation)
    answers, late = write_analysis(record, folder, f"{weights.name} on {split}", summary, evaluation.notes)
    for answer in answers:
        say(answer)
    say(f"Page: {folder / PAGE}")
    if late:
        say(f"Plots need matplotlib. {how_to_install('plots')}")


def _compared(before: Evaluation, after: Evaluation) -> Comparison:
    from lehr.evaluation.bootstrap import compare

    assert before.record is not None and after.record is not None
    return compare(before.record, after.record)
