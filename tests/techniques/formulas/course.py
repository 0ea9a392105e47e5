"""Pages of the section "The course of a run"."""

from __future__ import annotations

import numpy as np
from tests.techniques.formulas.check import Checks, Draw, Formula, Values, each, real, whole

from lehr.evaluation.bootstrap import DRAWS
from lehr.evaluation.metrics import Metrics
from lehr.techniques import schedule
from lehr.techniques.early_stopping import EarlyStopping


def _run(*names: str) -> Draw:
    """Draws an epoch x of a run of E, a last multiple lrf, a course's length T and the epochs t since it began."""

    def draw(rng: np.random.Generator) -> dict[str, Values]:
        epochs, length = whole(rng, 1, 300), real(rng, 0.5, 80)
        values = {
            "E": epochs,
            "x": np.floor(rng.uniform(0, 1, epochs.shape) * epochs),
            "lrf": real(rng, 1e-4, 1),
            "T": length,
            "t": rng.uniform(0, 1, length.shape) * length,
        }
        return {name: values[name] for name in names}

    return draw


def _courses(epochs: int, factor: float = 2.0) -> tuple[float, ...]:
    """Lengths of the courses that are fitted to a run, epochs."""
    lengths = [schedule.fitted_period(epochs, factor)]
    while sum(lengths) < epochs - 1e-6:
        lengths.append(lengths[-1] * factor)
    return tuple(round(length, 1) for length in lengths)


def _patience(rng: np.random.Generator) -> dict[str, Values]:
    """Draws an epoch of a run, its patience, its best result, which may be none, and the epoch of that."""
    best_epoch = whole(rng, 0, 50)
    result = real(rng, 0, 1)
    return {
        "best": result * (result > 0.2),
        "best_epoch": best_epoch,
        "epoch": best_epoch + whole(rng, 0, 20),
        "patience": whole(rng, 1, 20),
    }


def _stop(best: float, best_epoch: int, epoch: int, patience: int) -> bool:
    return EarlyStopping(patience, best, best_epoch).should_stop(epoch)


def _fitness(map50_max_det: float, map_max_det: float) -> float:
    """Fitness of an epoch whose other numbers are others."""
    numbers = dict.fromkeys(Metrics.__slots__, 0.5)
    return Metrics(**{**numbers, "map50_max_det": map50_max_det, "map_max_det": map_max_det}).fitness  # type: ignore[arg-type]


def _better(fitness: float, best: float) -> bool:
    return EarlyStopping(0, best, -1).update(0, fitness)


def _two_results(rng: np.random.Generator) -> dict[str, Values]:
    """Draws two results, equal in a third of the cases."""
    best, fitness = real(rng, 0, 1), real(rng, 0, 1)
    return {"best": best, "fitness": np.where(rng.random(best.shape) < 1 / 3, best, fitness)}


CHECKS: dict[str, Checks] = {
    "guard": Checks(
        formulas={"better": Formula(each(_better), _two_results)},
        figures={"with replacement, {} times": DRAWS},
    ),
    "early-stopping": Checks(
        formulas={
            "fitness": Formula(
                each(_fitness), lambda rng: {"map50_max_det": real(rng, 0, 1), "map_max_det": real(rng, 0, 1)}
            ),
            "stop": Formula(each(_stop), _patience),
        },
    ),
    "schedules": Checks(
        formulas={
            "linear": Formula(each(lambda x, E, lrf: schedule.linear(x, E, lrf)), _run("x", "E", "lrf")),
            "cosine": Formula(each(lambda x, E, lrf: schedule.cosine(x, E, lrf)), _run("x", "E", "lrf")),
            "restarts": Formula(each(lambda t, T, lrf: schedule.restarts(t, lrf, T)), _run("t", "T", "lrf")),
            "exponential": Formula(each(lambda x, E, lrf: schedule.exponential(x, E, lrf)), _run("x", "E", "lrf")),
            "last": Formula(each(lambda E, lrf: schedule.linear(E - 1, E, lrf)), _run("E", "lrf")),
            "half": Formula(each(lambda lrf: schedule.exponential(50, 100, lrf)), _run("lrf")),
        },
        figures={
            "{} of `lr0` in a run of {} epochs and {} in one of {}": (
                *(round(schedule.linear(9, 10, 0.01), 3), 10),
                *(round(schedule.linear(29, 30, 0.01), 3), 30),
            ),
            "the first cycle is as near to {} epochs": schedule.USUAL_PERIOD,
            "{}, {} and {} epochs in a run of {}": (*_courses(100), 100),
            "a run of {} epochs ends at {} of `lr0`": (100, round(schedule.restarts(99, 0.01, 10.0), 2)),
            "end with epochs {} and {}": tuple(map(int, schedule.course_ends_around(100, 10.0, 2.0))),
            "the epoch, from {},": 0,
        },
    ),
}
