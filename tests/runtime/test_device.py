"""A device is chosen by its name, or refused by it."""

from __future__ import annotations

import pytest
import torch

from lehr.errors import InputError
from lehr.runtime.device import expect_changing_shapes, pick_device


def test_names_and_indices_name_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    names = {"auto": "cuda:0", "cuda": "cuda:0", "1": "cuda:1", " CUDA:1 ": "cuda:1", "cpu": "cpu"}
    assert {name: str(pick_device(name)) for name in names} == names
    for name, reason in (("2", "there are 2"), ("cuda:2", "there are 2"), ("cuda:x", "not a device"), ("gpu", "not a")):
        with pytest.raises(InputError, match=reason):
            pick_device(name)


def test_kernels_are_not_tried_out_for_each_of_many_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    assert not expect_changing_shapes(torch.device("cpu")) and torch.backends.cudnn.benchmark
    assert expect_changing_shapes(torch.device("cuda", 0)) and not torch.backends.cudnn.benchmark
    assert not expect_changing_shapes(torch.device("cuda", 0))


def test_without_cuda_a_cuda_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"--device 0: PyTorch sees no CUDA device here\. Use --device cpu\."):
        pick_device("0")
