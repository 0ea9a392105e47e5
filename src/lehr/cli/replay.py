"""`lehr replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.cli.options import Quiet
from lehr.runtime.counted import counted


def replay(
    run: Annotated[Path, Parameter(help="A run's folder, or a checkpoint in it.")],
    *,
    step: Annotated[int, Parameter(group="Step", validator=Number(gte=1))],
    epoch: Annotated[int | None, Parameter(group="Step", validator=Number(gte=1))] = None,
    weights: Annotated[Path | None, Parameter(group="Loss")] = None,
    loss: Annotated[bool, Parameter(group="Loss")] = True,
    out: Annotated[Path | None, Parameter(group="Output")] = None,
    json: Annotated[Path | None, Parameter(group="Output")] = None,
    quiet: Quiet = False,
    data: Annotated[str | None, Parameter(group="Run")] = None,
    keep_val: Annotated[str | None, Parameter(group="Run")] = None,
    device: Annotated[str | None, Parameter(group="Run")] = None,
    augmentation: Annotated[list[str] | None, Parameter(group="Run", negative=())] = None,
) -> None:
    """Make the batch of any step of a run again: its images with their boxes, files, augmentation, and its loss.

    All follows from the run's options and data. Nothing of the run is changed; nothing that its folder names is run.

    Parameters
    ----------
    step:
        The step, from 1: a batch. In its epoch with --epoch; else over the run, as the column `step` of results.csv.
    epoch:
        The epoch, from 1, as in results.csv.
    weights:
        Weights for the loss: a checkpoint of the run, or a .safetensors file (unset: last.ckpt or previous.ckpt,
        whichever is nearer to the step; else best.safetensors).
    loss:
        Compute the loss by part and by image, and the norm of the gradient, where the run has weights.
    out:
        Folder for the images, PNG with boxes (unset: `replay/epoch-E-step-S` in the run's folder).
    json:
        Write files, values, objects and losses to this file.
    data:
        The run's data, where they are now.
    keep_val:
        The run's older data, where they are now.
    device:
        Where it is computed: cpu, cuda, mps or a CUDA index (unset: the run's, where it is here).
    augmentation:
        Code that the run names as an augmentation, if you trust it: package.module:object[=PROBABILITY].
    """
    from lehr.cli.output import check_output, speaker, write_json

    check_output(json, "--json")
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
