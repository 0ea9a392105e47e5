"""Every figure of the package, drawn from awkward data, has its texts on the canvas and clear of each other."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tests.figures import checked, faults

from lehr.config import build_config
from lehr.plots.ablation import plot_effects
from lehr.plots.anchors import plot_anchors
from lehr.plots.schedule import plot_schedules
from lehr.plots.study import plot_courses, plot_fitness, plot_importances, plot_parallel, plot_parameters
from lehr.preview import preview
from lehr.report.drawing import draw_piece
from lehr.report.pieces import Chart, Gallery, Marker, Matrix, Series, Thumbnail
from lehr.search.effects import Effect
from lehr.search.records import Record

LONG = "a class with a name of which nobody would think $x_1$"
NAMES = {
    "one": ["cell"],
    "three": ["red cell", LONG, "平台细胞"],
    "many": [f"class {number}" for number in range(39)] + [LONG],
}
MANY = tuple(f"parameter_{number}" for number in range(13))


def records(count: int, names: Sequence[str]) -> list[Record]:
    rng, found = np.random.default_rng(0), []
    for slot in range(count):
        state = ("finished", "finished", "pruned", "diverged", "failed", "running", "finished")[slot % 7]
        params = {name: float(10 ** rng.uniform(-5, 1)) if index % 3 else ("AdamW", "SGD")[slot % 2]
                  for index, name in enumerate(names)}  # fmt: skip
        course = tuple(np.sort(rng.uniform(0, 0.6, 12)).tolist())
        fitness = None if state == "failed" else math.nan if state == "diverged" else course[-1]
        found.append(Record(slot, state, params, fitness, course))  # type: ignore[arg-type]
    return found


STUDIES = {
    "none": [],
    "one": records(1, ("lr0",)),
    "few": records(9, ("lr0", "momentum", LONG, "mosaic", "optimizer", "weight_decay")),
    "many": records(25, MANY),
}


@pytest.mark.parametrize("name", STUDIES)
def test_plots_of_searches(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = STUDIES[name]
    names = [*dict.fromkeys(key for trial in trials for key in trial.params)]
    with checked(monkeypatch) as found:
        plot_fitness(trials, tmp_path / "fitness.svg")
        plot_courses(trials, tmp_path / "courses.svg")
        plot_parameters(trials, tmp_path / "parameters.svg")
        plot_importances({key: 1 / len(names) for key in names}, tmp_path / "importances.svg")
        plot_parallel(trials, tmp_path / "parallel.svg")
    assert len(found) == 5 and not any(found.values()), found


def effect(technique: str, metric: str, difference: float | None) -> Effect:
    if difference is None:
        return Effect(technique, metric, None, None, None, None, None, (), (), "not measured")
    ends = difference - 0.01, difference + 0.01
    pairs = tuple(difference + shift for shift in (-0.004, 0.0, 0.004))
    verdict = "helps" if ends[0] > 0 else "hurts" if ends[1] < 0 else "no difference seen at this sample size"
    return Effect(technique, metric, 0.5, 0.5, difference, *ends, pairs, (0, 1, 2), verdict)


@pytest.mark.parametrize("metrics", [(), ("map",), ("map", "map50", "fitness", "seconds", "memory")])
def test_plots_of_ablations(metrics: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"mosaic": 0.04, "a technique with a long name": -0.03, "ema": 0.0003, "cos_lr": None}
    effects = {metric: [effect(name, metric, change) for name, change in changes.items()] for metric in metrics}
    with checked(monkeypatch) as found:
        plot_effects(effects, tmp_path / "effects.svg")
    assert len(found) == 1 and not any(found.values()), found


def test_plots_of_anchors_and_schedules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    anchors = rng.uniform(8, 500, (3, 3, 2))
    plan = preview(build_config({"epochs": 20, "model": "yolov8n"}), images=400, classes=3).plan
    with checked(monkeypatch) as found:
        plot_anchors(rng.lognormal(3, 1, (400, 2)), anchors, anchors * 1.1, 4.0, tmp_path / "anchors.svg")
        plot_anchors(rng.uniform(8, 500, (1, 2)), anchors, None, 4.0, tmp_path / "one.svg")
        plot_schedules({"the run": plan}, tmp_path / "schedule.svg")
        plot_schedules({f"hyp-{LONG}-{number}": plan for number in range(6)}, tmp_path / "schedules.svg")
    assert len(found) == 4 and not any(found.values()), found


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), (200, 30, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def pieces(names: Sequence[str]) -> list[Chart | Matrix | Gallery]:
    xs, count = list(range(0, 100, 5)), len(names)
    lines = [Series(name, xs, [x / (100 + number) for x in xs]) for number, name in enumerate(names)]
    bars = [Series("instances", range(count), range(1, count + 1)), Series("images", range(count), [1] * count)]
    marks = [Marker(50, f"best epoch {LONG}"), Marker(51, "stopped"), Marker(95, "mosaic off")]
    title = f"Precision over recall of every class, {LONG} and some more words that make it too long"
    cells = [[float(row == column) for column in range(count)] for row in range(count)]
    return [
        Chart("lines", title, "recall", "precision", lines, "", markers=marks),
        Chart("log", "Loss", "epoch", "loss", lines, "", log_y=True, log_x=True),
        Chart("bars", "Instances", "class", "instances", bars, "", draw="bars", labels=names),
        Chart("points", "Sizes", "width, pixels", "height, pixels", lines, "", draw="points"),
        Chart("single", "One", "epoch", "mAP", [Series("a", [3], [0.5]), Series("b", [3], [math.nan])], ""),
        Chart("nothing", "Nothing", "epoch", "mAP", [Series("a", [3], [None]), Series("b", [], [])], ""),
        Chart("tiny", "Tiny", "x", "y", [Series("a", [1, 2, 3], [1e-9, 2e-9, 1e6])], ""),
        Matrix("matrix", title, names, [*names, "background"], [[*row, 0.0] for row in cells], "truth", "found"),
        Matrix("heat", "Heat", names, names, cells, "truth", "found", heat=True),
        Gallery("gallery", title, [Thumbnail(jpeg(), "", f"{LONG}/{LONG}.jpg") for _ in names[:9]]),
        Gallery("empty", "Mistakes", [], empty="No mistakes were found."),
    ]


@pytest.mark.parametrize("classes", NAMES)
def test_figures_of_pages(classes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with checked(monkeypatch) as found:
        for piece in pieces(NAMES[classes]):
            draw_piece(piece, tmp_path / f"{piece.name}.svg")
    assert len(found) == 11 and not any(found.values()), found


def spoiled() -> Mapping[str, Figure]:
    """Figures with a fault each."""
    figures = {
        name: plt.Figure(layout="constrained") for name in ("lies on", "leaves the canvas", "points", "legend", "empty")
    }
    axes = {name: figure.add_subplot() for name, figure in figures.items()}
    for name, axis in axes.items():
        if name != "empty":
            axis.plot([0, 1], label="a")
    axes["lies on"].set_xticks([0, 0.01], ["a long name", "another one"])
    figures["leaves the canvas"].text(0.98, 0.5, "half of it is cut")
    axes["points"].text(0.5, 0.5, "small", fontsize=5)
    axes["legend"].legend()
    return figures


def test_faults_are_found() -> None:
    for word, figure in spoiled().items():
        found = faults(figure)
        assert len(found) == 1 and word in found[0], (word, found)
