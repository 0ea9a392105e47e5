"""The text of `lehr train --explain`."""

from __future__ import annotations

from lehr.augment.augmentation import find_augmentation, is_code, probabilities
from lehr.config import TrainConfig
from lehr.preview import describe_without_effect, preview
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.technique import State, Technique
from lehr.techniques.catalog import techniques


def explanation(config: TrainConfig) -> str:
    """All techniques of a run: those that are on with value, reason, page and how to turn them off; then the others.

    Raises:
        InputError: the data set cannot be read, or the warmup is longer than the run.
    """
    run = preview(config)
    states = [(technique, technique.in_run(run)) for technique in techniques()]
    head = (
        f"{config.model.model} on {config.data.data}: {counted(run.images, 'image')} to train, "
        f"{counted(run.classes, 'class')}, "
        f"{counted(run.plan.epochs, 'epoch')} of {counted(run.plan.batches, 'batch')} at {config.imgsz} pixels"
    )
    on = [line for technique, state in states if state.on for line in _lines(technique, state)]
    on += _of_packages(config)
    off = [line for technique, state in states if not state.on for line in _lines_off(technique, state)]
    notes = (*config.notes, *run.plan.notes, *describe_without_effect(run))
    return "\n".join(map(one_line, [head, *notes, "", "On:", *on, "", "Off:", *off]))


def _lines(technique: Technique, state: State) -> list[str]:
    off = f"; off: {state.change}" if state.change else ""
    return [f"  {technique.name}: {state.value}", f"      {technique.why}", f"      {technique.path}{off}"]


def _lines_off(technique: Technique, state: State) -> list[str]:
    if state.no_effect:
        return [f"  {technique.name}: has no effect: {state.no_effect}", f"      {technique.path}"]
    change = f"; on: {state.change}" if state.change else ""
    return [f"  {technique.name}: {technique.why}", f"      {technique.path}{change}"]


def _of_packages(config: TrainConfig) -> list[str]:
    """The augmentations of other packages that a run has."""
    lines = []
    for name, probability in probabilities(config.augment.augmentation):
        if probability == 0:
            continue
        found = "code of your own" if is_code(name) else find_augmentation(name).why
        why = found or "an augmentation of another package"
        lines += [f"  {name}: probability {probability:g}", f"      {why}", f"      off: without --augmentation {name}"]
    return lines
