"""Kernels are used where they work, and nowhere else."""

from __future__ import annotations

import logging

import pytest
import torch
from tests.kernels.interpreted import interpreted

from lehr.kernels import support


def test_a_kernel_computes() -> None:
    with interpreted("trial") as trial:
        values = torch.randn(300)
        torch.testing.assert_close(trial.doubled(values), 2 * values)


def test_kernels_are_for_cuda_alone() -> None:
    assert not support.usable(torch.device("cpu"))


def test_a_machine_on_which_they_fail_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    support._works.cache_clear()
    monkeypatch.delenv(support.SWITCH, raising=False)
    monkeypatch.setattr(
        torch, "ones", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("Failed to find C compiler"))
    )
    with caplog.at_level(logging.WARNING, "lehr"):
        assert not support.usable(torch.device("cuda", 7)) and not support.usable(torch.device("cuda", 7))
    support._works.cache_clear()
    assert len(caplog.records) == 1 and "Failed to find C compiler" in caplog.text and "gcc" in caplog.text


def test_they_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    support._works.cache_clear()
    monkeypatch.setenv(support.SWITCH, "off")
    assert not support.usable(torch.device("cuda", 0)) and not caplog.records
    support._works.cache_clear()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_they_work_on_a_gpu() -> None:
    support._works.cache_clear()
    assert support.usable(torch.device("cuda", 0))
