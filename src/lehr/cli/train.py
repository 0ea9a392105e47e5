"""`lehr train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lehr.cli.options import Quiet
from lehr.cli.train_options import (
    Augment,
    Config,
    Data,
    Devices,
    Hyp,
    Loss,
    Model,
    Run,
    Schedule,
    Speed,
    given_options,
    merged,
)
from lehr.distributed.environment import world
from lehr.errors import InputError
from lehr.options import (
    AugmentOptions,
    DataOptions,
    DeviceOptions,
    LossOptions,
    ModelOptions,
    RunOptions,
    ScheduleOptions,
    SpeedOptions,
    describe_may_change,
)

Resume = Annotated[
    list[Path] | None,
    Parameter(
        help="Go on with an interrupted run: its folder, a checkpoint in it, or nothing for the newest. Only "
        f"{describe_may_change()} may be given anew.",
        consume_multiple=(0, 1),
        negative=(),
        group="Files",
        show_default=False,
    ),
]


def train(
    *,
    data: Data = DataOptions(),
    model: Model = ModelOptions(),
    schedule: Schedule = ScheduleOptions(),
    loss: Loss = LossOptions(),
    augment: Augment = AugmentOptions(),
    speed: Speed = SpeedOptions(),
    devices: Devices = DeviceOptions(),
    run: Run = RunOptions(),
    config: Config = None,
    hyp: Hyp = None,
    resume: Resume = None,
    explain: Annotated[bool, Parameter(negative=(), group="Files")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a detector; without options, YOLOv8n on the generated data set `shapes`, a few minutes on two cores.

    The run's folder holds config.yaml, results.csv, train.log, best.safetensors, last.safetensors, and the whole
    training state in last.ckpt and previous.ckpt.

    Parameters
    ----------
    explain:
        List the techniques with their values and reasons, and do not train.
    """
    from lehr.cli.output import say

    if resume is not None:
        if config is not None or hyp is not None or explain:
            raise InputError("--resume: goes with no --config, --hyp or --explain; a run goes on with its own options.")
        changes = given_options(data, model, schedule, loss, augment, speed, devices, run)
        _go_on(resume[0] if resume else None, changes, verbose=not quiet)
        return
    settings = merged(data, model, schedule, loss, augment, speed, devices, run, config=config, hyp=hyp)
    if explain:
        from lehr.cli.explanation import explanation

        say(explanation(settings))
        return

    from lehr.runtime.malloc import tune_malloc

    tune_malloc()
    from lehr.engine.run import train as train_detector

    best = train_detector(settings, verbose=not quiet).best
    if quiet or world().rank > 0:  # of several, started by torchrun
        return
    say(
        f"\nNext, try:\n"
        f"  lehr val --weights {best} --data {settings.data.data} --imgsz {settings.imgsz}\n"
        f"  lehr predict --weights {best} SOURCE      your own images, folders or globs\n"
        f"  lehr train --data YOUR.yaml                your own data; `lehr data check YOUR.yaml` first"
    )


def _go_on(target: Path | None, changes: dict[str, Any], verbose: bool) -> None:
    from lehr.runtime.malloc import tune_malloc

    tune_malloc()
    from lehr.engine.run import resume

    resume(target, changes, verbose=verbose)
