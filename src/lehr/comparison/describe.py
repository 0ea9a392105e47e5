"""The comparison of two runs, in lines for people and in plain values for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from lehr.comparison.difference import DataComparison, Difference, ValueDifference
from lehr.comparison.parting import Parting, Stage
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line

MOST = 10
"""Images, options or tensors that are listed of each kind."""
STAGES: dict[Stage, str] = {
    "start": "the weights differ",
    "images": "the batch has different images",
    "pixels": "the batch has the same images with different pixels",
    "objects": "the batch has the same pixels with different objects",
    "size": "the batch is resized to a different size",
    "loss": "the same batch with the same weights has a different loss",
    "gradient": "the same loss has a different gradient",
    "rates": "the optimizer step has a different learning rate",
    "update": "the same gradient led to different weights",
    "validation": "the same training has different validation results",
}


def difference_lines(found: Difference) -> Iterator[str]:
    """Yield a comparison line by line, the answer last."""
    yield f"{found.first} and {found.second}"
    yield from _values("Options", found.options, flags=True)
    yield from _values("Options of the place and the machine", found.local, flags=True)
    yield from _values("Versions", found.versions)
    yield from _values("Machine", found.machine)
    yield from _data_lines(found.data)
    yield from found.notes
    yield from _parting_lines(found)
    yield _answer(found)


def difference_values(found: Difference) -> dict[str, Any]:
    """Return a comparison as plain values for JSON."""
    return {
        "equal": found.equal,
        "first": str(found.first),
        "second": str(found.second),
        "options": [asdict(each) for each in found.options],
        "local_options": [asdict(each) for each in found.local],
        "versions": [asdict(each) for each in found.versions],
        "machine": [asdict(each) for each in found.machine],
        "data": asdict(found.data),
        "parting": None if found.course.parting is None else asdict(found.course.parting),
        "compared": {
            "steps": found.course.steps,
            "logged_steps": found.course.logged,
            "epochs": found.course.epochs,
            "steps_of_one_run": found.course.missing,
        },
        "cause": found.cause,
        "culprits": list(found.culprits),
        "notes": list(found.notes),
    }


def option_flag(name: str) -> str:
    """An option as the shell writes it."""
    return f"--{name.replace('_', '-')}"


def _values(title: str, values: Sequence[ValueDifference], flags: bool = False) -> Iterator[str]:
    for each in values:
        name = option_flag(each.name) if flags else each.name
        yield f"{title}: {one_line(name)}: {_plain(each.first)}, {_plain(each.second)}"


def _plain(value: Any) -> str:
    return "unset" if value is None else one_line(str(value))


def _data_lines(data: DataComparison) -> Iterator[str]:
    if data.same is False and not data.images and data.classes is None:
        yield "Data: images, sizes, objects or class names differ; the runs did not record which."
    if data.classes is not None:
        first, second = (", ".join(map(one_line, names[:MOST])) for names in data.classes)
        yield f"Data: class names: {first}; {second}"
    for each in data.images[:MOST]:
        yield f"Data: {one_line(str(each))}"
    if len(data.images) > MOST:
        yield f"Data: and {counted(len(data.images) - MOST, 'more image')}; --json has all."


def _parting_lines(found: Difference) -> Iterator[str]:
    parting = found.course.parting
    if parting is None:
        return
    at = describe_place(parting)
    yield f"They diverge in {at}: {STAGES[parting.stage]}."
    yield f"  {one_line(parting.tensor)}: {one_line(parting.first)}, {one_line(parting.second)} ({parting.source})"
    if parting.others:
        listed = ", ".join(one_line(each) for each in parting.others[:MOST])
        yield f"  and {listed}{', ...' if len(parting.others) > MOST else ''}"
    if parting.images:
        named = ", ".join(str(each) for each in parting.images[:MOST])
        yield f"  images of the training split, from 0: {named}{', ...' if len(parting.images) > MOST else ''}"


def describe_place(parting: Parting) -> str:
    """Say in which epoch and step two runs diverge, counted from 1."""
    if parting.stage == "start":
        return f"epoch {parting.epoch} before step {parting.step}"
    if parting.step is None:
        return f"epoch {parting.epoch}"
    run = "" if parting.run_step == parting.step else f" (step {parting.run_step} of the run)"
    return f"epoch {parting.epoch}, step {parting.step}{run}"


def _answer(found: Difference) -> str:
    """The sentence that says what it comes to."""
    course = found.course
    if found.equal:
        return f"The runs are equal in everything that was compared: {_compared(found)}."
    if course.parting is None:
        what = _culprits(found)
        return f"The runs differ in {what}, but in nothing of what was compared of their training: {_compared(found)}."
    if found.cause == "data":
        return f"Likely cause: the data ({_culprits(found)})."
    if found.cause == "options":
        return f"Likely cause: {_culprits(found)}."
    if found.cause == "arithmetic":
        return f"Likely cause: different arithmetic; options and data are the same{_circumstances(found)}."
    return f"Likely cause: different pixels or different arithmetic; the options are the same{_circumstances(found)}."


def _culprits(found: Difference) -> str:
    named = [option_flag(each) if found.cause == "options" else one_line(each) for each in found.culprits]
    if not named:
        return "the data" if found.cause == "data" else "options"
    listed = ", ".join(named[:MOST]) + (", ..." if len(named) > MOST else "")
    if found.cause == "data":
        return f"image {listed}" if len(named) == 1 else f"images {listed}"
    return f"the option {listed}" if len(named) == 1 else f"the options {listed}"


def _circumstances(found: Difference) -> str:
    if not found.culprits:
        return ", and so are versions and machine; on a GPU --deterministic repeats bit for bit"
    return f"; different are {', '.join(map(one_line, found.culprits))}"


def _compared(found: Difference) -> str:
    course = found.course
    parts = [f"the digests of {counted(course.steps, 'step')}"] if course.steps else []
    parts += [f"the logged losses of {counted(course.logged, 'step')}"] if course.logged else []
    parts += [f"{counted(course.epochs, 'row')} of results.csv"] if course.epochs else []
    return ", ".join(["options", *(["data"] if found.data.same else []), *parts])
