"""`lehr schedule`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.cli.train_options import RunArguments, RunParameter
from lehr.config import TrainConfig, build_config
from lehr.errors import InputError
from lehr.options.help_groups import HelpGroup
from lehr.runtime.counted import counted


def schedule(
    *,
    plot: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    csv: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    compare: Annotated[list[str] | None, Parameter(group=HelpGroup.OUTPUT, negative=(), metavar="OPTIONS")] = None,
    images: Annotated[int | None, Parameter(group=HelpGroup.OUTPUT, validator=Number(gte=1))] = None,
    classes: Annotated[int | None, Parameter(group=HelpGroup.OUTPUT, validator=Number(gte=1))] = None,
    run: RunParameter = RunArguments(),
) -> None:
    """Show the learning rates of a run before it is trained.

    Takes the options of `lehr train`. Prints rates, momentum and accumulation; decodes no image and builds no model.

    Parameters
    ----------
    plot:
        Draw the curves into this .png, .svg or .pdf file.
    csv:
        Write a row per step to this file.
    compare:
        Compare with "option=value option=value"; may be repeated.
    images:
        Training images (unset: those of --data).
    classes:
        Number of classes (unset: those of --data).

    Examples
    --------
    See the learning rates of a training:
        lehr schedule data.yaml --epochs 100
    Compare two schedules, without a data set:
        lehr schedule --images 5000 --classes 3 --compare cos_lr=True
    """
    from lehr.cli.output import PICTURES, check_output, say, show
    from lehr.preview import preview
    from lehr.techniques.plan import write_csv
    from lehr.techniques.schedule import schedule_name

    check_output(csv, "--csv")
    check_output(plot, "--plot", PICTURES)
    settings = run.settings()
    first = preview(settings, images, classes)
    given = f"{schedule_name(settings.schedule)} schedule, {settings.schedule.warmup} warmup"
    plans = {given if compare else settings.model.model: first.plan}
    for text in compare or ():
        plans[text] = preview(_changed(settings, text), first.images, first.classes, first.read).plan
    for note in settings.notes:
        say(note)
    for number, (name, plan) in enumerate(plans.items()):
        choice = plan.optimizer
        show(
            f"{'' if number == 0 else chr(10)}{name}: {counted(plan.epochs, 'epoch')} of "
            f"{counted(plan.batches, 'batch')} of "
            f"{plan.batch}, {counted(plan.steps, 'step')}; {choice.name}, lr0 {choice.lr0:g}, warmup "
            f"{counted(plan.warmup, 'step')}"
        )
        show(plan.table())
        for note in plan.notes:
            say(note)
    if csv is not None:
        write_csv(first.plan, csv)
    if plot is not None:
        from lehr.plots.schedule import plot_schedules

        plot_schedules(plans, plot)
    for path in (csv, plot):
        if path is not None:
            say(f"Written: {path}")


def _changed(settings: TrainConfig, text: str) -> TrainConfig:
    """The same configuration with some options changed, from "option=value option=value".

    Raises:
        InputError: the text is no such list, or an option is unknown or out of range.
    """
    changes: dict[str, Any] = {}
    for word in text.replace(",", " ").split():
        name, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"--compare '{text}': '{word}' must be option=value, e.g. lr-schedule=cosine.")
        name = name.lstrip("-").replace("-", "_")
        changes[name] = yaml.safe_load(value)
        if name == "cos_lr":
            changes.setdefault("lr_schedule", None)
    return build_config({**settings.flat(), **changes}, f"--compare '{text}'")
