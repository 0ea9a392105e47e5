"""What an ablation trains: techniques on and off, sets of them, and what is wrong with a choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lehr.config import TrainConfig, build_config
from lehr.errors import InputError
from lehr.search.ablation import Ablation
from lehr.search.definition import Definition
from lehr.search.switches import choose, is_on

optuna = pytest.importorskip("optuna")


def a_run(**options: Any) -> TrainConfig:
    return build_config({"data": "x.yaml", "epochs": 10, **options})


def ablation(names: str, mode: str = "leave-one-out", **options: Any) -> Ablation:
    config = a_run(**options)
    return Ablation(config.flat(), choose(names.split(","), config), mode, "map")


def test_leave_one_out_trains_all_and_all_but_each() -> None:
    study = ablation("mosaic,ema,cos_lr")
    assert study.sets() == [
        frozenset({"mosaic", "ema", "cos_lr"}),
        frozenset({"ema", "cos_lr"}),
        frozenset({"mosaic", "cos_lr"}),
        frozenset({"mosaic", "ema"}),
    ]
    full, without_mosaic = (study.with_techniques(each) for each in study.sets()[:2])
    assert (full["mosaic"], full["ema_decay"], full["lr_schedule"]) == (1.0, 0.9999, "cosine")
    assert {name for name in full if full[name] != without_mosaic[name]} == {"mosaic"}
    without_cos = study.with_techniques(frozenset({"mosaic", "ema"}))
    assert without_cos["lr_schedule"] == "linear" and without_cos["cos_lr"] is False


def test_add_one_in_trains_none_and_each_alone_and_factorial_every_subset() -> None:
    assert ablation("mosaic,ema", "add-one-in").sets() == [frozenset(), frozenset({"mosaic"}), frozenset({"ema"})]
    assert set(ablation("mosaic,ema", "factorial").sets()) == {
        frozenset(),
        frozenset({"mosaic"}),
        frozenset({"ema"}),
        frozenset({"mosaic", "ema"}),
    }
    with pytest.raises(InputError, match="512 runs for each seed"):
        ablation("mosaic,ema,warmup,clipping,flips,mixup,copy_paste,cos_lr,weight_decay", "factorial").sets()


def test_all_sets_come_with_the_first_seed_before_the_next_and_more_seeds_only_add() -> None:
    study = ablation("mosaic,ema")
    three = study.slots([5, 6, 7])
    assert [slot["seed"] for slot in three] == [5] * 3 + [6] * 3 + [7] * 3
    assert three[0] == {"mosaic": True, "ema": True, "seed": 5} and three[4] == {
        "mosaic": False,
        "ema": True,
        "seed": 6,
    }
    assert study.slots([5, 6, 7, 8])[:9] == three


def test_a_trial_has_the_options_of_its_set_and_seed() -> None:
    study = ablation("mosaic,ema")
    again = Ablation.of(Definition(**{**vars_of(study.definition("data"))}))
    shared = optuna.create_study()
    shared.enqueue_trial(dict(study.slots([5])[1]))
    options = again.options(shared.ask())
    assert (options["mosaic"], options["ema_decay"], options["seed"]) == (0.0, 0.9999, 5)
    build_config(options)


def vars_of(definition: Definition) -> dict[str, Any]:
    """A definition as it comes back from a storage."""
    import dataclasses
    import json

    return dict(json.loads(json.dumps(dataclasses.asdict(definition))))


def test_a_technique_that_is_on_keeps_the_values_of_the_run() -> None:
    chosen = choose(["mosaic", "hsv", "mixup"], a_run(mosaic=0.5, hsv_h=0.0))
    assert chosen["mosaic"].on == {"mosaic": 0.5} and chosen["mixup"].on == {"mixup": 0.1}
    assert chosen["colour_jitter"].on == {"hsv_h": 0.0, "hsv_s": 0.7, "hsv_v": 0.4}
    assert is_on("cos_lr", a_run(cos_lr=True)) and not is_on("cos_lr", a_run())


def test_all_is_what_is_on_in_the_run() -> None:
    eight = set(choose(["all"], a_run()))
    assert {"warmup", "ema", "mosaic", "close_mosaic", "flips", "clipping", "accumulation"} <= eight
    assert not {"autoanchor", "mixup", "label_smoothing", "cos_lr", "pretrained_start", "rect"} & eight
    assert {"autoanchor", "cos_lr"} <= set(choose(["all"], a_run(model="yolov5n", cos_lr=True)))


def test_a_technique_of_ones_own_is_any_options(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "no-op: {on: {}}\nsmall: {on: {imgsz: 96}}\nstrong: {on: {mixup: 0.5, hsv_v: 0.9}, off: {mixup: 0.1}}\n"
    )
    chosen = choose(["no-op", "small", "strong"], a_run(imgsz=128), file)
    assert chosen["no_op"].on == chosen["no_op"].off == {}
    assert (chosen["small"].on, chosen["small"].off) == ({"imgsz": 96}, {"imgsz": 128})
    assert (chosen["strong"].on, chosen["strong"].off) == ({"mixup": 0.5, "hsv_v": 0.9}, {"mixup": 0.1, "hsv_v": 0.4})


@pytest.mark.parametrize(
    ("names", "own", "said"),
    [
        ("mosaik", "", "unknown technique 'mosaik'. Did you mean mosaic"),
        ("", "", "names none"),
        ("schedule,cos_lr", "", "'schedule' and 'cos_lr' both set --lr-schedule"),
        ("autoanchor", "", "means nothing to yolov8n"),
        ("pretrained_start", "", "needs --weights"),
        ("x", "x: 3\n", "own.yaml:1: 'x' must be"),
        ("x", "y: {on: {}}\nx: {on: {mosaik: 1}}\n", "own.yaml:2: unknown option 'mosaik'"),
        ("x", '"a\\n\\e[2J": {on: {mosaic: 1}}\n', "is not a valid name of a technique"),
        ("x", f"{'x' * 101}: {{on: {{mosaic: 1}}}}\n", "is not a valid name of a technique"),
        ("x", "x: {on: {mosaic: 2}}\n", "own.yaml:1: --mosaic is 2"),
        ("x", "x: {on: {seed: 2}}\n", "'seed' cannot be part of a technique"),
        ("x", "x: {on: {device: cpu}}\n", "'device' cannot be part of a technique"),
        ("x", "x: {on: [mosaic]}\n", "'on' of 'x' must be options"),
    ],
)
def test_what_is_wrong_with_a_choice_is_told(names: str, own: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(own)
    with pytest.raises(InputError) as error:
        choose([name for name in names.split(",") if name], a_run(), tmp_path / "own.yaml")
    assert said in str(error.value), error.value
