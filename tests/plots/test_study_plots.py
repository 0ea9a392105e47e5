"""Plots of searches and ablations: what is drawn where, the same file from the same data, and awkward data."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lehr.errors import InputError
from lehr.plots import ablation, study
from lehr.plots.ablation import plot_effects
from lehr.plots.scales import FitnessScale, Ruler, percent
from lehr.plots.study import (
    best_of,
    plot_courses,
    plot_fitness,
    plot_importances,
    plot_parallel,
    plot_parameters,
)
from lehr.plots.style import SMALL_DOT
from lehr.search.effects import Effect
from lehr.search.importance import importances
from lehr.search.records import Record

Plot = Callable[[Sequence[Record], Path], None]
PLOTS: tuple[Plot, ...] = (plot_fitness, plot_parameters, plot_parallel, plot_courses)


def trial(slot: int, fitness: float | None = 0.5, state: str = "finished", **params: float | str | bool) -> Record:
    course = () if fitness is None else (fitness / 2, fitness)
    return Record(slot, state, params, fitness, course)  # type: ignore[arg-type]


def some_trials() -> list[Record]:
    return [
        trial(0, 0.50, lr0=0.01, momentum=0.9, optimizer="SGD", cos_lr=False, shear=0.0),
        trial(1, 0.45, lr0=0.0001, momentum=0.8, optimizer="AdamW", cos_lr=True, shear=0.0),
        trial(2, 0.30, "pruned", lr0=0.09, momentum=0.7, optimizer="SGD", cos_lr=True, shear=0.0),
        trial(3, 0.0, "diverged", lr0=0.1, momentum=0.95, optimizer="Adam", cos_lr=True, shear=0.0),
        trial(4, 0.56, lr0=0.02, momentum=0.85, optimizer="Adam", cos_lr=True, shear=0.0),
        trial(5, None, "failed", lr0=0.03, momentum=0.85, optimizer="Adam", cos_lr=True, shear=0.0),
        trial(6, 0.52, lr0=0.015, momentum=0.91, optimizer="SGD", cos_lr=False, shear=0.0),
        trial(7, 0.20, "running", lr0=0.015, momentum=0.91, optimizer="SGD", cos_lr=False, shear=0.0),
        trial(8, None, "waiting"),
    ]


def some_effects(metric: str = "map") -> list[Effect]:
    return [
        Effect("mosaic", metric, 0.5, 0.54, 0.04, 0.02, 0.06, (0.03, 0.04, 0.05), (0, 1, 2), "helps"),
        Effect("mixup", metric, 0.5, 0.48, -0.02, -0.03, -0.01, (-0.02, -0.02, -0.02), (0, 1, 2), "hurts"),
        Effect(
            "ema", metric, 0.5, 0.5, 0.0, -0.5, 0.5, (0.01, -0.01), (0, 1), "no difference seen at this sample size"
        ),
        Effect("warmup", metric, 0.5, 0.51, 0.01, None, None, (0.01,), (0,), "one seed: no interval"),
        Effect("cos_lr", metric, None, None, None, None, None, (), (), "not measured"),
    ]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are made instead of written."""
    figures: list[Figure] = []
    for module in (study, ablation):
        monkeypatch.setattr(module, "save_figure", lambda figure, path: figures.append(figure))
    return figures


def line(axis: Axes, label: str) -> tuple[list[float], list[float]]:
    (found,) = (each for each in axis.lines if str(each.get_label()).startswith(label))
    return list(map(float, found.get_xdata())), list(map(float, found.get_ydata()))


def test_the_best_so_far_is_the_running_maximum_of_the_finished_trials(drawn: list[Figure]) -> None:
    plot_fitness(some_trials(), Path("a.svg"))
    slots, values = line(drawn[0].axes[0], "best so far")
    assert slots[:-1] == [0, 1, 4, 6]
    np.testing.assert_array_equal(values[:-1], np.maximum.accumulate([0.50, 0.45, 0.56, 0.52]))
    assert line(drawn[0].axes[0], "trial 0")[1] == [0.5, 0.5]


def test_each_trial_but_the_waiting_one_is_marked_once_by_its_state_and_within_the_axis(drawn: list[Figure]) -> None:
    plot_fitness([*some_trials(), trial(9, 0.9, "pruned")], Path("a.svg"))
    axis = drawn[0].axes[0]
    marks = [each for each in axis.lines if each.get_linestyle() == "None"]
    assert sorted(float(x) for each in marks for x in each.get_xdata()) == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    low, high = axis.get_ylim()
    assert all(low <= float(y) <= high for each in marks for y in each.get_ydata())
    assert len({each.get_marker() for each in marks}) == 5  # never told by colour alone
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert {"finished (4)", "pruned (2)", "diverged (1)", "failed (1)", "running (1)"} <= set(labels)


def test_one_trial_that_came_to_nothing_leaves_room_for_the_others() -> None:
    scale = FitnessScale.of([0.60, 0.61, 0.62, 0.64, 0.001], None)
    assert scale.low == pytest.approx(0.64 - 4 * (0.64 - 0.61))
    assert FitnessScale.of([0.60, 0.64], 0.1).low == 0.1  # the first trial is always shown
    equal = FitnessScale.of([0.5, 0.5], 0.5)
    assert equal.edge < equal.low == equal.best < equal.high


def test_each_parameter_has_a_panel_with_the_best_and_the_start(drawn: list[Figure]) -> None:
    plot_parameters(some_trials(), Path("a.svg"), {"lr0": 0.01, "optimizer": "SGD"})
    panels = {axis.get_title(): axis for axis in drawn[0].axes if axis.get_title()}
    assert list(panels) == ["lr0", "momentum", "optimizer", "cos_lr", "shear"]
    dots = np.asarray(panels["lr0"].collections[0].get_offsets())
    np.testing.assert_allclose(dots, [[0.01, 0.5], [0.0001, 0.45], [0.02, 0.56], [0.015, 0.52]])
    (plus,) = (each for each in panels["lr0"].lines if each.get_marker() == "+")
    assert (plus.get_xdata()[0], plus.get_ydata()[0]) == (0.02, 0.56)
    assert [list(each.get_xdata()) for each in panels["lr0"].lines if each.get_linestyle() == "--"] == [[0.01, 0.01]]
    assert panels["lr0"].get_xscale() == "log" and panels["momentum"].get_xscale() == "linear"
    assert [text.get_text() for text in panels["optimizer"].get_xticklabels()] == ["Adam", "AdamW", "SGD"]


def test_a_ruler_is_logarithmic_only_over_a_hundredfold_range_above_zero() -> None:
    assert Ruler.of([0.001, 0.11]).log and not Ruler.of([0.001, 0.1]).log and not Ruler.of([0.0, 5.0]).log
    assert Ruler.of([0.001, 0.1, 10.0]).fraction(0.1) == pytest.approx(0.5)
    assert Ruler.of([1, 3]).fraction(1.5) == 0.25 and Ruler.of([2.0, 2.0]).fraction(2.0) == 0.5
    assert Ruler.of([True, False]).choices == ("False", "True")
    assert Ruler.of([2.0, 2.0]).ends() == ("", "2")


def test_parallel_lines_go_from_the_lowest_to_the_highest_value_with_the_best_on_top(drawn: list[Figure]) -> None:
    plot_parallel(some_trials(), Path("a.svg"))
    lines = drawn[0].axes[0].lines
    assert len(lines) == 5 and str(lines[-1].get_label()) == "best: trial 4, fitness 0.560"
    # lr0 is the highest that has finished, momentum lies between 0.8 and 0.91, shear never varied.
    np.testing.assert_allclose(lines[-1].get_ydata(), [1.0, (0.85 - 0.8) / (0.91 - 0.8), 0.0, 1.0, 0.5])


def test_courses_of_trials_without_a_result_end_with_a_mark_at_their_last_finite_epoch(drawn: list[Figure]) -> None:
    short = Record(1, "pruned", {}, 0.3, (0.1, 0.3, math.nan))
    plot_courses([Record(0, "finished", {}, 0.6, (0.2, 0.4, 0.6)), short], Path("a.svg"))
    axis = drawn[0].axes[0]
    assert line(axis, "pruned") == ([1, 2], [0.1, 0.3]) and line(axis, "best: trial 0") == ([1, 2, 3], [0.2, 0.4, 0.6])
    (pruned,) = (each for each in axis.lines if each.get_label() == "pruned")
    assert pruned.get_marker() == "v" and list(pruned.get_markevery()) == [1]


def test_importance_bars_are_ordered_and_told_in_percent(drawn: list[Figure]) -> None:
    plot_importances({"b": 0.2, "a": 0.796, "c": 0.004}, Path("a.svg"))
    axis = drawn[0].axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in axis.texts] == ["80%", "20%", "<1%"]
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([79.6, 20, 0.4])
    assert percent(0.0) == "0%"


def test_the_best_trial_is_the_first_of_the_fittest_that_have_finished() -> None:
    trials = [trial(3, 0.6), trial(1, 0.6), trial(0, 0.5), trial(2, 0.9, "pruned"), trial(4, math.nan)]
    best = best_of(trials)
    assert best is not None and best.slot == 1
    assert best_of([trial(0, 0.3, "pruned")]) is None


@pytest.mark.parametrize("plot", PLOTS)
def test_the_same_trials_give_the_same_bytes(plot: Plot, tmp_path: Path) -> None:
    plot(some_trials(), tmp_path / "a.svg")
    plot(some_trials(), tmp_path / "b.svg")
    first = (tmp_path / "a.svg").read_bytes()
    assert first == (tmp_path / "b.svg").read_bytes() and b"<svg" in first
    assert {each.name for each in tmp_path.iterdir()} == {"a.svg", "b.svg"}  # and nothing half-written beside them


AWKWARD = {
    "no trial": [],
    "none begun": [trial(0, None, "waiting")],
    "one trial": [trial(0, 0.5, lr0=0.01, optimizer="SGD")],
    "all diverged": [trial(0, 0.0, "diverged", lr0=1.0), Record(1, "diverged", {"lr0": 2.0}, 0.0, (math.nan,))],
    "no parameter": [trial(0), trial(1)],
    "odd names": [
        trial(0, None, "failed", lr0=1.0),
        trial(4, 0.4, **{"<script>$x_1$": "$" * 40}),
        trial(7, 0.4, lr0=1),
    ],
    "all equal": [trial(slot, 0.5, lr0=0.01) for slot in range(3)],
    "not finite": [trial(0, math.nan, lr0=0.01), trial(1, math.inf, lr0=0.02), trial(2, 0.4, lr0=0.03)],
}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_trials_are_drawn_without_a_warning(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for plot in PLOTS:
            path = tmp_path / f"{plot.__name__}.svg"
            plot(AWKWARD[name], path)
            assert path.stat().st_size > 1000


def test_effects_are_drawn_a_row_a_technique_with_interval_and_single_seeds(drawn: list[Figure]) -> None:
    plot_effects({"map": some_effects(), "fitness": some_effects("fitness"), "f1": []}, Path("a.svg"))
    first, second = (axis for axis in drawn[0].axes if axis.get_visible())
    assert (first.get_title(), second.get_title()) == ("mAP50-95", "fitness")
    names = [text.get_text() for text in first.get_yticklabels()]
    assert names == ["mosaic", "mixup", "ema", "warmup", "cos_lr"]
    assert not any(text.get_text() for text in second.get_yticklabels())  # named once a row of panels
    bars = [list(each.get_xdata()) for each in first.lines if len(each.get_xdata()) == 2 and each.get_lw() == 2.5]
    assert bars[:2] == [[0.02, 0.06], [-0.03, -0.01]] and bars[2] == [-0.25, 0.25]  # five times the largest pair
    middles = {each.get_marker(): float(each.get_xdata()[0]) for each in first.lines if each.get_markersize() == 8}
    assert middles["^"] == 0.04 and middles["v"] == -0.02 and set(middles) == {"^", "v", "o"}
    seeds = [len(each.get_xdata()) for each in first.lines if each.get_markersize() == SMALL_DOT]
    assert seeds == [3, 3, 2, 1]
    assert [text.get_text() for text in first.texts] == ["not measured"]
    assert {each.get_marker() for each in first.lines} >= {"<", ">"}  # the interval goes on


@pytest.mark.parametrize(
    ("metric", "difference", "title", "drawn_at"),
    [
        ("seconds", 90.0, "time, seconds", 90.0),
        ("seconds", 600.0, "time, minutes", 10.0),
        ("memory", 512.0, "memory, MiB", 512.0),
        ("memory", 2048.0, "memory, GiB", 2.0),
    ],
)
def test_times_and_sizes_are_drawn_in_a_unit_of_their_size(
    metric: str, difference: float, title: str, drawn_at: float, drawn: list[Figure]
) -> None:
    effect = Effect(
        "a", metric, 1.0, 2.0, difference, difference / 2, difference * 2, (difference,) * 2, (0, 1), "costs"
    )
    plot_effects({metric: [effect]}, Path("a.svg"))
    axis = drawn[0].axes[0]
    assert axis.get_title() == title
    (middle,) = (each for each in axis.lines if each.get_markersize() == 8)
    assert middle.get_xdata()[0] == drawn_at and middle.get_marker() == "v"


def test_no_effects_and_odd_names_are_drawn_and_the_same_effects_give_the_same_bytes(tmp_path: Path) -> None:
    plot_effects({}, tmp_path / "none.svg")
    odd = [Effect("<script>$x$", "map", 0.5, 0.5, 0.0, 0.0, 0.0, (0.0, 0.0), (0, 1), "no difference")]
    for name in ("a.svg", "b.svg"):
        plot_effects({"map": odd, "$odd$": odd}, tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text() and not re.search(r"<script", text)


def test_a_plot_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.txt: plots are written as"):
        plot_fitness(some_trials(), tmp_path / "a.txt")


def a_study(count: int, value: Callable[[float, float], float]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = optuna.create_study(direction="maximize")
    bounds = optuna.distributions.FloatDistribution(0, 1)
    for x, y in np.random.default_rng(0).random((count, 2)):
        params = {"x": float(x), "y": float(y), "still": 0.5}
        made.add_trial(
            optuna.trial.create_trial(params=params, distributions=dict.fromkeys(params, bounds), value=value(x, y))
        )
    return made


def test_the_parameter_that_decides_has_the_greatest_importance_and_one_that_never_varied_none() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = importances(a_study(60, lambda x, y: x))
    assert next(iter(found)) == "x" and found["x"] > 0.8 and found["still"] == 0
    assert sum(found.values()) == pytest.approx(1)


def test_importances_are_not_guessed_from_few_trials_or_equal_ones() -> None:
    assert importances(a_study(0, lambda x, y: x)) == {}
    assert importances(a_study(9, lambda x, y: x)) == {}
    assert importances(a_study(30, lambda x, y: 0.5)) == {}
