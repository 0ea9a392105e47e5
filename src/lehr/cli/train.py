"""`lehr train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lehr.cli.options import Quiet
from lehr.cli.train_options import RunArguments, RunParameter
from lehr.distributed.environment import world
from lehr.errors import InputError
from lehr.options.help_groups import HelpGroup

Resume = Annotated[
    list[Path] | None,
    Parameter(
        help="Resume an interrupted run: its folder or a checkpoint; without a value, the newest.",
        metavar="RUN",
        consume_multiple=(0, 1),
        negative=(),
        group=HelpGroup.BASICS,
        show_default=False,
    ),
]


def train(
    *,
    run: RunParameter = RunArguments(),
    resume: Resume = None,
    explain: Annotated[bool, Parameter(negative=(), group=HelpGroup.TRAINING)] = False,
    quiet: Quiet = False,
) -> None:
    """Train a detector, or resume a run.

    Without options, it trains YOLOv8n on generated images for a few minutes. The run's folder holds the best weights,
    results.csv and report.html. Ctrl-C saves the run's state; --resume continues it.

    Parameters
    ----------
    explain:
        List the techniques in use and why, and do not train.

    Examples
    --------
    Fine-tune published weights on your own data:
        lehr train data.yaml --weights yolov8n.pt --epochs 100
    Train from random weights, on two GPUs:
        lehr train data.yaml --model yolov8s --device 0,1
    Resume the newest run after it was interrupted:
        lehr train --resume
    """
    from lehr.cli.output import check_writable, show, show_command

    if resume is not None:
        if run.config is not None or run.hyp is not None or explain:
            raise InputError("--resume: goes with no --config, --hyp or --explain; a run resumes with its own options.")
        changes = run.given()
        _resume(resume[0] if resume else None, changes, verbose=not quiet)
        return
    settings = run.settings()
    if explain:
        from lehr.cli.explanation import explanation

        show(explanation(settings))
        return

    from lehr.runtime.tuning import tune_process

    check_writable(settings.run.project, "--project")
    tune_process()
    from lehr.engine.run import train as train_detector
    from lehr.runtime.plain_text import one_line

    best = train_detector(settings, verbose=not quiet).best
    if quiet or world().rank > 0:  # of several, started by torchrun
        return
    weights, size = one_line(str(best)), f"--imgsz {settings.imgsz}"
    tiles = "" if settings.data.tile is None else f" --tile {settings.data.tile} --overlap {settings.data.overlap:g}"
    show("\nNext, try:")
    for what, command in (
        ("evaluate it", f"lehr val --weights {weights} --data {one_line(settings.data.data)} {size}{tiles}"),
        ("SOURCE: your own images, folders or globs", f"lehr predict --weights {weights}{tiles} SOURCE"),
        ("your own data; `lehr data check YOUR.yaml` first", "lehr train --data YOUR.yaml"),
    ):
        show(f"  # {what}")
        show_command(command, "  ")


def _resume(target: Path | None, changes: dict[str, Any], verbose: bool) -> None:
    from lehr.runtime.tuning import tune_process

    tune_process()
    from lehr.engine.run import resume

    resume(target, changes, verbose=verbose)
