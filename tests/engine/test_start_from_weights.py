"""A run that starts from weights: its anchors are measured, its classes matched by name, and both are reported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine.runs import SMALL, resume, run, stopped_run

import lehr.models.anchor_head as anchor_head_module
from lehr.checkpoint.format import read_checkpoint, write_checkpoint
from lehr.config import build_config
from lehr.engine.setup import Setup, prepare
from lehr.errors import InputError
from lehr.models.anchor_head import DEFAULT_ANCHORS
from lehr.models.build import anchor_head, build_model
from lehr.preview import preview
from lehr.techniques.auto import TRAINED_LR0_MULT
from lehr.weights.load import load_model
from lehr.weights.write import save_weights

LARGE = tuple(tuple((w * 10, h * 10) for w, h in level) for level in DEFAULT_ANCHORS)
NAMES = ("small", "large")
"""Classes of the squares."""


@pytest.fixture
def data(make_yolo: MakeYolo) -> str:
    return str(make_yolo())


def weights_of(folder: Path, model: str = "yolov5n", names: tuple[str, ...] = NAMES, anchors: Any = None) -> Path:
    """A file of weights, not trained; with anchors of its own where they are given."""
    built = build_model(model, names, 64, 7, depth=0.01, width=0.0625)
    head = anchor_head(built)
    if anchors is not None and head is not None:
        head.set_anchors(torch.tensor(anchors))
    save_weights(built, folder / "w.safetensors")
    return folder / "w.safetensors"


def setup(data: str, folder: Path, **more: Any) -> Setup:
    given = {**SMALL, "amp": "off", "data": data, "project": folder, "model": "yolov5n", **more}
    folder.mkdir(exist_ok=True)
    return prepare(build_config(given), folder)


def anchors_of(made: Setup) -> torch.Tensor:
    head = anchor_head(made.state.model)
    assert head is not None
    return head.pixel_anchors


def about(made: Setup, word: str) -> str:
    """The one note that begins with a word."""
    (line,) = [note for note in made.notes if note.startswith(word)]
    return line


def test_anchors_of_weights_that_fit_are_measured_and_stay(data: str, tmp_path: Path) -> None:
    made = setup(data, tmp_path, weights=weights_of(tmp_path))
    torch.testing.assert_close(anchors_of(made), torch.tensor(DEFAULT_ANCHORS))
    line = about(made, "AutoAnchor")
    assert "best possible recall 1.0000" in line and "anchors of the weights; the anchors are kept" in line


def test_notes_on_weights_of_another_trainer_are_given_once(data: str, tmp_path: Path) -> None:
    torch.save(load_model(weights_of(tmp_path)).state_dict(), tmp_path / "w.pt")
    made = setup(data, tmp_path, weights=tmp_path / "w.pt")
    assert "has no class names" in " ".join(made.notes) and len(set(made.notes)) == len(made.notes)


def test_anchors_of_weights_that_do_not_fit_are_replaced(data: str, tmp_path: Path) -> None:
    made = setup(data, tmp_path, weights=weights_of(tmp_path, anchors=LARGE))
    found = anchors_of(made)
    assert found.min() > 10 and found.max() < 40  # squares of 16 and 28
    areas = found.prod(2)
    assert all(areas[level].max() <= areas[level + 1].min() for level in range(2))
    line = about(made, "AutoAnchor")
    assert "recall 0.0000" in line and "fitted to the data 1.0000" in line
    assert "have changed in size" in about(made, "The head's boxes")
    assert torch.equal(
        made.state.evaluated_model.state_dict()["model.24.anchors"], made.state.model.state_dict()["model.24.anchors"]
    )


@pytest.mark.parametrize("off", [False, "off"])
def test_anchors_of_weights_stay_where_autoanchor_is_off_and_the_lack_is_reported(
    off: object, data: str, tmp_path: Path
) -> None:
    made = setup(data, tmp_path, weights=weights_of(tmp_path, anchors=LARGE), autoanchor=off)
    torch.testing.assert_close(anchors_of(made), torch.tensor(LARGE))
    line = about(made, "AutoAnchor")
    assert "100.0% of the objects match no anchor" in line and "--autoanchor off" in line


def test_a_frozen_head_keeps_its_anchors(data: str, tmp_path: Path) -> None:
    made = setup(data, tmp_path, weights=weights_of(tmp_path, anchors=LARGE), freeze="model.24")
    torch.testing.assert_close(anchors_of(made), torch.tensor(LARGE))
    assert "frozen head" in about(made, "AutoAnchor")


@pytest.mark.parametrize(("model", "layer"), [("yolov5n", "24"), ("yolov8n", "22")])
def test_class_layers_that_begin_anew_cannot_be_frozen(model: str, layer: str, data: str, tmp_path: Path) -> None:
    weights = weights_of(tmp_path, model, ("small", "other"))
    with pytest.raises(InputError, match=f"model.{layer}: freezes class layers .* large could not"):
        setup(data, tmp_path, model=model, weights=weights, freeze=f"model.{layer}")
    made = setup(data, tmp_path / "before", model=model, weights=weights, freeze="10")
    assert about(made, "Frozen")


def test_always_fits_anchors_that_would_do(data: str, tmp_path: Path) -> None:
    for name, more in (("weights", {"weights": weights_of(tmp_path)}), ("random", {})):
        made = setup(data, tmp_path / name, autoanchor="always", **more)
        assert anchors_of(made).max() < 40
        assert "fitted to the data" in about(made, "AutoAnchor")


def test_measuring_is_reported_for_random_weights_too_where_autoanchor_is_off(data: str, tmp_path: Path) -> None:
    line = about(setup(data, tmp_path, autoanchor=False), "AutoAnchor")
    assert "best possible recall 1.0000" in line and "the anchors are kept (--autoanchor off)" in line


@pytest.fixture
def misfit_anchors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have new models begin with anchors ten times as large as usual."""
    monkeypatch.setattr(anchor_head_module, "DEFAULT_ANCHORS", LARGE)
    yield


@pytest.mark.usefixtures("misfit_anchors")
@pytest.mark.parametrize("choice", ["off", "always"])
def test_a_run_that_is_resumed_never_changes_its_anchors(
    choice: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stopped_run(data, tmp_path, "run", 2, model="yolov5n", autoanchor=choice)
    before = anchor_head(load_model(folder / "last.safetensors"))
    capsys.readouterr()

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("anchors were looked at")

    monkeypatch.setattr("lehr.engine.model.autoanchor", refuse)
    monkeypatch.setattr("lehr.engine.model.measure", refuse)
    result = resume(folder)
    after = anchor_head(load_model(result.last))
    assert before is not None and after is not None
    assert torch.equal(before.anchors, after.anchors)
    assert "AutoAnchor" not in capsys.readouterr().out


@pytest.mark.parametrize("was", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_run_of_when_autoanchor_was_a_switch_goes_on(was: bool, data: str, tmp_path: Path) -> None:
    now = {True: "auto", False: "off"}[was]
    run(data, tmp_path, "whole", model="yolov5n", autoanchor=was)
    folder = stopped_run(data, tmp_path, "run", 2, model="yolov5n", autoanchor=was)
    path = folder / "config.yaml"
    given = yaml.safe_load(path.read_text())
    assert given["autoanchor"] == ("off" if now == "off" else "auto")
    path.write_text(yaml.safe_dump({**given, "autoanchor": was}))
    checkpoint = read_checkpoint(folder / "last.ckpt")
    checkpoint.content["config"]["autoanchor"] = was
    write_checkpoint(folder, checkpoint.content, checkpoint.position)
    resume(folder)
    assert differences(tmp_path / "whole", folder) == []
    assert yaml.safe_load(path.read_text()) == given


@pytest.mark.parametrize("model", ["yolov8n", "yolov5n", pytest.param("yolov3-spp", marks=pytest.mark.slow)])
def test_classes_that_start_from_weights_are_reported(model: str, data: str, tmp_path: Path) -> None:
    made = setup(data, tmp_path, model=model, weights=weights_of(tmp_path, model, ("large", "huge")))
    assert "1 of 2 classes start from the weights, by name (large); the others" in about(made, "Class layers")
    same = setup(data, tmp_path / "same", model=model, weights=weights_of(tmp_path, model))
    assert about(same, "Class layers") == "Class layers: 2 of 2 classes start from the weights."
    turned = setup(data, tmp_path / "turned", model=model, weights=weights_of(tmp_path, model, NAMES[::-1]))
    assert about(turned, "Class layers").endswith("2 of 2 classes start from the weights, by name (small, large).")
    other = setup(data, tmp_path / "other", model=model, weights=weights_of(tmp_path, model, ("cat", "dog")))
    assert about(other, "Class layers") == (
        "Class layers: 0 of 2 classes are among those of the weights (cat, dog), so all start from random values."
    )
    alike = setup(data, tmp_path / "alike", model=model, weights=weights_of(tmp_path, model, ("Small ", "huge")))
    assert about(alike, "Class layers").endswith(
        "by name (small); 'small' is 'Small ' there; the others start from random values (large)."
    )
    reset = setup(data, tmp_path / "reset", model=model, weights=weights_of(tmp_path, model), reset_head=True)
    assert about(reset, "Class layers") == (
        "Class layers: 0 of 2 classes start from the weights (--reset-head), so all start from random values."
    )


def test_class_branches_of_another_width_are_reported(data: str, tmp_path: Path) -> None:
    many = tuple(f"class {number}" for number in range(80))
    made = setup(data, tmp_path, model="yolov8n", weights=weights_of(tmp_path, "yolov8n", (*NAMES, *many)))
    assert about(made, "Class layers") == (
        "Class layers: 0 of 2 classes start from the weights, since their class layers have 82 channels, and 16 here; "
        "all start from random values."
    )


@pytest.mark.parametrize(("model", "trained"), [("yolov5n", True), ("yolov8n", False)])
def test_rates_know_whether_the_start_is_trained(model: str, trained: bool, data: str, tmp_path: Path) -> None:
    weights = weights_of(tmp_path)  # of yolov5n
    random, made = (
        setup(data, tmp_path / name, model=model, weights=start, epochs=30)
        for name, start in (("random", None), ("weights", weights))
    )
    rate = TRAINED_LR0_MULT if trained else 1.0
    assert made.plan.optimizer.lr0 == pytest.approx(rate * random.plan.optimizer.lr0)
    assert made.plan.warmup == (made.plan.batches if trained else random.plan.warmup) < made.plan.steps / 3 + 1
    assert any("The starting weights know all classes" in note for note in made.notes) is trained
    assert not any("The starting weights know all classes" in note for note in random.notes)
    before = preview(made.config).plan
    assert [before.at(step) for step in range(before.steps)] == [made.plan.at(step) for step in range(made.plan.steps)]
    assert (before.optimizer, before.warmup, before.ema_tau, before.notes) == (
        *(made.plan.optimizer, made.plan.warmup, made.plan.ema_tau, made.plan.notes),
    )


@pytest.mark.parametrize("names", [("cat", "dog"), ("small", "dog")], ids=["none in common", "one in common"])
def test_classes_that_begin_anew_have_the_warmup_of_a_random_start_and_in_a_short_run_a_higher_rate(
    names: tuple[str, ...], data: str, tmp_path: Path
) -> None:
    weights = weights_of(tmp_path, names=names)
    random, made = (
        setup(data, tmp_path / name, weights=start, epochs=30)
        for name, start in (("random", None), ("weights", weights))
    )
    times = min(3, 200 / random.plan.steps) if "small" not in names else 1
    assert times == 1 or times > 1.5
    assert made.plan.optimizer.lr0 == pytest.approx(times * random.plan.optimizer.lr0)
    longest = max(random.plan.warmup, min(22, round(2 * random.plan.steps / 3)))
    assert made.plan.warmup == (random.plan.warmup if "small" in names else longest)
    assert any("know none of the classes" in note for note in made.notes) is (times > 1)
    assert not any("know all classes" in note for note in made.notes)
    before = preview(made.config).plan
    assert [before.at(step) for step in range(before.steps)] == [made.plan.at(step) for step in range(made.plan.steps)]


@pytest.mark.parametrize("names", [NAMES, ("cat", "dog")], ids=["same classes", "other classes"])
def test_biases_of_a_trained_start_never_jump(names: tuple[str, ...], data: str, tmp_path: Path) -> None:
    made = setup(data, tmp_path, weights=weights_of(tmp_path, names=names), epochs=30, optimizer="SGD")
    rates = [made.plan.at(step) for step in range(made.plan.steps)]
    assert all(rate.lr_biases == rate.lr_weights for rate in rates)


def test_frequency_biases_hold_for_the_classes_that_weights_do_not_have(data: str, tmp_path: Path) -> None:
    weights = weights_of(tmp_path, "yolov8n", ("large", "huge"))
    made = setup(data, tmp_path, model="yolov8n", weights=weights, frequency_bias=True)
    plain = load_model(weights).state_dict()
    for level, stride in enumerate((8, 16, 32)):
        bias = made.state.model.state_dict()[f"model.22.cv3.{level}.2.bias"]
        torch.testing.assert_close(bias[0], torch.tensor(5 * 0.5 / (640 / stride) ** 2).log())
        assert bias[1] == plain[f"model.22.cv3.{level}.2.bias"][0]
    assert not [note for note in made.notes if "frequency-bias" in note]
    without = setup(data, tmp_path / "b", model="yolov8n", weights=weights_of(tmp_path, "yolov8n"), frequency_bias=True)
    assert "has no effect: all classes start from the weights" in about(without, "--frequency-bias")
    wide = weights_of(tmp_path, "yolov8n", (*NAMES, *map(str, range(80))))  # a class branch of another width
    narrow = setup(data, tmp_path / "c", model="yolov8n", weights=wide, frequency_bias=True)
    assert not [note for note in narrow.notes if "frequency-bias" in note]
