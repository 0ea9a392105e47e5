"""A precision works where its numbers are right, and nothing that goes wrong is raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

from lehr.techniques import precision_support
from lehr.techniques.precision_support import native, works

CPU = torch.device("cpu")
PRECISIONS = [torch.float32, torch.bfloat16, torch.float16]


def spoil(monkeypatch: pytest.MonkeyPatch, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Changes every convolution that is not in float64, the precision of the truth."""
    true = functional.conv2d

    def spoilt(image: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        output = true(image, *arguments, **options)
        return output if image.dtype == torch.float64 else change(output)

    monkeypatch.setattr(functional, "conv2d", spoilt)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_torch_does_on_a_cpu_works(dtype: torch.dtype) -> None:
    assert works(CPU, dtype)


def test_it_works_in_any_mode_of_the_caller() -> None:
    with torch.inference_mode():
        assert works(CPU, torch.float32) and works(CPU, torch.bfloat16)
    with torch.autocast("cpu"):
        assert works(CPU, torch.float32)


def test_random_numbers_and_threads_stay_as_they_were() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    works(CPU, torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(
    "change",
    [lambda y: y * 1.2, lambda y: y * float("nan"), lambda y: y * float("inf"), lambda y: y.roll(1, 0)],
    ids=["scaled", "nan", "infinite", "mixed up"],
)
def test_wrong_numbers_do_not_work(
    dtype: torch.dtype, change: Callable[[torch.Tensor], torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, change)
    assert not works(CPU, dtype)


def test_wrong_gradients_do_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    # The output stays, and what goes back is doubled.
    spoil(monkeypatch, lambda y: y + (y - y.detach()))
    assert not works(CPU, torch.float32) and not works(CPU, torch.bfloat16)


def test_a_precision_that_autocast_leaves_off_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, lambda y: y.float())
    assert works(CPU, torch.float32) and not works(CPU, torch.bfloat16)


def test_an_operation_that_is_not_there_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> torch.Tensor:
        raise NotImplementedError("no convolution for this type")

    monkeypatch.setattr(functional, "conv2d", missing)
    assert not works(CPU, torch.float16)


def test_a_device_that_is_not_there_does_not_work() -> None:
    if not torch.backends.mps.is_available():
        assert not works(torch.device("mps"), torch.float32)
    assert not works(torch.device("cuda", torch.cuda.device_count()), torch.float32)


def test_only_the_precisions_of_training_count() -> None:
    assert not works(CPU, torch.float64) and not native(CPU, torch.float64) and not works(CPU, torch.int8)


@pytest.mark.parametrize(
    ("features", "bfloat16", "float16"),
    [
        ({"avx2", "f16c", "avx512_f"}, False, False),
        ({"avx512_bf16"}, True, False),
        ({"amx_bf16", "amx_tile"}, True, False),
        ({"avx512_fp16"}, False, True),
        ({"amx_fp16"}, False, True),
        ({"asimd", "asimdhp", "bf16"}, True, True),
    ],
)
def test_a_cpu_has_what_its_instruction_sets_say(
    features: set[str], bfloat16: bool, float16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_support, "cpu_features", lambda: frozenset(features))
    assert native(CPU, torch.float32)
    assert (native(CPU, torch.bfloat16), native(CPU, torch.float16)) == (bfloat16, float16)


@pytest.mark.parametrize(
    ("capability", "bfloat16", "float16"), [((6, 1), False, False), ((7, 5), False, True), ((9, 0), True, True)]
)
def test_a_gpu_has_what_its_generation_has(
    capability: tuple[int, int], bfloat16: bool, float16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.version, "hip", None)
    device = torch.device("cuda", 0)
    assert (native(device, torch.bfloat16), native(device, torch.float16)) == (bfloat16, float16)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_what_a_gpu_has_works(dtype: torch.dtype) -> None:
    device = torch.device("cuda", 0)
    assert works(device, dtype) or not native(device, dtype)
