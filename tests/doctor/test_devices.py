"""Devices are tried; torch.compile and the decoder too, and none of it changes the process."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import cv2
import pytest
import torch

from lehr.doctor import build, compilation, devices
from lehr.doctor.build import examine_build
from lehr.doctor.compilation import examine_compilation
from lehr.doctor.decoding import examine_decoding
from lehr.doctor.devices import all_devices, examine_device, step_seconds
from lehr.doctor.machine import examine_machine
from lehr.runtime.compiled_code import INDUCTOR

CPU = torch.device("cpu")


def test_the_cpu_is_always_among_the_devices_and_the_last() -> None:
    assert all_devices()[-1] == CPU


def test_a_device_has_each_precision_with_its_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {torch.float32: 0.06, torch.bfloat16: 0.03, torch.float16: None}
    monkeypatch.setattr(devices, "step_seconds", lambda _, dtype: seconds[dtype])
    machine = examine_machine()
    found = examine_device(CPU, machine)
    assert [each.name for each in found.precisions] == ["float32", "bfloat16", "float16"]
    assert [each.speed for each in found.precisions] == [1, 2, None]
    assert found.trains and found.memory_free == machine.memory_free and found.capability is None


def test_a_precision_that_does_not_work_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "works", lambda *_: False)
    monkeypatch.setattr(devices, "step_seconds", lambda *_: pytest.fail("timed"))
    found = examine_device(CPU, examine_machine())
    assert not found.trains and all(each.seconds is None and each.speed is None for each in found.precisions)


def test_a_step_is_timed_and_a_slow_one_by_a_single_image(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    def steps(_: torch.device, __: torch.dtype, batch: int, count: int) -> list[float]:
        batches.append(batch)
        return [9.0] * (count > 1) + [each * batch] * max(1, count - 1)

    each = 0.01
    monkeypatch.setattr(devices, "_steps", steps)
    assert step_seconds(CPU, torch.float32) == pytest.approx(0.04) and batches == [1, 4]
    batches.clear()
    each = 2.0
    assert step_seconds(CPU, torch.float32) == pytest.approx(8.0) and batches == [1]
    each = 0.001
    assert step_seconds(torch.device("cuda"), torch.float32) == pytest.approx(0.064)  # the slow first step is no matter


def test_a_step_that_does_not_fit_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> list[float]:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(devices, "_steps", full)
    assert step_seconds(CPU, torch.float32) is None


def test_the_machine_is_told_and_threads_stay() -> None:
    before = torch.get_num_threads()
    machine = examine_machine()
    assert 1 <= machine.cores <= machine.cores_of_machine and machine.threads == machine.cores
    assert torch.get_num_threads() == before
    if Path("/proc/meminfo").exists():
        assert machine.memory_total is not None and machine.memory_free is not None
        assert 0 < machine.memory_free < machine.memory_total


def test_a_step_leaves_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    seconds = step_seconds(CPU, torch.float32)
    assert seconds is not None and seconds > 0 and torch.equal(torch.get_rng_state(), state)


def test_a_driver_that_torch_cannot_use_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old\nmore")

    monkeypatch.setattr(build, "driver_version", lambda: "470.1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    found = examine_build()
    assert found.driver == "470.1" and found.trouble == "The NVIDIA driver on your system is too old"
    monkeypatch.setattr(torch.version, "cuda", None)
    assert examine_build().trouble == "this torch is built without CUDA"
    monkeypatch.setattr(build, "driver_version", lambda: None)
    assert examine_build().trouble is None


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    found = examine_compilation(CPU)
    assert not found.works and found.seconds is None and found.compiler is None
    assert found.reason is not None and "no-such-compiler" in found.reason and "CXX" in found.reason


def test_a_compiler_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "find_compiler", lambda: "/usr/bin/c++")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("\n  the linker is missing\nmore")

    monkeypatch.setattr(torch, "compile", broken)
    found = examine_compilation(CPU)
    assert not found.works and found.reason == "RuntimeError: the linker is missing"


@pytest.mark.slow
def test_a_compilation_works_where_a_compiler_is_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = os.environ.get(INDUCTOR)
    found = examine_compilation(CPU)
    if found.compiler is None:
        pytest.skip("no C++ compiler")
    assert found.works and found.reason is None and found.seconds is not None and found.seconds > 0
    assert os.environ.get(INDUCTOR) == before and not list(tmp_path.glob("lehr-*"))


def test_decoding_is_timed_on_one_core() -> None:
    threads = cv2.getNumThreads()
    found = examine_decoding(seconds=0.05)
    assert found.images_per_second > 1 and (found.width, found.height) == (640, 480)
    assert 50_000 < found.bytes < 300_000  # about a photograph's
    assert cv2.getNumThreads() == threads
