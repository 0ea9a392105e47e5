"""Values between processes: exactly what was sent arrives, and nothing that is received can run anything."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from tests.processes import together

from lehr.config import TrainConfig, build_config
from lehr.distributed.group import joined
from lehr.distributed.messages import LENGTH, decode, encode
from lehr.errors import LehrError

PLAIN = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats(allow_nan=False, allow_subnormal=False)
    | strategies.text()
    | strategies.builds(Path, strategies.text("a/.$\udc80é")),
    lambda parts: (
        strategies.lists(parts, max_size=3)
        | strategies.lists(parts, max_size=3).map(tuple)
        | strategies.frozensets(strategies.text(), max_size=3)
        | strategies.dictionaries(strategies.sampled_from(["a", "$tensor", "$pairs", "$"]), parts, max_size=3)
        | strategies.dictionaries(strategies.integers() | strategies.tuples(strategies.integers()), parts, max_size=3)
    ),
)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    colours: tuple[Colour, ...]
    corners: Any = None


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the bit, and of the same types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return one == other and (isinstance(one, frozenset) or repr(one) == repr(other))  # which tells 0.0 from -0.0


@given(PLAIN)
def test_plain_values_arrive_as_they_were(value: Any) -> None:
    assert same(decode(encode(value)), value)


def test_numbers_arrive_to_the_bit() -> None:
    rng = random.Random(0)
    bits = [rng.getrandbits(64) for _ in range(2000)]
    values = [struct.unpack("<d", struct.pack("<Q", each))[0] for each in bits] + [-0.0, float("inf"), 5e-324]
    numbers = [value for value in values if value == value]
    assert same(decode(encode(numbers)), numbers)
    assert str(decode(encode(float("nan")))) == "nan"
    assert same(decode(encode([np.float64(0.1), np.int64(2**62), np.bool_(True)])), [0.1, 2**62, True])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool])
def test_tensors_arrive_with_their_layout_and_memory_of_their_own(dtype: torch.dtype) -> None:
    base = (torch.arange(2 * 3 * 4 * 5) % 7).to(dtype).reshape(2, 3, 4, 5)
    dense = [base, base[1], base.transpose(1, 3), base.to(memory_format=torch.channels_last), base[0, 0, 0, 0]]
    others = [base[:, :, ::2], base[:0], base[:1].expand(4, 3, 4, 5), base[:, 1:2], torch.empty(0, dtype=dtype)]
    arrived = decode(encode({"all": dense + others, "more": base}))["all"]
    for one, other in zip(dense + others, arrived, strict=True):
        assert same(one, other)
        assert other.untyped_storage().nbytes() == other.numel() * other.element_size()
    assert [each.stride() for each in dense] == [each.stride() for each in arrived[: len(dense)]]


def test_numbers_of_tensors_arrive_to_the_bit() -> None:
    nans = torch.tensor([0x7FC01234, -1], dtype=torch.int32).view(torch.float32)
    assert torch.equal(decode(encode(nans)).view(torch.int32), nans.view(torch.int32))
    assert decode(encode(torch.ones(3, dtype=torch.bfloat16))).dtype == torch.bfloat16


def test_arrays_arrive() -> None:
    frozen = np.arange(6.0)
    frozen.flags.writeable = False
    for array in (np.arange(6.0).reshape(2, 3), np.zeros((0, 7)), np.arange(6)[::-1], frozen, np.arange(4, dtype="u1")):
        arrived = decode(encode([array]))[0]
        assert arrived.dtype == array.dtype and np.array_equal(arrived, array)


def test_arrays_without_numbers_arrive_whatever_their_strides() -> None:
    empty = np.lib.stride_tricks.as_strided(np.zeros(0, np.int32), (0,), (0,))
    arrived = decode(encode(empty))
    assert arrived.shape == (0,) and arrived.dtype == np.int32


def test_objects_arrive_where_their_class_is_named() -> None:
    shape = Shape("star", (Colour.RED,), torch.ones(2))
    arrived = decode(encode((shape, None), (Shape, Colour)), (Shape, Colour))[0]
    assert arrived.name == "star" and arrived.colours == (Colour.RED,) and type(arrived.colours[0]) is Colour
    assert torch.equal(arrived.corners, torch.ones(2))
    with pytest.raises(TypeError, match=r"Colour is not carried"):
        encode(shape, (Shape,))
    with pytest.raises(LehrError, match=r"that this one does not understand \(KeyError: 'Shape'\)"):
        decode(encode(shape, (Shape, Colour)), (Colour,))
    for thing in (object(), print, {1, 2}, b"bytes", 1j):
        with pytest.raises(TypeError):
            encode(thing)


@pytest.mark.parametrize(
    "options",
    [{}, {"data": "~/a b.yaml", "lr0": 0.1 + 0.2, "hyp": "high", "multi_scale": 0.5, "model": "yolov5n"}],
)
def test_a_configuration_arrives_whole(options: dict[str, Any]) -> None:
    config = build_config({"epochs": 7, "device": [0, 1], **options, "begun_in": "/there"}).with_batch(6)
    arrived = decode(encode(config, [TrainConfig]), [TrainConfig])
    assert arrived == config and arrived.given == config.given and arrived.for_file() == config.for_file()
    assert same(arrived.model_copy(update={"given": ()}), config.model_copy(update={"given": ()}))


def test_what_was_not_sent_by_a_process_of_the_run_ends_in_one_message(tmp_path: Path) -> None:
    """Among it what torch would have unpickled."""
    good = encode({"a": [torch.arange(9.0), (1, "b")]})
    bad = torch.frombuffer(bytearray(pickle.dumps(Runs(tmp_path / "ran"))), dtype=torch.uint8)
    texts = [
        *("{}{", '{"$tensor": []}', '{"$tensor": ["os", 0, [1], [1]]}', '{"$tensor": ["float32", 0, [9e9], [1]]}'),
        *('{"$tensor": ["float32", -4, [1], [1]]}', '{"$tensor": ["float32", 0, [1000], [0]]}', "[" * 100_000),
        *('{"$object": ["Path", {}]}', '{"$object": ["Shape", {"evil": 1}]}', '{"$run": 1}', '{"$pairs": [[[], 1]]}'),
        *('{"$tensor": ["float32", 0, [2], [10000000]]}', '{"$array": ["bfloat16", 0, [1], [1]]}', '{"$path": 1}'),
    ]
    messages = [bad, good[:3], good[:-40]]
    for text in texts:
        data = bytearray(LENGTH.pack(len(text)) + text.encode() + bytes(64))
        messages.append(torch.frombuffer(data, dtype=torch.uint8))
    for message in messages:
        with pytest.raises(LehrError, match="Another process sent a message that this one does not understand"):
            decode(message, (Shape,))
    assert not (tmp_path / "ran").exists()


def test_random_changes_of_a_message_never_end_in_a_traceback() -> None:
    good, rng, refused = encode({"a": [torch.arange(9.0), (1, "b")], "c": Shape("", ())}, (Shape,)), random.Random(0), 0
    for _ in range(1000):
        changed = good.clone()
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        try:
            decode(changed, (Shape,))
        except LehrError:
            refused += 1
    assert refused > 300


def _exchange() -> list[str]:
    """All exchanges, watched for unpickling; the first item says whether that would have been seen."""
    seen: list[str] = []
    sys.addaudithook(lambda event, found: seen.append(str(found)) if event == "pickle.find_class" else None)
    pickle.loads(pickle.dumps(Colour.RED))
    first = len(seen)
    with joined(torch.device("cpu"), 60) as group:
        ranks = group.ranks
        shape = Shape(f"of {ranks.rank}", (Colour.RED,), torch.full((100 * ranks.rank,), 1.5))
        kinds = (Shape, Colour)
        assert ranks.broadcast_from_rank0(lambda: shape, *kinds).name == "of 0"
        assert ranks.broadcast_local(lambda: shape, *kinds).name == "of 0"
        gathered = ranks.all_gather(shape, *kinds)
        assert [each.name for each in gathered] == [f"of {rank}" for rank in range(ranks.count)]
        assert [len(each.corners) for each in gathered] == [100 * rank for rank in range(ranks.count)]
        assert [each.name for each in ranks.gather(shape, *kinds)] == [each.name for each in gathered] * ranks.is_main
    return [str(first > 0), *seen[first:]]


def test_processes_unpickle_nothing_of_one_another(tmp_path: Path) -> None:
    assert together(2, _exchange, folder=tmp_path) == {0: ["True"], 1: ["True"]}


def test_no_exchange_of_torchs_that_pickles_is_used() -> None:
    source = Path(__file__).parents[2] / "src" / "lehr"
    text = "".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    for name in ("_object_list", "all_gather_object", "gather_object", "scatter_object", "distributed.rpc"):
        assert name not in text


def test_the_text_of_a_message_is_json() -> None:
    message = encode({"a": torch.zeros(3)}).numpy().tobytes()
    (length,) = LENGTH.unpack(message[: LENGTH.size])
    assert json.loads(message[LENGTH.size : LENGTH.size + length]) == {"a": {"$tensor": ["float32", 0, [3], [1]]}}
