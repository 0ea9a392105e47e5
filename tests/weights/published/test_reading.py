"""Checkpoints of other trainers are read as plain data, and refused where they name what no checkpoint needs."""

from __future__ import annotations

import argparse
import os
from collections import OrderedDict, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tests.weights.published.pickles as p
import torch
from tests.commands import lehr
from tests.weights.published.hostile_child import watched
from torch import nn

from lehr.errors import InputError
from lehr.models.build import build_model
from lehr.weights.published.reading import read_torch_file
from lehr.weights.published.stand_in import Name


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


def test_the_form_before_torch_1_6_is_read_too(tmp_path: Path) -> None:
    shared = torch.arange(12.0).reshape(3, 4)
    content = {
        "model": OrderedDict(build_model("yolov5n", ("a",), width=0.125).half().state_dict()),
        "parts": [shared, shared.t(), torch.zeros(0), torch.tensor([True, False]), torch.tensor(3)],
    }
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    read = read_torch_file(tmp_path / "w.pt")
    same(read, torch.load(tmp_path / "w.pt", weights_only=True))
    assert read["parts"][0].data_ptr() == read["parts"][1].data_ptr()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_protocol_of_pickle_is_followed(tmp_path: Path, protocol: int, zipped: bool) -> None:
    content = {"names": {0: "a", 1: "猫"}, "w": torch.ones(2), "set": {1}, "frozen": frozenset("a"), "b": b"x" * 300}
    torch.save(content, tmp_path / "w.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    same(read_torch_file(tmp_path / "w.pt"), content)


def test_objects_become_records_and_numbers_of_numpy_those_of_python(tmp_path: Path) -> None:
    content = {
        "fitness": np.float64(0.5),
        "flags": [np.bool_(True), np.int64(-3), np.float16(1.5)],
        "array": np.arange(6, dtype=">f4").reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "options": argparse.Namespace(imgsz=640, data="a.yaml"),
        "path": Path("/a/b.yaml"),
        "counts": defaultdict(int, {"a": 1}),
        "when": datetime(2026, 11, 26, tzinfo=UTC),
        "device": torch.device("cuda:1"),
        "dtype": torch.float16,
        "layer": nn.Conv2d(3, 4, 1),
    }
    torch.save(content, tmp_path / "w.pt")
    read = read_torch_file(tmp_path / "w.pt")
    assert read["fitness"] == 0.5 and type(read["fitness"]) is float and read["flags"] == [True, -3, 1.5]
    assert read["array"].state.tolist() == [[0, 1, 2], [3, 4, 5]] == read["columns"].state.tolist()
    assert read["options"].name == "argparse.Namespace" and read["options"].get("imgsz") == 640
    assert (read["path"], read["counts"], read["device"], read["dtype"]) == (
        "/a/b.yaml",
        {"a": 1},
        "cuda:1",
        torch.float16,
    )
    assert read["when"].kind == "datetime"
    layer = read["layer"]
    assert layer.name == "torch.nn.modules.conv.Conv2d" and layer.get("kernel_size") == (1, 1)
    assert torch.equal(layer.get("weight"), content["layer"].weight)
    assert [name for name, _ in layer.tensors("model.")] == ["model.weight", "model.bias"]


def test_a_method_that_a_merged_module_has_is_a_name(tmp_path: Path) -> None:
    method = p.call(p.name("builtins", "getattr"), p.made(p.name("models.common", "Conv")), p.value("forward_fuse"))
    (tmp_path / "w.pt").write_bytes(p.archive(p.program(p.table(forward=method))))
    assert read_torch_file(tmp_path / "w.pt")["forward"] == Name("models.common.Conv.forward_fuse")


def test_a_command_refuses_a_hostile_file_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(p.archive(p.program(p.call(p.name("os", "system"), p.value("touch ran")))))
    done = lehr("val", "--weights", "w.pt", "--data", "shapes", cwd=tmp_path, code=2)
    assert "w.pt: names os.system, which runs programs" in done.stderr and not (tmp_path / "ran").exists()


def test_a_file_whose_checksums_were_left_out_is_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.ones(2)}, tmp_path / "w.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_torch_file(tmp_path / "w.pt")["w"], torch.ones(2))


def test_bytes_that_are_no_truth_values_are_made_some(tmp_path: Path) -> None:
    kind = ("torch", "BoolStorage")
    data = p.archive(p.program(p.tensor(p.block(count=3, kind=kind), shape=(3,))), {"0": b"\x00\x07\xff"})
    (tmp_path / "w.pt").write_bytes(data)
    assert read_torch_file(tmp_path / "w.pt").view(torch.uint8).tolist() == [0, 1, 1]


def test_reading_takes_the_memory_of_the_numbers_and_little_more(tmp_path: Path) -> None:
    size = 32 * 2**20
    torch.save({"w": [torch.ones(2**20, dtype=torch.float16) for _ in range(size // 2**21)]}, tmp_path / "w.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "good.pt")
    lines = watched(tmp_path)
    assert [line["message"] for line in lines] == [None, None] and all(line["seen"] == [] for line in lines[1:])
    assert 0.9 * size < lines[1]["bytes"] < 1.2 * size
