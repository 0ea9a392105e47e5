"""Checkpoints of other trainers are read as plain data, and refused where they name what no checkpoint needs."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from lehr.errors import InputError
from lehr.models.build import build_model
from lehr.weights.published.reading import read_torch_file


def test_plain_content_is_read_as_torch_reads_it(tmp_path: Path) -> None:
    shared = torch.arange(12.0).reshape(3, 4)
    content = {
        "epoch": 3,
        "date": "2026-11-25",
        "model": OrderedDict(build_model("yolov8n", ("a", "b"), width=0.125).state_dict()),
        "parts": [shared, shared.t(), shared[1:, ::2], torch.zeros(0), torch.tensor(5), torch.tensor([True, False])],
        "types": [torch.ones(3, dtype=dtype) for dtype in (torch.float16, torch.bfloat16, torch.int8, torch.uint8)],
        3: (None, 1.5, float("inf"), -7, 2**40, b"bytes", {1, 2}, torch.Size([1, 2])),
    }
    torch.save(content, tmp_path / "w.pt")
    read = read_torch_file(tmp_path / "w.pt")
    same(read, torch.load(tmp_path / "w.pt", weights_only=True))
    assert read["parts"][0].data_ptr() == read["parts"][1].data_ptr()


def same(read: Any, wanted: Any) -> None:
    """Check that two contents are alike, with lists, tuples and dictionaries of any kind."""
    if isinstance(wanted, torch.Tensor):
        assert read.dtype == wanted.dtype and read.stride() == wanted.stride() and torch.equal(read, wanted)
    elif isinstance(wanted, dict):
        assert list(read) == list(wanted)
        for key in wanted:
            same(read[key], wanted[key])
    elif isinstance(wanted, list | tuple):
        assert len(read) == len(wanted)
        for one, other in zip(read, wanted, strict=True):
            same(one, other)
    else:
        assert read == wanted and type(read) is type(wanted)


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_what_would_run_is_refused_by_its_name(tmp_path: Path) -> None:
    torch.save({"model": Bomb(tmp_path / "ran")}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"w\.pt: names posix\.mkdir, which runs programs or changes files"):
        read_torch_file(tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()
