"""`lehr train`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lehr.cli.train_options import Augment, Config, Data, Hyp, Loss, Model, Run, Schedule, merged
from lehr.options import AugmentOptions, DataOptions, LossOptions, ModelOptions, RunOptions, ScheduleOptions


def train(
    *,
    data: Data = DataOptions(),
    model: Model = ModelOptions(),
    schedule: Schedule = ScheduleOptions(),
    loss: Loss = LossOptions(),
    augment: Augment = AugmentOptions(),
    run: Run = RunOptions(),
    config: Config = None,
    hyp: Hyp = None,
    explain: Annotated[bool, Parameter(negative=(), group="Files")] = False,
) -> None:
    """Train a detector; without options, YOLOv8n on the generated data set `shapes`, a few minutes on two cores.

    The run's folder holds config.yaml, results.csv, train.log, best.safetensors and last.safetensors. Ctrl-C ends at
    the next step, with weights written.

    Parameters
    ----------
    explain:
        List the techniques with their values and reasons, and do not train.
    """
    settings = merged(data, model, schedule, loss, augment, run, config=config, hyp=hyp)

    from lehr.cli.output import say

    if explain:
        from lehr.cli.explanation import explanation

        say(explanation(settings))
        return

    from lehr.engine.memory import keep_memory

    keep_memory()
    from lehr.engine.trainer import train as train_detector

    best = train_detector(settings).best
    say(
        f"\nNext, try:\n"
        f"  lehr val --weights {best} --data {settings.data.data} --imgsz {settings.imgsz}\n"
        f"  lehr predict --weights {best} SOURCE      your own images, folders or globs\n"
        f"  lehr train --data YOUR.yaml                your own data; `lehr data check YOUR.yaml` first"
    )
