"""Pretrained start: detected before a run starts; learning rates and warmup for trained weights.

Trained weights improve with small steps, and large ones destroy what they know. So if most tensors of a model start
from weights that know all its classes, `--optimizer auto` reduces its rate, and the warmup is short. Classes that start
from random values have everything to learn, which takes larger
steps: with one of these the rates are those of a random start. From any weights the warmup lifts no biases
(`techniques/auto.py`, `techniques/plan.py`; measured in `docs/fine-tuning.md`).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from lehr.config import TrainConfig
from lehr.data.relocation import weights_source
from lehr.errors import InputError
from lehr.models.build import build_model, build_without_memory
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique
from lehr.weights.metadata import WeightsMetadata
from lehr.weights.source import open_weights
from lehr.weights.transfer import Selection, Transfer, select_fitting


def starts_trained(config: TrainConfig, classes: int) -> bool:
    """Return whether a planned run starts from trained weights that provide at least half of the tensors of its model.

    Args:
        config: its options.
        classes: number of classes.
    """
    if config.model.weights is None:
        return False
    selection = _selection(config, tuple(map(str, range(classes))), reset=config.model.reset_head)
    return selection is None or selection.outcome.is_most


def known_classes(config: TrainConfig, names: tuple[str, ...]) -> float:
    """Return the share of classes that a planned run starts from its weights, 0 to 1; 1 without weights.

    Args:
        config: its options.
        names: the class names.
    """
    transfer = expected_transfer(config, names)
    return 1.0 if transfer is None else transfer.known


def expected_transfer(config: TrainConfig, names: tuple[str, ...]) -> Transfer | None:
    """Return what a planned run loads from its weights; None without weights or with unreadable ones.

    Args:
        config: its options.
        names: the class names.
    """
    selection = _selection(config, names, reset=config.model.reset_head)
    return None if selection is None else selection.outcome


def _selection(config: TrainConfig, names: tuple[str, ...], reset: bool) -> Selection | None:
    """Select what fits; None without readable weights, which the run itself reports."""
    weights, options = weights_source(config), config.model
    if weights is None:
        return None
    try:
        status = weights.stat()
        state = (status.st_mtime_ns, status.st_size, status.st_ino)
        return _selected(weights, state, options.model, names, options.depth, options.width, options.anchors, reset)
    except (InputError, OSError):
        return None


@lru_cache(maxsize=64)
def _selected(
    weights: Path,
    state: tuple[int, ...],
    model: str,
    names: tuple[str, ...],
    depth: float | None,
    width: float | None,
    anchors: int,
    reset: bool,
) -> Selection:
    """Select what fits, cached per file version: studies ask hundreds of times."""
    built = build_without_memory(model, names, depth=depth, width=width, anchors=anchors)
    built = built or build_model(model, names, depth=depth, width=width, anchors=anchors)
    return select_fitting(built, *_opened(weights, state), reset)


@lru_cache(maxsize=8)
def _opened(weights: Path, state: tuple[int, ...]) -> tuple[WeightsMetadata, dict[str, tuple[int, ...]]]:
    """Read a file's model description and tensor shapes; for files of other trainers this takes a second."""
    source = open_weights(weights)
    return source.details, source.shapes


def _without_effect(run: Run) -> dict[str, NoEffect]:
    if run.config.model.weights is None:
        return {"reset_head": NoEffect("no --weights are given")}
    if run.dataset is None:
        return {}
    kept, reset = (_selection(run.config, run.dataset.names, each) for each in (False, True))
    if kept is None or reset is None or (kept.whole, kept.rows.pairs) != (reset.whole, reset.rows.pairs):
        return {}
    return {"reset_head": NoEffect("no class layer would be loaded from the weights")}


TECHNIQUE = Technique(
    name="pretrained start",
    page="pretrained-start",
    section=Section.MODEL,
    order=10,
    options=("weights", "reset_head"),
    without_effect=_without_effect,
    why="features learned elsewhere need fewer images",
    state=lambda run: State(run.config.model.weights is not None, str(run.config.model.weights)),
    switches=(Switch("pretrained_start", {"weights": ...}, {"weights": None}, aliases=("weights",)),),
    turn_on="--weights FILE",
    code=("weights/transfer.py", "weights/class_rows.py"),
)
