"""Evaluations of a run: on its validation split, and on older data if it keeps some; and their row in results.csv."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lehr.checkpoint.results_csv import Row
from lehr.data.requests import BatchRequest
from lehr.engine.setup import Setup
from lehr.evaluation.evaluator import Evaluation, evaluate
from lehr.evaluation.metrics import Metrics
from lehr.sample import Sample


def validate(setup: Setup, on_batch: Callable[[int], None], stop: Callable[[], bool]) -> Evaluation:
    """Evaluate the weights of a run on its validation split, with the loss.

    Args:
        setup: the run.
        on_batch: called after each batch with the number of images evaluated, by this process.
        stop: returns after each batch whether to skip the rest.

    Raises:
        EvaluationStopped: one of the processes was asked to stop.
        InputError: no image can be read.
    """
    record = setup.state.guard is not None
    how: dict[str, Any] = {"loss": setup.loss, "record": record, "on_batch": on_batch, "stop": stop}
    return _evaluate(setup, setup.val_samples, setup.val_requests, **how)


def evaluate_older(setup: Setup, on_batch: Callable[[int], None], stop: Callable[[], bool]) -> Evaluation | None:
    """Evaluate the weights of a run on its older data, on the classes that both have; None without older data.

    Args:
        setup: the run.
        on_batch: called after each batch with the number of images evaluated, by this process.
        stop: returns after each batch whether to skip the rest.

    Raises:
        EvaluationStopped: one of the processes was asked to stop.
        InputError: no image can be read.
    """
    older, record = setup.older, setup.state.older_guard is not None
    if older is None:
        return None
    classes: dict[str, Any] = {"names": older.names, "columns": older.columns, "first": len(setup.val_samples)}
    how: dict[str, Any] = {"record": record, "on_batch": on_batch, "stop": stop}
    return _evaluate(setup, older.evaluated, setup.older_requests, **classes, **how)


def _evaluate(setup: Setup, samples: Sequence[Sample], requests: Sequence[BatchRequest], **how: Any) -> Evaluation:
    """Evaluate the weights of a run on some samples, by the loader of its validation.

    Args:
        setup: the run.
        samples: the split.
        requests: its batches.
        how: further arguments of `evaluate`.
    """
    state = setup.state
    return evaluate(
        state.evaluated_model.eval(),
        samples,
        setup.val_loader,
        requests,
        precision=state.precision,
        timed=False,
        max_det=setup.config.run.max_det,
        ranks=setup.ranks,
        **how,
    )


def epoch_row(setup: Setup, evaluation: Evaluation, older: Metrics | None, seconds: float) -> Row:
    """Build the row of results.csv of the finished epoch.

    Args:
        setup: the run, its state that of the epoch.
        evaluation: of the validation split.
        older: the numbers on the older data; None without older data.
        seconds: spent on the run.
    """
    state, parts = setup.state, setup.loss.parts
    rates, scale = setup.plan.at(max(0, state.step - 1)), state.recovery.lr_scale
    return {
        "epoch": state.epoch + 1,
        "step": state.step,
        "seconds": round(seconds, 3),
        "images_per_second": round(state.sums.images_per_second, 2),
        **{f"train/{part}": value for part, value in zip(parts, state.sums.mean_losses(), strict=True)},
        **{f"val/{part}": value for part, value in zip(parts, evaluation.loss or (), strict=True)},
        **metric_columns("val", evaluation.metrics),
        **({} if older is None else metric_columns("keep", older)),
        **{f"lr/{group}": rate for group, rate in rates.by_group(scale).items()},
        "skipped": state.sums.skipped,
        "replaced": state.sums.replaced,
        "grad/norm": state.sums.mean_norm,
        "grad/clipped": state.sums.clipped_share if setup.config.schedule.clip_norm else None,
    }


def record_start(setup: Setup, evaluation: Evaluation, older: Metrics | None, seconds: float) -> bool:
    """Record the weights that a run starts from as its best so far, with row 0; return whether they are.

    Args:
        setup: the run, its state that of the start.
        evaluation: of the validation split.
        older: the numbers on the older data; None without older data.
        seconds: spent on the run.
    """
    state = setup.state
    assert state.guard is not None
    better = state.stopping.update(-1, evaluation.metrics.measured_fitness)
    if better:
        state.best_metrics = evaluation.metrics
    state.guard.start = evaluation.record
    state.history.append(start_row(setup, evaluation, older, seconds))
    return better


def start_row(setup: Setup, evaluation: Evaluation, older: Metrics | None, seconds: float) -> Row:
    """Build the row of results.csv of an evaluated start: epoch 0, without training values.

    Args:
        setup: the run, its state that of the start.
        evaluation: of the validation split.
        older: the numbers on the older data; None without older data.
        seconds: spent on the run.
    """
    row = epoch_row(setup, evaluation, older, seconds)
    of_training = {name for name in row if name.startswith(("train/", "lr/", "grad/"))}
    return {**row, **dict.fromkeys((*of_training, "images_per_second")), "epoch": 0}


def metric_columns(prefix: str, metrics: Metrics) -> Row:
    """Return the columns of results.csv for an evaluation.

    Args:
        prefix: prefix before the slash of each column.
        metrics: the numbers.
    """
    m = metrics
    numbers: Row = {
        "precision": m.precision,
        "recall": m.recall,
        "f1": m.f1,
        "map50": m.map50,
        "map75": m.map75,
        "map": m.map,
        "map50_max_det": m.map50_max_det,
        "map_max_det": m.map_max_det,
        **({} if m.instances else {"false_positives_per_image": m.false_positives_per_image}),
    }
    return {f"{prefix}/{name}": value for name, value in numbers.items()}
