"""`lehr import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.options.help_groups import HelpGroup
from lehr.runtime.counted import counted

if TYPE_CHECKING:
    from lehr.weights.published.checkpoint import Checkpoint

SHOWN = 20
"""Class names and entries that a line names."""


def import_(
    src: Annotated[Path, Parameter(name="SRC", group=HelpGroup.BASICS)],
    dst: Annotated[Path | None, Parameter(name="DST", group=HelpGroup.BASICS)] = None,
    *,
    names: Annotated[str | None, Parameter(group=HelpGroup.BASICS)] = None,
    imgsz: Annotated[int | None, Parameter(group=HelpGroup.BASICS, validator=Number(gte=1))] = None,
    json: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
) -> None:
    """Convert a checkpoint of YOLOv5, YOLOv8 or YOLOv3-SPP.

    Nothing in the file is run. Model, classes, anchors and image size are read from it. Every tensor is accounted for,
    and a forward pass is checked. --weights also takes such files directly. An ONNX export has BatchNorm merged in it;
    prefer the .pt file.

    Parameters
    ----------
    src:
        The checkpoint: a .pt, .pth or .onnx file.
    dst:
        The .safetensors file to write (unset: SRC with that ending).
    names:
        Class names: a data YAML, or names separated by commas; for files without names, or to replace them.
    imgsz:
        Image size of the model, pixels; rounded up to a multiple of 32 (unset: that of the file, else 640).
    json:
        Write what was read to this file.

    Examples
    --------
    Convert a checkpoint once, and use the result everywhere:
        lehr import yolov8n.pt
    Name the classes of a file that has no names:
        lehr import best.pt best.safetensors --names data.yaml
    """
    from lehr.cli.output import check_output, report_rounding, say, write_json
    from lehr.models.scale import rounded_size
    from lehr.runtime.plain_text import one_line
    from lehr.weights.published.checkpoint import import_checkpoint
    from lehr.weights.published.facts import given_names
    from lehr.weights.safetensors_file import write_weights
    from lehr.weights.stream import stream_weights

    destination = src.with_suffix(".safetensors") if dst is None else dst
    check_output(json, "--json")
    check_output(destination, "DST", (".safetensors",))
    _check_apart(destination, json)
    report_rounding(imgsz)
    named = None if names is None else given_names(names)
    checkpoint, digest = import_checkpoint(src, names=named, imgsz=None if imgsz is None else rounded_size(imgsz))
    _check_free(destination, digest)
    say(f"{src}: {checkpoint.summary}, read without running anything in it.")
    for note in checkpoint.notes:
        say(f"Note: {note}")
    say(f"Classes: {_listed(checkpoint.names)}.")
    say(f"Made by {checkpoint.facts.trainer or 'an unknown trainer'}{_stated(checkpoint)}.")
    say(f"{len(checkpoint.tensors)} of {counted(len(checkpoint.tensors), 'tensor')} taken, a forward pass is finite.")
    if checkpoint.entries:
        say(f"Not taken: {_listed(checkpoint.entries)}.")
    write_weights(stream_weights(checkpoint.tensors, checkpoint.metadata), destination)
    if json is not None:
        write_json(json, {**_as_dict(checkpoint), "file": str(src), "sha256": digest, "written": str(destination)})
    say(f"Written: {one_line(str(destination))}")


def _check_apart(destination: Path, json: Path | None) -> None:
    """Check that the weights and the JSON are two files.

    Raises:
        InputError: they are not.
    """
    from lehr.errors import InputError

    if json is not None and json.resolve() == destination.resolve():
        raise InputError(f"--json {json}: is where the weights go. Choose another --json file.")


def _check_free(destination: Path, digest: str) -> None:
    """Check that nothing is lost by writing: an earlier import of the same file may be written again.

    Raises:
        InputError: another file is there.
    """
    import contextlib

    from lehr.errors import InputError
    from lehr.weights.safetensors_file import DamagedTensors, read_header

    if not destination.exists():
        return
    with contextlib.suppress(DamagedTensors, OSError):
        if digest in read_header(destination).metadata.get("source", ""):
            return
    raise InputError(f"{destination}: exists already, and is not an earlier import of this file. Name another file.")


def _stated(checkpoint: Checkpoint) -> str:
    """Return the date and licence that a file states, as the end of a sentence."""
    texts = checkpoint.facts.texts
    date = f" on {texts['date'][:10]}" if "date" in texts else ""
    return date + (f"; it states its licence as {texts['license']}" if "license" in texts else "")


def _listed(values: tuple[str, ...]) -> str:
    from lehr.runtime.plain_text import one_line

    rest = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(map(one_line, values[:SHOWN])) + rest


def _as_dict(checkpoint: Checkpoint) -> dict[str, Any]:
    from json import loads

    from lehr.models.detection import STRIDES

    identity, facts = checkpoint.identity, checkpoint.facts
    anchors = checkpoint.metadata.get("anchors")
    return {
        "model": identity.model,
        "depth": identity.depth,
        "width": identity.width,
        "names": list(checkpoint.names),
        "imgsz": checkpoint.imgsz,
        "anchors": None if anchors is None else loads(anchors),
        "strides": list(STRIDES),
        "ema": checkpoint.averaged,
        "epoch": facts.epoch,
        "epochs": facts.epochs,
        "metrics": dict(facts.metrics),
        "trainer": facts.trainer,
        **facts.texts,
        "notes": list(checkpoint.notes),
        "not_taken": list(checkpoint.entries),
        "tensors": {
            name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
            for name, tensor in checkpoint.tensors.items()
        },
    }
