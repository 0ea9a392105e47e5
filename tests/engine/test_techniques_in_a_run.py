"""Techniques in short runs of every family: each has its effect, and the run goes through."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import MakeYolo

from lehr.callbacks.callback import FunctionCallback
from lehr.callbacks.events import BatchStart
from lehr.config import build_config
from lehr.engine.data import epoch_requests
from lehr.engine.run import train
from lehr.engine.setup import Setup, prepare
from lehr.engine.trainer import TrainResult
from lehr.models.build import anchor_head
from lehr.weights.load import load_model, read_metadata

FAMILIES = ("yolov8n", "yolov5n", "yolov3-spp")


@pytest.fixture
def data(make_yolo: MakeYolo) -> str:
    return str(make_yolo())


def options(data: str, folder: Path, **more: Any) -> dict[str, Any]:
    small = {"imgsz": 64, "batch": 4, "epochs": 2, "width": 0.0625, "depth": 0.01, "device": "cpu", "close_mosaic": 1}
    small |= {"amp": "off"}
    return {"data": data, "project": folder, **small, **more}


def run(data: str, folder: Path, callbacks: Sequence[object] = (), **more: Any) -> TrainResult:
    return train(build_config(options(data, folder, **more)), callbacks)


def setup(data: str, folder: Path, **more: Any) -> Setup:
    return prepare(build_config(options(data, folder, **more)), folder)


@pytest.mark.parametrize("model", FAMILIES)
def test_every_family_trains_with_every_technique_at_once(model: str, data: str, tmp_path: Path) -> None:
    result = run(
        data,
        tmp_path,
        model=model,
        optimizer="RMSProp",
        lr0=1e-4,
        lr_schedule="restarts",
        restart_epochs=1,
        warmup="cosine",
        multi_scale=0.5,
        label_smoothing=0.1,
        fl_gamma=1.5,
        class_weights=0.5,
        cls_pw=0.9,
        image_weights=True,
        repeat_threshold=0.9,
        keep_val=data,
        replay=0.25,
        partner_window=4,
        tile=48,
        freeze="2",
        backbone_lr_mult=0.1,
        ema_tau="auto",
        frequency_bias=True,
        mixup=0.5,
        copy_paste=0.5,
        cutmix=0.5,
        erasing=0.5,
        hue="add",
    )
    rows = list(csv.DictReader((result.folder / "results.csv").open()))
    parts = ("box", "cls", "dfl") if model == "yolov8n" else ("box", "obj", "cls")
    assert len(rows) == 2
    assert all(float(row[f"{kind}/{part}"]) >= 0 for row in rows for kind in ("train", "val") for part in parts)
    assert load_model(result.best).variant == model


@pytest.mark.parametrize("place", ["cpu", "device"])
def test_covered_canvases_train_and_repeat_by_their_seed(place: str, data: str, tmp_path: Path) -> None:
    given = {"cutmix": 1, "erasing": 1, "hue": "add", "min_visible": 0.3, "close_mosaic": 0}
    given |= {"epochs": 1, "augment_on": place}
    weights = [
        run(data, tmp_path, name=f"{place}-{number}", seed=seed, **given).best.read_bytes()
        for number, seed in enumerate((0, 0, 1))
    ]
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("model", ["yolov8n", "yolov5n"])
def test_both_kinds_of_families_train_with_other_losses_of_boxes_and_scores(
    model: str, seed: int, data: str, tmp_path: Path
) -> None:
    assigned = {"tal_topk": 13, "tal_alpha": 1.0} if model == "yolov8n" else {}
    smooth = {"label_smoothing": 0.1, "class_weights": 0.5, "cls_pw": 0.9}
    first = {"box_loss": "siou", "cls_loss": "qfl", **smooth, **assigned}
    second = {"box_loss": "nwd", "nwd_constant": 16.0, "cls_loss": "vfl", "class_weights": 0.5}
    seen = []
    for name, options in (("first", first), ("second", second), ("usual", {})):
        result = run(data, tmp_path, name=name, model=model, epochs=1, close_mosaic=0, seed=seed, **options)
        (row,) = csv.DictReader((result.folder / "results.csv").open())
        seen.append([float(row[f"train/{part}"]) for part in ("box", "cls")])
        assert np.isfinite(seen[-1]).all()
    assert len({each for losses in seen for each in losses}) == 6


@pytest.mark.parametrize("model", FAMILIES)
def test_every_family_trains_with_everything_switched_off(model: str, data: str, tmp_path: Path) -> None:
    off = {"ema_decay": 0, "clip_norm": 0, "patience": 0, "warmup": "none", "lr_schedule": "constant"}
    off |= {"nominal_batch": 1, "weight_decay": 0, "autoanchor": False, "mosaic": 0, "fliplr": 0, "translate": 0}
    off |= {"scale": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0}
    assert run(data, tmp_path, model=model, **off).best.is_file()


def test_rectangular_batches_are_rectangles_without_mosaic(tmp_path: Path) -> None:
    from tests.conftest import draw_squares

    root = tmp_path / "wide"
    for split in ("train", "val"):
        for i in range(4):
            path = root / "images" / split / f"{i}.png"
            draw_squares(path, [(8, 8, 24, 24)], side=96, seed=i)
            import cv2

            image = cv2.imread(str(path))
            cv2.imwrite(str(path), image[:64] if i < 2 else image[:32])
            (root / "labels" / split).mkdir(parents=True, exist_ok=True)
            height = 64 if i < 2 else 32
            row = f"0 {16 / 96} {16 / height} {16 / 96} {16 / height}\n"
            (root / "labels" / split / f"{i}.txt").write_text(row)
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a]\n")
    still = {"translate": 0, "scale": 0, "fliplr": 0, "rect": True, "batch": 2, "imgsz": 96}
    made = setup(str(root / "data.yaml"), tmp_path, **still)
    from lehr.data.requests import train_requests

    requests = train_requests(made.train_samples, 2, 0, 0, rect=True)
    shapes = sorted(tuple(batch.images.shape[2:]) for batch in made.feed.batches(requests))
    assert shapes == [(32, 96), (64, 96)]
    for batch in made.feed.batches(requests):
        assert batch.boxes[:, 0].tolist() == [[8, 8, 24, 24]] * 2  # the objects are where they are
        for image in batch.images:
            assert image[:, 8:24, 8:24].min() > 150 and image[:, 26:, 26:].max() < 130
    assert run(str(root / "data.yaml"), tmp_path, rect=True, batch=2, imgsz=96, name="whole").best.is_file()


def test_multi_scale_changes_the_size_of_the_steps(data: str, tmp_path: Path) -> None:
    sizes: list[int | None] = []
    seen: list[int] = []

    def note(event: BatchStart) -> None:
        if event.step == 0:
            event.run.model.register_forward_pre_hook(lambda _, inputs: seen.append(max(inputs[0].shape[-2:])))
        sizes.append(event.size)
        assert max(event.model_input()[0].shape[-2:]) == event.size

    run(data, tmp_path, callbacks=[FunctionCallback("on_train_batch_start", note)], grid_min=2, grid_max=4, batch=1)
    assert set(sizes) == {64, 96, 128} and len(sizes) == 12
    assert seen == sizes


def test_single_class_mode_sees_one_class(data: str, tmp_path: Path) -> None:
    result = run(data, tmp_path, epochs=1, single_cls=True)
    assert json.loads(read_metadata(result.best)["names"]) == ["object"]
    assert set(result.metrics.classes) == {"object"} and result.metrics.instances == 4


def test_autoanchor_replaces_anchors_that_do_not_fit_unless_it_is_off(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lehr.models.anchor_head as module

    large = tuple(tuple((w * 10, h * 10) for w, h in level) for level in module.DEFAULT_ANCHORS)
    monkeypatch.setattr(module, "DEFAULT_ANCHORS", large)
    kept = anchor_head(setup(data, tmp_path, model="yolov5n", autoanchor=False).state.model)
    fitted = anchor_head(setup(data, tmp_path, model="yolov5n").state.model)
    assert kept is not None and fitted is not None
    torch.testing.assert_close(kept.pixel_anchors, torch.tensor(large))
    assert fitted.pixel_anchors.min() > 10 and fitted.pixel_anchors.max() < 40  # squares of 16 and 28


def test_weights_say_how_many_tensors_of_how_many_fit(data: str, tmp_path: Path) -> None:
    first = run(data, tmp_path, name="first", epochs=1)
    second = setup(data, tmp_path, weights=first.best, single_cls=True)
    total = len(second.state.model.state_dict())
    assert any(f"{total - 6} of {total} tensors start from" in note for note in second.notes)
    assert any("0 of 1 class are among those of the weights" in note for note in second.notes)


def test_frozen_layers_stay_as_the_weights_had_them(data: str, tmp_path: Path) -> None:
    first = run(data, tmp_path, model="yolov5n", name="first", epochs=1)
    second = run(data, tmp_path, model="yolov5n", name="second", epochs=1, weights=first.best, freeze="5")
    one, two = load_model(first.best).state_dict(), load_model(second.last).state_dict()
    frozen = [name for name in one if int(name.split(".")[1]) < 5]
    assert all(torch.equal(one[name], two[name]) for name in frozen)
    assert any(not torch.equal(one[name], two[name]) for name in one if name not in frozen)


def test_class_and_image_weights_reach_loss_and_order(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 9, "val": 4})
    for i in range(8):  # one image of class 1 is left
        path = data.parent / "labels" / "train" / f"{i}.txt"
        path.write_text("0" + path.read_text()[1:])
    (data.parent / "labels" / "train" / "8.txt").write_text("1 0.5 0.5 0.25 0.25\n")
    made = setup(str(data), tmp_path, class_weights=1.0, image_weights=True)
    weights = made.loss.class_weights  # type: ignore[attr-defined]
    assert float(weights[1] / weights[0]) == pytest.approx(8)

    def drawn(class_maps: tuple[float, ...]) -> Any:
        each = [epoch_requests(made.config, made.train_samples, class_maps, epoch) for epoch in range(60)]
        return np.bincount([i for requests in each for request in requests for i in request.images], minlength=9)

    counts = drawn((0.0, 0.0))
    assert counts[8] > 4 * counts[:8].mean()  # half of all draws
    assert drawn((0.0, 1.0))[8] < counts[8] / 2  # class 1 is found always: it need not be seen again
