"""Every switch of an ablation trains on both of its sides; whatever the catalog has is tried, new ones too.

The short form trains each side in this process, the slow one is the command with two seeds. Neither says anything about
what a technique is worth.
"""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path
from typing import Any

import pytest
from tests.commands import lehr
from tests.conftest import Once
from tests.engine.runs import run

from lehr.config import TrainConfig, build_config
from lehr.data.formats.shapes import write_shapes
from lehr.errors import InputError
from lehr.models.build import build_model
from lehr.models.family import YOLOV8
from lehr.search.ablation import Ablation
from lehr.search.ineffective import without_ineffective
from lehr.search.switches import choose, is_on
from lehr.studies.runner import read_data
from lehr.technique import Switch, Technique, shell_options
from lehr.techniques.catalog import own_techniques
from lehr.weights.write import save_weights

SWITCHES = [(technique, switch) for technique in own_techniques() for switch in technique.switches]
TINY = {"imgsz": 64, "width": 0.125, "depth": 0.33, "epochs": 1, "batch": 2, "device": "cpu", "amp": "off"}
TINY |= {"close_mosaic": 0, "optimizer": "AdamW", "nominal_batch": 2}
CODE = "tests.engine.test_own_code:speckle"
"""An augmentation, which a user must name."""
every_switch = pytest.mark.parametrize(("technique", "switch"), SWITCHES, ids=[switch.name for _, switch in SWITCHES])
FIRST = {tuple(sorted(switch.on)): switch.name for _, switch in reversed(SWITCHES)}
"""The first switch of those that set the same options, such as the loss of boxes."""


@pytest.fixture(scope="session")
def shapes(once: Once) -> Path:
    """A few images of `shapes`, one of them without objects."""

    def make(folder: Path) -> None:
        write_shapes(folder, {"train": 4, "val": 2})
        min((folder / "labels" / "train").glob("*.txt")).write_text("")

    return once("few-shapes", make) / "data.yaml"


@pytest.fixture(scope="session")
def weights(once: Once) -> Path:
    """Weights to start from."""

    def make(folder: Path) -> None:
        folder.mkdir()
        save_weights(build_model("yolov8n", ("disc", "moon"), 64, width=0.125, depth=0.33), folder / "w.safetensors")

    return once("weights-of-shapes", make) / "w.safetensors"


def base(technique: Technique, switch: Switch, data: Path, weights: Path) -> dict[str, Any]:
    """The options of a run that can have a technique on: its family, and what the user must give."""
    given = {"weights": str(weights), "freeze": "1", "augmentation": CODE}
    missing = {option for option, value in switch.on.items() if value is ...} - given.keys()
    assert not missing, f"give {missing} a value here, as a user must"
    model = "yolov8n" if technique.suits(YOLOV8) else "yolov5n"
    epochs = 3 if switch.name == "close_mosaic" else 1  # one epoch is not closed
    older = {"keep_val": str(data)} if "replay" in switch.on else {}
    return {**TINY, "epochs": epochs, "data": str(data), "model": model, **older} | {
        o: given[o] for o, v in switch.on.items() if v is ...
    }


def sides(switch: Switch, config: TrainConfig) -> dict[bool, dict[str, Any]]:
    """The options of the runs of an ablation, with the switch on and off."""
    ablation = Ablation(config.flat(), choose([switch.name], config), "leave-one-out", "map")
    return {switch.name in on: ablation.with_techniques(on) for on in ablation.sets()}


def changes_the_run(config: TrainConfig, switch: Switch) -> bool:
    """Return whether a tiny run with the switch on is another than with it off, here and on these images."""
    run, _, _ = read_data(config)
    try:
        without_ineffective(Ablation(config.flat(), choose([switch.name], config), "leave-one-out", "map"), run)
    except InputError:
        return False
    return True


LOSSES: dict[str, list[float]] = {}
"""Of runs by their options: most switches have one side in common."""


def losses_of(options: dict[str, Any], data: Path, folder: Path) -> list[float]:
    """The losses of a run's last epoch; the run is made once."""
    key = repr(sorted(options.items()))
    if key not in LOSSES:
        result = run(data, folder.parent, folder.name, **options)
        *_, row = csv.DictReader((result.folder / "results.csv").open())
        LOSSES[key] = [float(row[f"{split}/{part}"]) for split in ("train", "val") for part in ("box", "cls")]
    return LOSSES[key]


@every_switch
def test_the_sides_of_a_switch_are_on_and_off(
    technique: Technique, switch: Switch, shapes: Path, weights: Path
) -> None:
    both = sides(switch, build_config(base(technique, switch, shapes, weights)))
    assert both.keys() == {True, False} and both[True] != both[False]
    assert all(is_on(switch.name, build_config(options)) is on for on, options in both.items())


@pytest.mark.parametrize(
    ("technique", "switch"),
    [
        pytest.param(*each, marks=() if each[1].name in FIRST.values() else pytest.mark.slow, id=each[1].name)
        for each in SWITCHES
    ],
)
def test_a_tiny_epoch_is_trained_with_the_switch_on_and_off(
    technique: Technique, switch: Switch, shapes: Path, weights: Path, tmp_path: Path
) -> None:
    both = sides(switch, build_config(base(technique, switch, shapes, weights)))
    for on, options in both.items():
        more = {name: value for name, value in options.items() if name not in ("data", "project", "name")}
        assert all(map(math.isfinite, losses_of(more, shapes, tmp_path / f"{switch.name}-{on}")))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@every_switch
def test_an_ablation_trains_the_switch_on_and_off_with_two_seeds(
    technique: Technique, switch: Switch, shapes: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The processes of its trials import the code that is named, too.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
    options = {name: value for name, value in base(technique, switch, shapes, weights).items() if value is not None}
    arguments = shell_options(options).split()
    ablate = ("ablate", *arguments, "--techniques", switch.name, "--seeds", "2", "--jobs", "1")
    if not changes_the_run(build_config(options), switch):
        assert f"{switch.name} is skipped: " in lehr(*ablate, cwd=tmp_path, code=2).stderr
        return
    lehr(*ablate, cwd=tmp_path)
    table = list(csv.DictReader((tmp_path / "runs" / "ablate" / "ablation.csv").open()))
    expected = [(str(seed), state, "finished") for seed in range(2) for state in ("on", "off")]
    assert [(row["seed"], row[switch.name], row["state"]) for row in table] == expected
