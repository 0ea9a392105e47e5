"""Parts of a study without effect in its runs, which it skips: parameters of a search, techniques of an ablation.

Both are found by comparing what decides two runs (`lehr.techniques.effect`), nothing is trained.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lehr.config import build_config
from lehr.data.difficult import with_difficult
from lehr.errors import InputError
from lehr.preview import Preview, preview
from lehr.sample import Dataset
from lehr.search.ablation import Ablation
from lehr.search.records import Value
from lehr.techniques.effect import effective_options, without_effect


def with_options(run: Preview, options: Mapping[str, Any]) -> Preview:
    """Preview a run with some options changed.

    Args:
        run: the run.
        options: the changes, by flat name.

    Raises:
        InputError: they cannot be used.
    """
    config, now = build_config({**run.config.flat(), **options}), run.config.data

    def read() -> Dataset | None:
        dataset, data = run.dataset, config.data
        if dataset is None or (data.data, data.single_cls) != (now.data, now.single_cls):
            return None
        return with_difficult(dataset, data.difficult) if now.difficult in ("use", data.difficult) else None

    return preview(config, run.images, run.classes, read)


def ineffective_parameters(
    bounds: Mapping[str, Sequence[Value]], run: Preview, names: Collection[str] | None = None
) -> dict[str, str]:
    """Find the parameters of a search that change nothing, wherever the others are, and why.

    Args:
        bounds: the ends of each parameter, or its choices.
        run: the run as it is now.
        names: those to look at; None for all.
    """
    found: dict[str, str] = {}
    for name in bounds if names is None else names:
        others = {other: values for other, values in bounds.items() if other != name}
        if any(_matters(name, bounds[name], run, point) for point in _points(others)):
            continue
        found[name] = _reason(run, {name: bounds[name][-1]}, (name,))
    return found


def _points(others: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    """Places of the other parameters, at any of which one may have an effect: now, in the middle, and at their ends."""
    middle = {name: _between(values) for name, values in others.items()}
    yield {}
    yield middle
    yield {name: values[-1] for name, values in others.items()}
    yield {name: values[0] for name, values in others.items()}
    for name, values in others.items():
        if any(isinstance(value, str) for value in values):  # what one choice rules out, another may not
            yield from ({**others_at, name: value} for value in values for others_at in ({}, middle))


def _between(values: Sequence[Value]) -> Value:
    """A value between the ends; one of the choices if they are not numbers."""
    low, high = values[0], values[-1]
    if isinstance(low, str | bool) or isinstance(high, str | bool):
        return values[len(values) // 2]
    whole = isinstance(low, int) and isinstance(high, int)
    return (low + high) // 2 if whole else (low + high) / 2


def _matters(name: str, values: Sequence[Value], run: Preview, point: Mapping[str, Value]) -> bool:
    """Return whether a parameter changes a run at a place of the others; not where that cannot be trained."""
    try:
        first, *others = (effective_options(with_options(run, {**point, name: value})) for value in values)
    except InputError:
        return False
    return any(other != first for other in others)


def without_ineffective(ablation: Ablation, run: Preview, kept: Collection[str] = ()) -> tuple[Ablation, list[str]]:
    """Drop the techniques of an ablation whose runs with and without them would be the same.

    Techniques that are nothing but a name, with the same options on and off, stay: they measure the noise.

    Args:
        ablation: with all that were asked for.
        run: the run as it is now.
        kept: those that stay, since the study has begun with them.

    Returns:
        The ablation, and a line for each technique that is dropped.

    Raises:
        InputError: none is left, or a set of techniques cannot be trained.
    """
    planned = {on: with_options(run, ablation.with_techniques(on)) for on in ablation.sets()}
    decided = {on: effective_options(planned[on]) for on in planned}
    notes, left = [], dict(ablation.switches)
    for name, sides in ablation.switches.items():
        pairs = [(on, on - {name}) for on in planned if name in on and on - {name} in planned]
        if name in kept or sides.on == sides.off or any(decided[on] != decided[off] for on, off in pairs):
            continue
        del left[name]
        changed = [option for option in sides.on if sides.on[option] != sides.off[option]]
        notes.append(f"{name} is skipped: {_reason(planned[pairs[0][0]], {}, changed, planned[pairs[0][1]])}.")
    if not left:
        raise InputError("--techniques: no technique that is named has an effect here.\n" + "\n".join(notes))
    return replace(ablation, switches=left), notes


def _reason(run: Preview, changes: Mapping[str, Any], names: Sequence[str], other: Preview | None = None) -> str:
    """The reason why options have no effect, from a run where they are on, or another one."""
    runs = [run, other or run]
    with contextlib.suppress(InputError):
        runs.insert(0, with_options(run, changes))
    for each in runs:
        found = without_effect(each)
        for name in names:
            if name in found:
                return found[name].why
    return "all of its values come to the same run"
