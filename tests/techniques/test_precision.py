"""Mixed precision: what is chosen, and what the check passes and refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lehr.errors import InputError
from lehr.losses.build import build_loss
from lehr.models.build import build_model
from lehr.models.detection import DetectionModel
from lehr.options import LossOptions
from lehr.techniques import precision as module
from lehr.techniques.precision import (
    Precision,
    autocast,
    faster_on_request,
    new_scaler,
    safer,
    scaler_state,
    wanted_precision,
)
from lehr.techniques.precision_check import PrecisionCheck, check_precision

CPU = torch.device("cpu")
HALF = (torch.float16, torch.bfloat16)


def small_model(name: str = "yolov8n", seed: int = 0) -> DetectionModel:
    model = build_model(name, ("a", "b"), 64, seed, depth=0.1, width=0.125)
    return model.to(memory_format=torch.channels_last).train()


def pictures(batch: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Smooth backgrounds with a bright rectangle each, and its box."""
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, 3, 4, 4, generator=random)
    images = nn.functional.interpolate(images, (64, 64), mode="bilinear") * 0.6
    boxes = torch.zeros(batch, 1, 4)
    for image, box in zip(images, boxes, strict=True):
        x, y = torch.randint(2, 30, (2,), generator=random).tolist()
        image[:, y : y + 24, x : x + 24] = 0.95
        box[0] = torch.tensor([x, y, x + 24, y + 24], dtype=torch.float32)
    return images.contiguous(memory_format=torch.channels_last), boxes, torch.zeros(batch, 1, dtype=torch.int64)


def checked(model: DetectionModel, precision: Precision, batch: int = 8) -> PrecisionCheck:
    return check_precision(model, build_loss(model, LossOptions(), 64), *pictures(batch), precision)


class After(nn.Module):
    """A layer with something done to its answer."""

    def __init__(self, layer: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = layer
        self.change = change

    def forward(self, x: Any) -> Any:
        return self.change(self.layer(x))


def broken(change: Callable[[Tensor], Tensor], layer: int = 3) -> DetectionModel:
    model = small_model()
    model.model[layer] = After(model.model[layer], change)
    return model


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
@pytest.mark.parametrize("precision", [Precision.BFLOAT16, Precision.FLOAT16])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_sound_model_passes(name: str, precision: Precision, seed: int) -> None:
    check = checked(small_model(name, seed), precision)
    assert check.passed, str(check)
    assert check.batch == 8 and check.sampling_noise is not None
    assert check.overlap > 0.9 and check.cosine > 0.25
    assert "on 8 images passed: loss" in str(check)


def test_a_layer_that_overflows_float16_is_refused_and_named() -> None:
    # The normalization behind it takes the factor back: in float32, and in bfloat16, nothing is wrong.
    model = small_model()
    layer = model.model[3]
    layer.conv = After(layer.conv, lambda x: x * 1e6)
    check = checked(model, Precision.FLOAT16)
    assert not check.passed
    assert "not finite, first in layer model.3" in str(check) and "float16 reaches 6.55e+04" in str(check)
    assert checked(model, Precision.BFLOAT16).passed


def test_a_layer_that_fails_for_batches_above_seven_is_refused_at_that_batch_size() -> None:
    model = small_model()
    layer = model.model[3].conv

    def change(x: Tensor) -> Tensor:
        return x * float("nan") if len(x) > 7 and x.dtype in HALF else x

    model.model[3].conv = After(layer, change)
    check = checked(model, Precision.BFLOAT16, batch=8)
    assert not check.passed and "answer to 8 images is not finite" in str(check) and "model.3" in str(check)
    assert checked(model, Precision.BFLOAT16, batch=7).passed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: shifted(p, "distances", lambda x: x + torch.arange(64) % 16 / 4), "Detections drift: their boxes"),
        (lambda p: shifted(p, "logits", lambda x: x + 1), "Detections drift: their scores"),
    ],
)
def test_a_model_whose_detections_drift_is_refused(change: Callable[[Any], Any], reason: str) -> None:
    model = small_model()
    model.register_forward_hook(lambda _, __, prediction: change(prediction))
    assert reason in str(checked(model, Precision.BFLOAT16))


def shifted(prediction: Any, field: str, change: Callable[[Tensor], Tensor]) -> Any:
    from dataclasses import replace

    values = getattr(prediction, field)
    return replace(prediction, **{field: change(values)}) if values.dtype in HALF else prediction


def test_a_gradient_that_turns_is_refused() -> None:
    class Turned(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.turned = x.dtype in HALF
            return x.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return -gradient if ctx.turned else gradient

    check = checked(broken(Turned.apply, layer=15), Precision.BFLOAT16)
    assert not check.passed and "gradient" in str(check)


def test_what_float32_cannot_either_is_said_to_be_no_question_of_precision() -> None:
    check = checked(broken(lambda x: x / 0), Precision.BFLOAT16)
    assert not check.passed and "Not even float32" in str(check) and "layer model.3" in str(check)


def test_the_check_leaves_the_model_as_it_was() -> None:
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    checked(model, Precision.FLOAT16)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())


def test_the_scale_is_one_that_does_not_overflow() -> None:
    """A gradient of about 2^4 in float16 allows a scale of at most 2^12."""
    model = small_model()
    loss = build_loss(model, LossOptions(), 64)
    large = lambda *given: loss(*given) * 2**10  # noqa: E731
    check = check_precision(model, large, *pictures(2), Precision.FLOAT16)  # type: ignore[arg-type]
    plain = checked(model, Precision.FLOAT16, batch=2)
    assert check.passed and plain.passed
    assert 1 <= check.scale < plain.scale <= 2**16


def test_precisions_are_chosen_by_what_the_hardware_has(monkeypatch: pytest.MonkeyPatch) -> None:
    has: set[torch.dtype] = set()
    monkeypatch.setattr(module, "native", lambda device, dtype: dtype in has)
    monkeypatch.setattr(module, "works", lambda device, dtype: dtype in has)
    cuda = torch.device("cuda")
    assert wanted_precision("auto", cuda) is Precision.FLOAT32
    with pytest.raises(InputError, match="--amp fp16: float16 does not work on cuda"):
        wanted_precision("fp16", cuda)
    has.add(torch.float16)
    assert wanted_precision("auto", cuda) is Precision.FLOAT16
    assert wanted_precision("auto", CPU) is Precision.FLOAT32
    assert safer(Precision.FLOAT16, cuda) is Precision.FLOAT32
    has.add(torch.bfloat16)
    assert wanted_precision("auto", cuda) is Precision.BFLOAT16
    assert wanted_precision("auto", CPU) is Precision.FLOAT32  # bfloat16 costs accuracy, and wins little there
    assert wanted_precision("bf16", CPU) is Precision.BFLOAT16
    assert wanted_precision("off", cuda) is Precision.FLOAT32
    assert safer(Precision.FLOAT16, cuda) is Precision.BFLOAT16
    assert safer(Precision.BFLOAT16, cuda) is Precision.FLOAT32


def test_a_cpu_that_could_compute_faster_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    has = {torch.bfloat16}
    monkeypatch.setattr(module, "native", lambda device, dtype: dtype in has)
    monkeypatch.setattr(module, "works", lambda device, dtype: True)
    assert "--amp bf16" in (faster_on_request("auto", CPU) or "")
    assert faster_on_request("off", CPU) is None and faster_on_request("auto", torch.device("cuda")) is None
    has.clear()
    assert faster_on_request("auto", CPU) is None


def test_only_float16_needs_a_scale() -> None:
    assert new_scaler(CPU, Precision.BFLOAT16) is None and new_scaler(CPU, Precision.FLOAT32) is None
    scaler = new_scaler(CPU, Precision.FLOAT16, 8.0)
    assert scaler is not None and float(scaler.scale(torch.ones(()))) == 8.0


def test_what_is_saved_of_a_scaler_is_not_read_from_the_device() -> None:
    """A number on the device `meta` cannot be read at all; on CUDA the host would wait for it."""
    scaler = new_scaler(torch.device("cpu"), Precision.FLOAT16, 512.0)
    assert scaler is not None
    scaler.scale(torch.ones(()))  # which makes its tensors
    known = scaler.state_dict()
    saved = scaler_state(scaler)
    assert saved.keys() == known.keys()
    assert {name: float(value) for name, value in saved.items()} == {name: float(known[name]) for name in known}
    for name in ("_scale", "_growth_tracker"):
        setattr(scaler, name, torch.empty((), device="meta"))
    assert scaler_state(scaler)["scale"].device.type == "meta"
    with pytest.raises(RuntimeError, match="meta"):
        scaler.state_dict()


def test_float32_computes_as_if_there_were_no_context() -> None:
    x = torch.randn(2, 3)
    with autocast(CPU, Precision.FLOAT32):
        assert (x @ x.T).dtype == torch.float32
    with autocast(CPU, Precision.BFLOAT16):
        assert (x @ x.T).dtype == torch.bfloat16
