"""The text of `lehr train --explain`."""

from __future__ import annotations

from lehr.config import TrainConfig
from lehr.explain import Technique, techniques
from lehr.preview import preview


def explanation(config: TrainConfig) -> str:
    """All techniques of a run: those that are on with value, reason, page and how to turn them off; then the others.

    Raises:
        InputError: the data set cannot be read, or the warmup is longer than the run.
    """
    run = preview(config)
    every = techniques(run)
    head = (
        f"{config.model.model} on {config.data.data}: {run.images} images to train, {run.classes} classes, "
        f"{run.plan.epochs} epochs of {run.plan.batches} batches at {config.imgsz} pixels"
    )
    on = [line for technique in every if technique.on for line in _lines(technique)]
    off = [f"  {each.name}: {each.why} ({each.page}; on: {each.value})" for each in every if not each.on]
    return "\n".join([head, *config.notes, "", "On:", *on, "", "Off:", *off])


def _lines(technique: Technique) -> list[str]:
    off = f"; off: {technique.off}" if technique.off else ""
    return [f"  {technique.name}: {technique.value}", f"      {technique.why} ({technique.page}{off})"]
