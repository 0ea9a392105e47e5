"""`lehr replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.cli.options import Quiet
from lehr.options.help_groups import HelpGroup
from lehr.runtime.counted import counted


def replay(
    run: Annotated[Path, Parameter(group=HelpGroup.BASICS, help="A run's folder, or a checkpoint in it.")],
    *,
    step: Annotated[int, Parameter(group=HelpGroup.BASICS, validator=Number(gte=1))],
    epoch: Annotated[int | None, Parameter(group=HelpGroup.BASICS, validator=Number(gte=1))] = None,
    weights: Annotated[Path | None, Parameter(group=HelpGroup.BASICS)] = None,
    loss: Annotated[bool, Parameter(group=HelpGroup.OUTPUT)] = True,
    out: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT, metavar="FOLDER")] = None,
    json: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    quiet: Quiet = False,
    data: Annotated[str | None, Parameter(group=HelpGroup.DATA)] = None,
    keep_val: Annotated[str | None, Parameter(group=HelpGroup.DATA)] = None,
    device: Annotated[str | None, Parameter(group=HelpGroup.DATA)] = None,
    augmentation: Annotated[list[str] | None, Parameter(group=HelpGroup.DATA, negative=())] = None,
) -> None:
    """Rebuild the batch of any step of a run.

    Shows its images with boxes, their files, augmentation and losses. Nothing of the run is changed,
    and no code that its folder names is run.

    Parameters
    ----------
    step:
        The step, from 1: within --epoch, else over the run.
    epoch:
        The epoch, from 1, as in results.csv.
    weights:
        Weights for the loss: a checkpoint or .safetensors (unset: the nearest checkpoint of the run).
    loss:
        Compute the losses and the norm of the gradient.
    out:
        Folder for the images (unset: replay/epoch-E-step-S in the run's folder).
    json:
        Write files, values, objects and losses to this file.
    data:
        Current place of the run's data.
    keep_val:
        Current place of the run's older data.
    device:
        cpu, cuda, mps, or a GPU such as 0 (unset: that of the run).
    augmentation:
        Code that the run names, if you trust it; as package.module:object[=PROBABILITY].

    Examples
    --------
    Look at the batch of a step whose loss was high:
        lehr replay runs/train --step 1200
    Look at the third step of epoch 5:
        lehr replay runs/train --epoch 5 --step 3
    """
    from lehr.cli.output import check_output, check_writable, speaker, write_json

    check_output(json, "--json")
    if out is not None:
        check_writable(out, "--out")
    from lehr.runtime.tuning import tune_process

    tune_process()
    from lehr.engine.past_batches import open_past_batches
    from lehr.engine.past_check import check_digests
    from lehr.engine.past_loss import nearest_weights, past_loss
    from lehr.engine.past_report import report, report_lines, write_images

    given = {"data": data, "keep_val": keep_val, "device": device, "augmentation": augmentation}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    past = open_past_batches(run, changes)
    place = past.place(epoch, step)
    made = past.make(place)
    files = weights or nearest_weights(past.folder, place)
    found = past_loss(past, made, files) if loss and files is not None else None
    check, say = check_digests(past, made), speaker(quiet)
    for line in report_lines(past, made, found, check):
        say(line)
    if loss and files is None:
        say(f"{past.folder} has no weights yet, so there is no loss; --weights names some.")
    folder = out or past.folder / "replay" / f"epoch-{place.epoch + 1}-step-{place.number + 1}"
    if out is None:
        _refuse_link(folder.parent)
    written = write_images(past, made, folder)
    say(f"Written: {folder}, {counted(len(written), 'image')}")
    if json is not None:
        write_json(json, report(past, made, found, written, check))
        say(f"Written: {json}")


def _refuse_link(folder: Path) -> None:
    """Make a folder in the run's, which may come from anybody, where no link leads away."""
    from lehr.errors import InputError
    from lehr.runtime.atomic_write import make_inner_folder

    try:
        make_inner_folder(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}). Name a folder for the images: --out.") from None
