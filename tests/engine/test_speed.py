"""What makes a run fast changes nothing of it: precision, drawing on the device, compiled code, measured batches."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine.conftest import Undisturbed
from tests.engine.runs import LEARNING, SMALL, before_step, resume, stopped_run
from tests.engine.test_going_wrong import all_finite, poisoned, run

from lehr.callbacks.events import BatchStart
from lehr.checkpoint.format import read_checkpoint
from lehr.config import build_config
from lehr.engine import autobatch, preflight
from lehr.engine.setup import prepare
from lehr.engine.step import ForwardLoss
from lehr.errors import InputError
from lehr.losses.build import build_loss
from lehr.models.build import build_model
from lehr.options import LossOptions
from lehr.techniques.autobatch import Measured
from lehr.techniques.precision import Precision
from lehr.yaml_files import read_mapping


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    """Five batches of 2 an epoch."""
    return make_yolo(counts={"train": 10, "val": 4})


@pytest.fixture
def more(make_yolo: MakeYolo) -> Path:
    """Five batches of 4 an epoch."""
    return make_yolo("more", counts={"train": 20, "val": 4})


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "results.csv").open()))


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_a_run_in_mixed_precision_is_checked_first_and_learns_as_in_float32(
    amp: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undisturbed: Undisturbed
) -> None:
    plain = undisturbed(data)
    folder = run(data, tmp_path, amp, batch=4, amp=amp).folder
    told = capsys.readouterr().out
    name = {"bf16": "bfloat16", "fp16": "float16"}[amp]
    assert f"Precision check of {name} on 4 images passed: loss" in told and f"in {name}, torch" in told
    kept = json.loads((folder / "precision.json").read_text())
    assert kept["precision"] == name and kept["checks"][0]["passed"] and kept["checks"][0]["cosine"] > 0.25
    assert json.loads((plain / "precision.json").read_text()) == {"precision": "float32", "checks": []}
    ours, theirs = (float(rows_of(each)[0]["train/cls"]) for each in (folder, plain))
    assert ours != theirs and ours == pytest.approx(theirs, rel=0.02)
    assert all_finite(folder / "last.ckpt")


@pytest.mark.parametrize("amp", [pytest.param("bf16", marks=pytest.mark.slow), "fp16"])
def test_a_run_in_mixed_precision_that_was_stopped_ends_as_one_that_was_not(
    amp: str, data: Path, tmp_path: Path
) -> None:
    options = {"amp": amp, "nominal_batch": 8}
    run(data, tmp_path, "whole", batch=4, **options)
    folder = stopped_run(data, tmp_path, "stopped", 4, **options)
    state = read_checkpoint(folder / "last.ckpt").content["state"]
    assert state["precision"] == {"bf16": "bfloat16", "fp16": "float16"}[amp]
    assert (state["scaler"] is None) == (amp == "bf16")
    resume(folder)
    assert differences(tmp_path / "whole", folder) == []


def test_a_precision_that_is_refused_is_not_used(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lehr.techniques import precision_check

    monkeypatch.setattr(precision_check, "MIN_OVERLAP", 2.0)
    folder = run(data, tmp_path, "run", amp="bf16", epochs=1).folder
    told = capsys.readouterr().out
    assert " failed: loss" in told and "Detections drift" in told and "The run computes in float32 instead." in told
    kept = json.loads((folder / "precision.json").read_text())
    assert kept["precision"] == "float32" and not kept["checks"][0]["passed"]


def test_repeated_overflow_goes_back_and_on_in_float32(
    more: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(event: BatchStart) -> None:
        model = event.run.model
        for hook in list(model._forward_hooks):
            del model._forward_hooks[hook]
        if event.step >= 7 and event.precision == "bfloat16":
            model.register_forward_hook(spoil)

    def spoil(_: Any, __: Any, prediction: Any) -> Any:
        from dataclasses import replace

        return replace(prediction, logits=prediction.logits * float("inf"))

    with before_step(act):
        folder = run(more, tmp_path, "run", batch=4, amp="bf16", **LEARNING).folder
    told = capsys.readouterr().out
    assert (
        "3 consecutive optimizer steps were not finite in bfloat16. Rolled back to" in told
        and "continues in float32." in told
    )
    assert "rollback 1" not in told, "the rates stay what they were"
    state = read_checkpoint(folder / "last.ckpt").content["state"]
    assert state["precision"] == "float32" and state["recovery"]["lr_scale"] == 1.0
    assert state["recovery"]["rollbacks"] == 0 and state["recovery"]["skipped"] == 3
    assert len(rows_of(folder)) == 2 and all_finite(folder / "last.ckpt")


def test_an_overflow_of_the_scaled_gradient_halves_the_scale_and_is_no_trouble(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = preflight.check_precision

    def too_large(*given: Any) -> Any:
        from dataclasses import replace

        return replace(check(*given), scale=2.0**40)

    monkeypatch.setattr(preflight, "check_precision", too_large)
    folder = run(data, tmp_path, "run", amp="fp16", epochs=6).folder
    told = capsys.readouterr().out
    assert "the gradient overflowed float16; the loss is scaled by 2.74878e+11 / 2 from now on" in told
    assert "Rolled back" not in told
    skipped = sum(int(row["skipped"]) for row in rows_of(folder))
    state = read_checkpoint(folder / "last.ckpt").content["state"]
    assert 3 < skipped < 30 and state["scaler"]["scale"] == 2.0 ** (38 - skipped)


def test_what_is_not_finite_itself_is_trouble_in_float16_too(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with poisoned(lambda step, _: step == 4):
        folder = run(data, tmp_path, "run", amp="fp16").folder
    assert "Optimizer step skipped: epoch 1, batch 5: loss box nan" in capsys.readouterr().out
    assert all_finite(folder / "last.ckpt")


def test_a_precision_that_is_missing_where_a_run_goes_on_is_replaced_aloud(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped_run(data, tmp_path, "run", 4, amp="bf16")
    monkeypatch.setattr(preflight, "works", lambda device, dtype: False)
    resume(folder)
    assert "The run computed in bfloat16, which does not work on cpu: now in float32." in capsys.readouterr().out
    assert read_checkpoint(folder / "last.ckpt").content["state"]["precision"] == "float32"


@pytest.mark.parametrize("options", [{}, {"mixup": 0.5, "degrees": 10, "copy_paste": 0.5}, {"rect": True}])
def test_batches_are_the_same_wherever_their_pictures_are_drawn(
    options: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    here, there = (
        prepare(build_config({**SMALL, "data": str(data), "augment_on": where, **options}), tmp_path / "run")
        for where in ("cpu", "device")
    )
    ours, theirs = there.first_batch(), here.first_batch()
    assert torch.equal(ours.boxes, theirs.boxes) and torch.equal(ours.classes, theirs.classes)
    assert ours.instances == theirs.instances == int((theirs.classes >= 0).sum())
    assert ours.images.shape == theirs.images.shape and ours.packed is None
    assert ours.images.is_contiguous(memory_format=torch.channels_last)
    difference = (ours.images.float() - theirs.images.float()).abs()
    assert 0 < difference.mean() < 2, "the images are noise, where a little shift shows"


def test_drawing_on_the_device_does_not_depend_on_the_workers_and_goes_on_exactly(data: Path, tmp_path: Path) -> None:
    options = {"augment_on": "device", "mixup": 0.3, "batch": 2}
    run(data, tmp_path, "whole", **options)
    run(data, tmp_path, "workers", workers=2, **options)
    assert differences(tmp_path / "whole", tmp_path / "workers") == []
    folder = stopped_run(data, tmp_path, "stopped", 6, **options)
    resume(folder)
    assert differences(tmp_path / "whole", folder) == []


@pytest.mark.usefixtures("_nothing_decoded_is_kept")
def test_an_image_that_is_gone_is_replaced_there_too(data: Path, tmp_path: Path) -> None:
    def act(event: BatchStart) -> None:
        if event.step == 4:
            (data.parent / "images" / "train" / "3.jpg").unlink(missing_ok=True)

    with before_step(act):
        folder = run(data, tmp_path, "run", augment_on="device", cache="none", epochs=2, mosaic=0.0).folder
    assert [int(row["replaced"]) for row in rows_of(folder)] == [0, 1]


@pytest.fixture
def _quick_measuring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    seconds = {8: 1.2, 16: 1.9, 32: 3.9}
    original = autobatch._Steps.measure

    def measure(self: Any, size: int) -> Measured | None:
        real = original(self, size)
        return None if real is None else Measured(size, real.bytes, seconds[size])

    monkeypatch.setattr(autobatch._Steps, "measure", measure)
    yield


@pytest.mark.usefixtures("_quick_measuring")
def test_a_measured_batch_is_kept_and_changes_nothing_else(
    make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_yolo("large", counts={"train": 40, "val": 4})
    options = {"nominal_batch": 32, "epochs": 1}
    folder = run(data, tmp_path, "auto", batch="auto", **options).folder
    told = capsys.readouterr().out
    assert "AutoBatch on cpu" in told and "Batch 16, 2 per optimizer step" in told
    assert read_mapping(folder / "config.yaml")["batch"] == 16
    run(data, tmp_path, "given", batch=16, **options)
    assert differences(folder, tmp_path / "given") == []


@pytest.mark.usefixtures("_quick_measuring")
def test_what_is_said_of_a_measured_batch_is_what_the_run_does(
    make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On few images the nominal batch of `auto` goes down to the batch that was found."""
    run(make_yolo(counts={"train": 12, "val": 4}), tmp_path, "auto", batch="auto", epochs=1)
    told = capsys.readouterr().out
    found = re.search(r"Batch (\d+), (\d+) per optimizer step", told)
    assert found is not None
    assert f"batches of {found[1]} at" in told and f"{found[2]} batch an optimizer step" in told


def test_steps_are_really_made_and_measured(more: Path, tmp_path: Path) -> None:
    config = build_config(
        {"data": str(more), "imgsz": 64, "width": 0.0625, "depth": 0.01, "batch": 0.5, "device": "cpu"}
    )
    (tmp_path / "run").mkdir()
    made = prepare(config, tmp_path / "run")
    assert isinstance(made.config.data.batch, int) and made.config.batch in (8, 16)
    note = next(line for line in made.notes if line.startswith("AutoBatch"))
    assert "images/s with 8" in note


@pytest.mark.parametrize("batch", [0, -4, 1.5, "some"])
def test_a_batch_that_is_none_is_refused(batch: Any) -> None:
    with pytest.raises(InputError, match="--batch"):
        build_config({"batch": batch})


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("name", ["yolov8n", "yolov5n"])
def test_a_step_is_one_graph_for_all_sizes_and_counts_of_objects(name: str, backend: str) -> None:
    """The graph is that of the forward pass; with `aot_eager`, which takes four times as long, of the backward too."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model = build_model(name, ("a", "b"), 64, depth=0.01, width=0.125).train()
    forward_loss = ForwardLoss(model, build_loss(model, LossOptions(), 64), torch.device("cpu"))
    from lehr.data.batch import Batch

    def batch(images: int, objects: int) -> Batch:
        random = torch.Generator().manual_seed(images + objects)
        corner = torch.rand(images, objects, 2, generator=random) * 30
        boxes = torch.cat((corner, corner + 24), -1)
        return Batch(
            torch.randint(0, 255, (images, 3, 96, 96), dtype=torch.uint8, generator=random),
            boxes,
            torch.zeros(images, objects, dtype=torch.int64),
            torch.arange(images),
            torch.zeros(images, 4),
        )

    forward_loss.compile("default", 4, sizes_vary=True, backend=backend)
    for size, objects, images in ((64, 3, 4), (96, 0, 4), (128, 1, 4), (160, 9, 4), (64, 40, 4), (96, 3, 2)):
        forward_loss.enabled = False
        expected = forward_loss.parts(batch(images, objects), size, Precision.FLOAT32)
        forward_loss.enabled = True
        found = forward_loss.parts(batch(images, objects), size, Precision.FLOAT32)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
        torch.autograd.backward(found.sum())
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] == 1, "one graph for all"
    assert not counters["graph_break"]


def test_code_that_cannot_be_made_is_done_without_aloud(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        def parts(*_: Any) -> Any:
            raise RuntimeError("no compiler")

        return parts

    monkeypatch.setattr(torch, "compile", fails)
    folder = run(data, tmp_path, "compiled", compile="default", epochs=1).folder
    assert (
        "--compile default: does not work here, so the run continues uncompiled: no compiler" in capsys.readouterr().out
    )
    monkeypatch.undo()
    run(data, tmp_path, "plain", epochs=1)
    assert differences(folder, tmp_path / "plain") == []


def test_a_profile_tells_where_the_time_went(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undisturbed: Undisturbed
) -> None:
    folder = run(data, tmp_path, "run", profile=True).folder
    told = capsys.readouterr().out
    table = told[told.index("Where the time went, over 10 steps") :].splitlines()
    seconds = {line.split()[0]: float(line.split()[-3]) for line in table[2:] if line.rstrip().endswith("%")}
    for stage in ("input", "copy", "forward", "loss", "backward", "optimizer", "EMA", "validation", "checkpoint"):
        assert stage in seconds, stage
    whole = float(rows_of(folder)[-1]["seconds"])
    assert 0.6 * whole < sum(seconds.values()) <= 1.05 * whole + 0.5
    assert differences(folder, undisturbed(data, batch=2)) == []
    assert "Where the time went" in (folder / "train.log").read_text()


def test_options_are_read_as_people_write_them(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("amp: off\ncompile: off\nbatch: auto\n")
    config = build_config(read_mapping(file))
    assert config.speed.amp == "off" and config.speed.compile == "off" and config.data.batch == "auto"
    assert build_config({"amp": True}).speed.amp == "auto"
