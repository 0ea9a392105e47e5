"""Checkpoints whose archive is none, or not whole, or not as it says."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from typing import Any

import tests.weights.published.pickles as p

END, END64, LOCATOR, ENTRY, LOCAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02", b"PK\x03\x04"
WHOLE = p.archive(p.program(p.table(model=p.tensor())))
OLD = p.legacy(p.program(p.table(model=p.tensor(p.old_block()))))
ZEROS = bytes(100_000_000)
CUT, DAMAGED, LEADS, TWICE = "cut off", "damaged", "leads out of it", "twice"


def _changed(data: bytes, mark: bytes, offset: int, form: str, *values: int, which: int = 0) -> bytes:
    """An archive with numbers of one of its records changed.

    Args:
        data: the archive.
        mark: that the record begins with.
        offset: of the numbers in the record.
        form: of the numbers, as `struct` has it.
        values: the new numbers.
        which: of the records.
    """
    place = -1
    for _ in range(which + 1):
        place = data.index(mark, place + 1)
    changed = bytearray(data)
    struct.pack_into(form, changed, place + offset, *values)
    return bytes(changed)


def _renamed(old: bytes, new: bytes, places: str = "both") -> bytes:
    """An archive with an entry of another name, of the same length."""
    assert len(old) == len(new)
    directory = WHOLE.index(ENTRY)
    front, back = WHOLE[:directory], WHOLE[directory:]
    front = front.replace(old, new) if places in ("both", "entry") else front
    return front + (back.replace(old, new) if places in ("both", "directory") else back)


def _long_end(start: int, end64: bytes = END64, **numbers: int) -> bytes:
    """An archive that ends as those of more than 4 GB do."""
    end = WHOLE.index(END)
    directory = WHOLE.index(ENTRY)
    fields = {"on_disk": 5, "count": 5, "size": end - directory, "at": directory, **numbers}
    record = end64 + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, *fields.values())
    locator = LOCATOR + struct.pack("<IQI", 0, start if start >= 0 else end, 1)
    return WHOLE[:end] + record + locator + WHOLE[end:]


PICKLE = p.program(p.table(model=p.tensor()))


def _with(**changes: Any) -> bytes:
    return p.archive(PICKLE, **changes)


def _packed(method: int, of: bytes = PICKLE) -> bytes:
    """An archive with a compressed entry."""
    return p.zipped({"w/data.pkl": of, "w/data/0": p.NUMBERS}, method)


def _named(*names: str) -> bytes:
    """An archive with entries of these names besides."""
    entries = {"w/data.pkl": PICKLE, "w/data/0": p.NUMBERS}
    return p.zipped({**entries, **dict.fromkeys(names, b"x")})


def _ordered(order: bytes) -> bytes:
    """An archive that says in which order the bytes of its numbers are."""
    return p.zipped({"w/data.pkl": PICKLE, "w/byteorder": order, "w/data/0": p.NUMBERS})


def _repeated(name: str) -> bytes:
    """An archive with an entry of the same name twice."""
    return p.zipped([("w/data.pkl", PICKLE), ("w/data/0", p.NUMBERS), (name, PICKLE)])


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as written:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            written.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    return file.getvalue()


def _overlapping() -> bytes:
    """An archive with two entries that are the same bytes."""
    return _changed(WHOLE, ENTRY, 42, "<I", 0, which=2)


ARCHIVES: dict[str, tuple[bytes, str]] = {
    "a compressed pickle": (_packed(zipfile.ZIP_DEFLATED), "compressed"),
    "a bomb of a pickle": (_packed(zipfile.ZIP_DEFLATED, ZEROS), "compressed"),
    "a bomb of LZMA": (_packed(zipfile.ZIP_LZMA, bytes(10_000_000)), "compressed"),
    "a bomb of bzip2": (_packed(zipfile.ZIP_BZIP2, bytes(10_000_000)), "compressed"),
    "a bomb of numbers": (
        p.zipped([("w/data.pkl", PICKLE), ("w/data/0", bytes(10_000_000))], zipfile.ZIP_DEFLATED),
        "compressed",
    ),
    "an encrypted pickle": (_changed(WHOLE, ENTRY, 8, "<H", 1), "encrypted"),
    "an unknown compression": (_changed(WHOLE, ENTRY, 10, "<H", 99), "compressed"),
    "two lengths of one entry": (_changed(WHOLE, ENTRY, 24, "<I", 10**9), "compressed"),
    "an entry of four GB": (_changed(WHOLE, ENTRY, 20, "<II", 2**32 - 2, 2**32 - 2), "overlaps"),
    "an entry of a long form without length": (_changed(WHOLE, ENTRY, 20, "<II", 2**32 - 1, 2**32 - 1), "overlaps"),
    "an entry a byte too long": (_changed(WHOLE, ENTRY, 20, "<II", 17, 17, which=2), "overlaps"),
    "an entry that is not where it should be": (_changed(WHOLE, ENTRY, 42, "<I", 7, which=1), "not where it should be"),
    "an entry behind the file": (_changed(WHOLE, ENTRY, 42, "<I", 2**31), "not where it should be"),
    "an entry in the directory": (_changed(WHOLE, ENTRY, 42, "<I", WHOLE.index(ENTRY)), "not where it should be"),
    "two entries of the same bytes": (_overlapping(), "overlaps"),
    "an entry with other bytes before": (_changed(WHOLE, LOCAL, 26, "<H", 60_000), "another name"),
    "an entry with many bytes before": (_changed(WHOLE, LOCAL, 28, "<H", 60_000), "overlaps"),
    "an entry of another name": (_renamed(b"w/data/0", b"w/data/1", "directory"), "another name"),
    "a pickle of another name": (_renamed(b"w/data.pkl", b"w/dat2.pkl", "entry"), "another name"),
    "a directory of another count": (_changed(WHOLE, END, 8, "<HH", 3, 3), DAMAGED),
    "a directory of too many entries": (_changed(WHOLE, END, 8, "<HH", 9, 9), DAMAGED),
    "a directory of no entry": (_changed(WHOLE, END, 8, "<HH", 0, 0), DAMAGED),
    "a directory that is elsewhere": (_changed(WHOLE, END, 16, "<I", 2), DAMAGED),
    "a directory behind the file": (_changed(WHOLE, END, 16, "<I", 2**31), DAMAGED),
    "a directory of other records": (_changed(WHOLE, ENTRY, 0, "<I", 0), DAMAGED),
    "a directory with a long name": (_changed(WHOLE, ENTRY, 28, "<H", 60_000), DAMAGED),
    "a directory with a long field": (_changed(WHOLE, ENTRY, 30, "<H", 60_000), DAMAGED),
    "a comment that is missing": (_changed(WHOLE, END, 20, "<H", 100), "follows"),
    "something behind the archive": (WHOLE + b"os.system", "follows"),
    "an archive behind the archive": (WHOLE + _packed(zipfile.ZIP_DEFLATED), DAMAGED),
    "an end without an archive": (LOCAL + bytes(100) + END + bytes(18), DAMAGED),
    "a long end that is nowhere": (_long_end(2**60), DAMAGED),
    "a long end that is another record": (_long_end(0), DAMAGED),
    "a long end of 2**63 entries": (_long_end(-1, count=2**63), DAMAGED),
    "a long end of 2**63 bytes": (_long_end(-1, size=2**63), DAMAGED),
    "a long end of another mark": (_long_end(-1, end64=b"PK\x06\x09"), DAMAGED),
    "60,001 entries": (_changed(_changed(WHOLE, END, 8, "<HH", 60_001, 60_001), END, 12, "<I", 2**24), DAMAGED),
    "numbers with a bit changed": (WHOLE.replace(p.NUMBERS, b"\x01" + p.NUMBERS[1:]), "checksum"),
    "a pickle with a bit changed": (WHOLE.replace(b"FloatStorage", b"FloaTStorage"), "checksum"),
    "two pickles": (_repeated("w/data.pkl"), TWICE),
    "a block twice": (_repeated("w/data/0"), TWICE),
    "two folders": (_named("v/data/1"), "none that torch.save wrote"),
    "a folder and none": (_named("version"), "none that torch.save wrote"),
    "no folder": (_with(folder=""), "none that torch.save wrote"),
    "a folder that leads up": (_with(folder="../w/"), LEADS),
    "a folder at the root": (_with(folder="/w/"), LEADS),
    "a folder without a name": (_with(folder="w//"), LEADS),
    "no pickle": (p.zipped({"w/data/0": p.NUMBERS}), "none that torch.save wrote"),
    "no entry": (p.zipped({}), "not a weights file"),
    "no block": (_with(blocks={}), "is missing"),
    "a block of another folder": (_named("w/data/../data/9"), LEADS),
    "a name that leads up": (_named("w/../../../etc/passwd"), LEADS),
    "a name that leads to the root": (_named("/etc/passwd"), LEADS),
    "a name that is a way up": (_named("w/.."), LEADS),
    "a name of Windows": (_named("w\\..\\x"), LEADS),
    "a name with a null byte": (_renamed(b"w/version", b"w/vers\0on"), LEADS),
    "a name of no text": (_renamed(b"w/version", b"w/vers\xff\xfeon"[:9]), DAMAGED),
    "an order of other machines": (
        p.zipped({"w/data.pkl": PICKLE, "w/byteorder": b"big", "w/data/0": p.NUMBERS}),
        "big-endian",
    ),
    "an order of nobody": (_ordered(b"x" * 99), "order"),
    "a program of TorchScript": (_with(constants_pkl=p.program(b"N")), "TorchScript"),
    "code of TorchScript": (_named("w/code/__torch__/model.py"), "TorchScript"),
    "an archive in an archive": (p.zipped({"w.pt": WHOLE}), "none that torch.save wrote"),
    "a folder that is packed": (
        p.zipped({"w/data.pkl": PICKLE, "w/.DS_Store": b"", "__MACOSX/x": b""}),
        "none that torch",
    ),
    "a pickle without end": (p.archive(PICKLE[:-1]), CUT),
    "an empty pickle": (p.archive(b""), CUT),
    "a pickle of zeros": (p.archive(bytes(1000)), DAMAGED),
    "a pickle of text": (p.archive(b"import os\nos.system('touch ran')\n"), "damaged|instruction"),
    "a tar archive": (_tar(), "tar archive"),
    "a file of gzip": (gzip.compress(WHOLE), "not a weights file"),
    "a file of 7z": (b"7z\xbc\xaf\x27\x1c" + bytes(100), "not a weights file"),
    "a page": (b"<!DOCTYPE html><html></html>", "web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "Git LFS"),
    "nothing": (b"", "is empty"),
    "a letter": (b"P", "not a weights file"),
    "a program": (b"#!/bin/sh\ntouch ran\n", "not a weights file"),
    "a pickle of protocol 0": (b"cos\nsystem\n(Vtouch ran\ntR.", "not a weights file"),
    "a pickle of protocol 1": (b"cos\nsystem\nq\0(X\1\0\0\0xtR.", "not a weights file"),
}
OLD_FILES: dict[str, tuple[bytes, str]] = {
    "of another number": (p.legacy(PICKLE, magic=p.MAGIC + 1), "is a pickle"),
    "of text": (p.legacy(PICKLE, magic="x"), "is a pickle"),
    "of another version": (p.legacy(PICKLE, version=1000), "torch before"),
    "of another machine": (p.legacy(PICKLE, machine={"little_endian": False}), "big-endian"),
    "of no machine": (p.legacy(PICKLE, machine=5), "big-endian"),
    "without names of blocks": (p.legacy(PICKLE, keys=[]), "blocks of numbers are not those"),
    "with a block too many": (p.legacy(PICKLE, keys=["0", "1"]), "blocks of numbers are not those"),
    "with a block twice": (p.legacy(PICKLE, [("0", p.NUMBERS)] * 2), "blocks of numbers are not those"),
    "with names of other types": (p.legacy(PICKLE, keys=[0]), "blocks of numbers are not those"),
    "with names in text": (p.legacy(PICKLE, keys="0"), "blocks of numbers are not those"),
    "with a block of other length": (p.legacy(PICKLE, counts={"0": 5}), "not as long"),
    "with a block of 2**62 numbers": (p.legacy(PICKLE, counts={"0": 2**62}), "not as long"),
    "with a block of negative length": (p.legacy(PICKLE, counts={"0": -4}), "not as long"),
    "with more numbers than bytes": (
        p.legacy(p.program(p.tensor(p.old_block(count=2**30)))),
        "more numbers than it has bytes",
    ),
    "with a part that is outside": (p.legacy(p.program(p.tensor(p.old_block(view=("1", 2, 3))))), "not within it"),
    "with a part before": (p.legacy(p.program(p.tensor(p.old_block(view=("1", -2, 3))))), "not within it"),
    "with a part of text": (p.legacy(p.program(p.tensor(p.old_block(view="x")))), "not within it"),
    "with a tensor beyond its part": (p.legacy(p.program(p.tensor(p.old_block(view=("1", 1, 3))))), "reaches beyond"),
    "with names that run": (p.legacy(PICKLE, keys=print), "names builtins.print"),
    "with a machine that runs": (p.legacy(PICKLE, machine=print), "names builtins.print"),
    "with a number that runs": (p.legacy(PICKLE, magic=eval), "names builtins.eval"),
    "with only its number": (pickle.dumps(p.MAGIC, 2), CUT),
    "that is a dictionary": (pickle.dumps({"model": [1, 2]}, 2), "is a pickle"),
    "that is text": (pickle.dumps("x" * 1000, 4), "is a pickle"),
}


def _files() -> dict[str, tuple[bytes, str]]:
    files = dict(ARCHIVES)
    files |= {f"an old file {name}": hostile for name, hostile in OLD_FILES.items()}
    for part in range(1, 20):
        files[f"an archive cut off at {part} of 20"] = WHOLE[: len(WHOLE) * part // 20], "cut off|not a weights file"
    for part in range(1, 20):
        files[f"an old file cut off at {part} of 20"] = OLD[: len(OLD) * part // 20], "cut off|damaged|instruction"
    parts = [WHOLE[: WHOLE.index(ENTRY)], WHOLE[WHOLE.index(ENTRY) : WHOLE.index(END)], WHOLE[WHOLE.index(END) :]]
    files["an archive in another order"] = LOCAL + parts[1] + parts[0] + parts[2], DAMAGED
    files["an archive whose end is first"] = LOCAL + parts[2] + parts[0] + parts[1], "follows|damaged"
    half = len(parts[0]) // 2
    files["an archive whose halves are exchanged"] = (
        parts[0][half:] + parts[0][:half] + parts[1] + parts[2],
        "not a weights file",
    )
    entry = WHOLE.index(LOCAL, 1)
    moved = WHOLE[entry : len(parts[0])] + WHOLE[:entry] + parts[1] + parts[2]
    files["an archive whose entries are moved"] = moved, DAMAGED
    return files


FILES = _files()
