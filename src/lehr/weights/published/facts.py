"""Facts that a checkpoint states next to its tensors: class names, image size, epoch, metrics, who wrote it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lehr.errors import InputError
from lehr.models.limits import MAX_NAME
from lehr.models.scale import STRIDE, Scale, rounded_size
from lehr.options.data import MAX_IMGSZ
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.weights.published.contents import Contents
from lehr.weights.published.stand_in import Refused, StandIn
from lehr.yaml_files import read_mapping

DEFAULT_SIZE = 640
"""Image size of the published trainers where a file does not say it, pixels."""
MAX_TEXT, MAX_METRICS = 200, 50
"""Characters of a text that is kept, and metrics."""
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts that a checkpoint states.

    Attributes:
        names: the class names; None if it has none.
        imgsz: longest side that was trained with, pixels; None if it does not say.
        epoch: the epoch that the weights are of, from 1; None if that is not known.
        epochs: the epochs that the training was planned for; None likewise.
        metrics: metrics of these weights on the data of the training.
        trainer: who wrote the file, with the version where it has one.
        texts: further texts by name: its licence, date and commit.
        scales: depths and widths that it states.
    """

    names: tuple[str, ...] | None
    imgsz: int | None
    epoch: int | None
    epochs: int | None
    metrics: Mapping[str, float]
    trainer: str
    texts: Mapping[str, str] = field(default_factory=dict)
    scales: Sequence[Scale] = ()


def read_facts(contents: Contents) -> Facts:
    """Collect the facts next to the weights of a checkpoint."""
    entries, models = contents.entries, contents.models
    options = [*map(as_table, (entries.get("train_args"), entries.get("opt")))]
    options += [*(as_table(model.attributes.get("args")) for model in models), {"imgsz": entries.get("imgsz")}]
    names = [_names(model.attributes.get("names")) for model in models] + [_names(entries.get("names"))]
    metrics = _metrics(entries)
    number = entries.get("epoch")
    epoch = number + 1 if isinstance(number, int) and number >= 0 else _epoch_of(metrics, entries)
    package = models[-1].name.partition(".")[0] if models else ""
    version = _text(entries.get("version"))
    git = as_table(entries.get("git"))
    texts = {"license": entries.get("license"), "date": entries.get("date"), "commit": git.get("commit")}
    return Facts(
        names=next((each for each in names if each is not None), None),
        imgsz=next((size for each in options if (size := _size(each)) is not None), None),
        epoch=epoch,
        epochs=next((each["epochs"] for each in options if _is_count(each.get("epochs"))), None),
        metrics=metrics,
        trainer=" ".join(filter(None, (_trainer(package, models) or _text(entries.get("author")), version))),
        texts={name: text for name, value in texts.items() if (text := _text(value)) is not None},
        scales=[scale for model in models for scale in _scales(as_table(model.attributes.get("yaml")))],
    )


def as_table(value: object) -> Mapping[Any, Any]:
    """A dictionary, or the attributes of an object that holds options; empty for anything else."""
    if isinstance(value, StandIn):
        return value.attributes
    return value if isinstance(value, dict) else {}


def check_names(names: tuple[str, ...] | None, classes: int, given: bool = False) -> None:
    """Check that class names are as many as the head's classes.

    Args:
        names: the class names; None if nobody says them.
        classes: those of the head.
        given: the user gave the names; else they are those of the file.

    Raises:
        Refused: they are not.
    """
    if names is None or len(names) == classes:
        return
    if given:
        raise Refused(f"has {counted(classes, 'class')}, and --names gives {len(names)}. Give a name for each.")
    raise Refused(f"names {counted(len(names), 'class')}, but its head has {classes}. Give a checkpoint that is whole.")


def given_names(text: str) -> tuple[str, ...]:
    """Class names as they are given: a data YAML, or names with commas between.

    Raises:
        InputError: the YAML cannot be read or has none, or a name is empty.
    """
    if Path(text).suffix.lower() in (".yaml", ".yml"):
        names = _names(read_mapping(Path(text)).get("names"))
        if names is None:
            raise InputError(f"--names {text}: has no list of class names under 'names'.")
        return names
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise InputError(f"--names {text}: has an empty name. Give names with commas between, or a data YAML.")
    return names


def _names(value: object) -> tuple[str, ...] | None:
    """Class names, which stand as a list or by number."""
    if isinstance(value, dict):
        if not value or set(value) != set(range(len(value))):
            return None
        value = [value[index] for index in range(len(value))]
    if not isinstance(value, list | tuple) or not value:
        return None
    named = [str(each) for each in value if isinstance(each, str | int | float)]
    return tuple(named) if len(named) == len(value) and all(len(each) <= MAX_NAME for each in named) else None


def _size(options: Mapping[Any, Any]) -> int | None:
    """The image size of a training's options, in pixels, as Lehr takes it."""
    value = options.get("imgsz", options.get("img_size"))
    sides = value if isinstance(value, list | tuple) else [value]
    if not sides or not all(_is_count(side) for side in sides):
        return None
    side = rounded_size(int(max(sides)))
    return side if STRIDE <= side <= MAX_IMGSZ else None


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 1


def _metrics(entries: Mapping[Any, Any]) -> dict[str, float]:
    """Metrics by name, as the file names them; `fitness` where it has one number alone."""
    found = {
        name[:MAX_TEXT]: float(value)
        for name, value in list(as_table(entries.get("train_metrics")).items())[:MAX_METRICS]
        if isinstance(name, str) and isinstance(value, int | float) and math.isfinite(value)
    }
    best = entries.get("best_fitness")
    if not found and isinstance(best, int | float) and math.isfinite(best):
        found["fitness"] = float(best)
    return found


def _epoch_of(metrics: Mapping[str, float], entries: Mapping[Any, Any]) -> int | None:
    """The epoch whose row in the table of results has the metrics of the weights; None if none or several have.

    Trainers take the number of the epoch out of a finished checkpoint, but leave the table.
    """
    table = as_table(entries.get("train_results"))
    columns = [(value, table[name]) for name, value in metrics.items() if isinstance(table.get(name), list)]
    if not columns or not isinstance(table.get("epoch"), list):
        return None
    rows = [
        epoch
        for index, epoch in enumerate(table["epoch"])
        if all(index < len(column) and _same(column[index], value) for value, column in columns)
    ]
    return rows[0] if len(rows) == 1 and isinstance(rows[0], int) and rows[0] >= 1 else None


def _same(one: object, other: float) -> bool:
    return isinstance(one, int | float) and abs(one - other) <= ROUNDING


def _trainer(package: str, models: Sequence[StandIn]) -> str:
    """Who wrote a checkpoint, by the package that its model is of."""
    if package == "ultralytics":
        return "Ultralytics"
    return "the YOLOv5 or YOLOv3 repository" if package == "models" else one_line(package)[:MAX_TEXT]


def _scales(description: Mapping[Any, Any]) -> list[Scale]:
    """Depth and width of a model's own description."""
    pairs = [(description.get("depth_multiple"), description.get("width_multiple"))]
    scales, letter = description.get("scales"), description.get("scale")
    if isinstance(scales, dict) and isinstance(letter, str) and isinstance(scales.get(letter), list | tuple):
        pairs += [tuple(scales[letter][:2])] if len(scales[letter]) >= 2 else []
    return [
        Scale(float(depth), float(width))
        for depth, width in pairs
        if isinstance(depth, int | float) and isinstance(width, int | float) and depth > 0 and width > 0
    ]


def _text(value: object) -> str | None:
    """A text as it may be kept: one line, and short; None for anything else."""
    return one_line(value)[:MAX_TEXT] if isinstance(value, str) and value and value != "None" else None
