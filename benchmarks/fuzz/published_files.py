"""Checkpoints of other trainers with random or hostile changes: bytes, archives, and single instructions.

A pickle is split into its instructions; some of them are removed, repeated, swapped, given other arguments or mixed
with foreign ones. The archive around it is intact, checksums included, so that what comes after the archive is tested.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import random
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from benchmarks.fuzz.content_changed import VALUES
from benchmarks.fuzz.foreign_files import NUMBERS, Ran, change_archive, flip

LENGTHS = {"BINUNICODE": 4, "SHORT_BINUNICODE": 1, "BINBYTES": 4, "SHORT_BINBYTES": 1, "LONG1": 1}
"""Bytes of the length field before the argument of an instruction."""
STRANGE = [
    *(b"}", b"]", b")", b"(", b"0", b"1", b"2", b"N", b"R", b"b", b"\x81", b"Q", b"t", b"u", b"e", b"s", b"a", b"."),
    *(b"h\x00", b"h\xff", b"j\xff\xff\xff\xff", b"q\x00", b"\x85", b"\x86", b"\x87", b"\x90", b"\x91", b"\x94"),
    *(b"K\xff", b"J\xff\xff\xff\xff", b"J\x00\x00\x00\x80", b"\x8a\xff" + b"\x7f" * 255, b"G\x7f\xf8" + bytes(6)),
    *(b"\x8e" + b"\xff" * 8, b"X\xff\xff\xff\x7f", b"\x95" + b"\xff" * 8, b"\x82\x01", b"ios\nsystem\n"),
    *(b"(" * 20_000,),
    *(b"]" * 5_000 + b"a" * 4_999, b")\x85" + b"q\x01h\x01\x86" * 50, b"cmodels.yolo\nModel\n)\x81", b"cos\nsystem\n"),
    *(b"ccollections\nOrderedDict\n)R", b"c__builtin__\nset\n]\x85R", b"ctorch\nSize\n(K\x01K\x02t\x85R"),
    *(b"cpathlib\nPosixPath\n(X\x01\x00\x00\x00atR", b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8\x89\x88tR"),
]
"""Instructions that are inserted somewhere."""
NAMES = ["os system", "builtins eval", "torch FloatStorage", "torch LongStorage", "torch.storage UntypedStorage"]
NAMES += ["torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "collections OrderedDict", "torch Size"]
NAMES += [
    "models.yolo Segment",
    "ultralytics.nn.modules.head Pose",
    "torch.nn.modules.conv Conv3d",
    "a b",
    "torch.nn x.y",
]


def published_seeds(model: Any) -> tuple[bytes, ...]:
    """Make the checkpoints that mutants are made of: modules, tensors only, and the format before torch 1.6.

    Args:
        model: a small model of Lehr.
    """
    from tests.weights.published.published_files import write_published

    with tempfile.TemporaryDirectory() as folder:
        modules = write_published(Path(folder, "w.pt"), model).read_bytes()
    tensors, old = io.BytesIO(), io.BytesIO()
    content = {"epoch": 3, "model": model.half().state_dict(), "names": list(model.names)}
    torch.save(content, tensors)
    torch.save(content, old, _use_new_zipfile_serialization=False)
    model.float()
    return modules, tensors.getvalue(), old.getvalue()


def change_published(seeds: tuple[bytes, ...], rng: random.Random, mark: str) -> bytes:
    """Return a checkpoint of another trainer with other bytes, another archive, or another pickle.

    Args:
        seeds: checkpoints.
        rng: draws what is changed.
        mark: folder that hostile pickles create if they are run.
    """
    data, kind = rng.choice([seeds[0], *seeds]), rng.random()
    zipped = data.startswith(b"PK")
    if kind < 0.1:
        return flip(data, rng)
    if kind < 0.2 and zipped:
        return change_archive(data, rng, mark)
    if kind < 0.25:
        return _saved(rng.choice([Ran(mark), {"model": Ran(mark)}, {"epoch": 1, "x": [Ran(mark)]}]), rng)
    if kind < 0.35:
        return _saved({"model": rng.choice(VALUES), "names": rng.choice(VALUES), "x": rng.choice(VALUES)}, rng)
    if not zipped:
        starts = [at for at in range(len(data)) if data.startswith(b"\x80\x02}", at)]
        end = data.index(b".\x80\x02]", starts[1]) + 1
        return data[: starts[1]] + change_pickle(data[starts[1] : end], rng) + data[end:]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries:
            archive.writestr(name, change_pickle(content, rng) if name.endswith("data.pkl") else content)
    return file.getvalue()


def _saved(content: Any, rng: random.Random) -> bytes:
    file = io.BytesIO()
    try:
        torch.save(content, file, _use_new_zipfile_serialization=rng.random() < 0.5)
    except (UnicodeError, OverflowError, pickle.PicklingError):
        torch.save({}, file)
    return file.getvalue()


def change_pickle(data: bytes, rng: random.Random) -> bytes:
    """Return a pickle with some of its instructions changed."""
    starts = [position or 0 for _, _, position in pickletools.genops(data)]
    steps = [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at, kind = rng.randrange(len(steps)), rng.random()
        if kind < 0.45:
            steps[at] = _other_argument(steps[at], rng)
        elif kind < 0.55:
            del steps[at : at + rng.choice([1, 1, 5])]
        elif kind < 0.65:
            steps[at:at] = steps[at : at + rng.choice([1, 2, 10])] * rng.choice([1, 2, 50])
        elif kind < 0.75:
            other = rng.randrange(len(steps))
            steps[at], steps[other] = steps[other], steps[at]
        elif kind < 0.95:
            steps[at:at] = [rng.choice(STRANGE)]
        else:
            steps[at] = rng.choice(STRANGE)
        if not steps:
            return b""
    return b"".join(steps)


def _other_argument(step: bytes, rng: random.Random) -> bytes:
    """Return an instruction with another argument."""
    code = pickletools.code2op[chr(step[0])].name if chr(step[0]) in pickletools.code2op else ""
    if code == "GLOBAL":
        return b"c" + rng.choice(NAMES).replace(" ", "\n").encode() + b"\n"
    if code in LENGTHS and rng.random() < 0.8:
        text = rng.choice(
            [step[1 + LENGTHS[code] :] + b"x", b"", b"0", b"cpu", b"\xff", b"_modules", b"a" * 200, b"../x"]
        )
        return step[:1] + len(text).to_bytes(LENGTHS[code], "little") + text
    if code in ("BININT1", "BININT2", "BININT"):
        return b"J" + struct.pack("<I", rng.choice(NUMBERS)) if rng.random() < 0.8 else rng.choice(STRANGE)
    if code == "BINFLOAT":
        return b"G" + struct.pack(">d", rng.choice([float("nan"), float("inf"), -1.0, 1e308, 0.0]))
    changed = bytearray(step)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)
