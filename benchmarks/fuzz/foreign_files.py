"""Weights, checkpoints, run folders, studies and option files with random or hostile changes."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import yaml
from benchmarks.fuzz.bytes_changed import change_bytes
from benchmarks.fuzz.content_changed import DEEP, VALUES, change_part, json_text

from lehr.checkpoint.format import FORMAT, read_checkpoint
from lehr.checkpoint.packing import pack
from lehr.checkpoint.snapshot import snapshot

NUMBERS = [0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1]


class Ran:
    """Object that creates a folder when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (self.mark,)


def flip(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with bits flipped, a piece removed, repeated, zeroed or replaced, or the end cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at, length = rng.randrange(len(changed) + 1), rng.choice([1, 4, 8, 100, 4096])
        kind = rng.random()
        if kind < 0.4 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind < 0.5:
            del changed[at:]
        elif kind < 0.6:
            del changed[at : at + length]
        elif kind < 0.7:
            changed[at:at] = changed[at : at + length]
        elif kind < 0.8:
            changed[at : at + length] = bytes(len(changed[at : at + length]))
        elif kind < 0.9:
            number = struct.pack("<I", rng.choice(NUMBERS))
            changed[at : at + 4] = number
        else:
            changed[at : at + length] = rng.randbytes(len(changed[at : at + length]))
    return bytes(changed)


def change_weights(data: bytes, rng: random.Random) -> bytes:
    """Return a weights file with another header, other metadata, or other bytes."""
    kind = rng.random()
    if kind < 0.2:
        return flip(data, rng)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    if kind < 0.6:
        metadata = header["__metadata__"]
        name = rng.choice(["names", "imgsz", "depth", "width", "model", "anchors", "format", "names", "width"])
        if rng.random() < 0.15:
            metadata.pop(name, None)
        elif rng.random() < 0.4 and name in ("names", "anchors"):
            part = change_part(json.loads(metadata.get(name, "[[[1, 1]]]")), rng)
            metadata[name] = json_text(part, rng).decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()
        else:
            value = rng.choice(VALUES)
            metadata[name] = value if isinstance(value, str) else json.dumps(value)
    elif kind < 0.9:
        name = rng.choice(list(header))
        header[name] = change_part(header[name], rng)
    else:
        header = change_part({name: header[name] for name in rng.sample(list(header), 20)}, rng)
    text = json_text(header, rng)
    length = len(text) if rng.random() < 0.95 else rng.choice([0, 1, 2**24, 2**40, 2**63, 2**64 - 1])
    return struct.pack("<Q", length) + text + data[end:]


@lru_cache(1)
def _parts(path: Path) -> tuple[dict[str, Any], list[torch.Tensor], str]:
    """Return the position, blocks and JSON of a checkpoint."""
    checkpoint = read_checkpoint(path)
    return asdict(checkpoint.position), *pack(snapshot(checkpoint.content)[0])


def sealed(archive: bytes, comment: bytes) -> bytes:
    """Return an archive with a comment and a checksum, as in a checkpoint."""
    start = archive.rfind(b"PK\x05\x06")
    if start < 0:
        return archive
    data = archive[: start + 20] + struct.pack("<H", (len(comment) + 8) % 2**16) + comment
    return data + f"{zlib.crc32(data):08x}".encode()


def change_checkpoint(path: Path, rng: random.Random, mark: str) -> bytes:
    """Return a checkpoint with other bytes, or with a valid checksum and other content, position, pickle or archive.

    Args:
        path: a checkpoint.
        rng: draws what is changed.
        mark: folder that hostile pickles create if they are run.
    """
    kind = rng.random()
    if kind < 0.15:
        return flip(path.read_bytes(), rng)
    position, blocks, text = _parts(path)
    content: Any = {"format": FORMAT, "blocks": blocks, "content": text}
    comment = {"format": FORMAT, **position}
    archive: bytes | None = None
    if kind < 0.6:
        nested = json.loads(text)
        if rng.random() < 0.7:  # one part of the state, since there are so many tensors
            name = rng.choice([name for name in nested["state"] if name not in ("model",)])
            nested["state"][name] = change_part(nested["state"][name], rng)
        else:
            nested = change_part(nested, rng)
        content["content"] = json_text(nested, rng).decode("utf-8", "replace")
    elif kind < 0.7:
        comment = change_part(comment, rng)
    elif kind < 0.78:
        content = rng.choice(
            [
                {**content, "x": Ran(mark)},
                Ran(mark),
                {**content, "blocks": [Ran(mark)]},
                {**content, "blocks": [torch.ones(2, 3), *blocks]},
                {**content, "blocks": [torch.ones(1).expand(10**9)]},
                {**content, "content": 5},
                {**content, "blocks": blocks * 2},
                [content],
            ]
        )
    elif kind < 0.9:
        archive = change_archive(_saved(content), rng, mark)
    else:
        archive = flip(_saved(content), rng)
    text_of_comment = json_text(comment, rng)[:60_000] + b"\n"
    return sealed(archive if archive is not None else _saved(content), text_of_comment)


def _saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def change_archive(data: bytes, rng: random.Random, mark: str) -> bytes:
    """Rewrite a ZIP archive: compressed, with entries removed, repeated, changed or renamed, or with another pickle."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    kind = rng.random()
    at = rng.randrange(len(entries))
    program = next(index for index, (name, _) in enumerate(entries) if name.endswith("data.pkl"))
    if kind < 0.15:
        del entries[at]
    elif kind < 0.3:
        entries.append((entries[at][0], flip(entries[at][1] or b"x", rng)))
    elif kind < 0.45:
        entries[program] = (entries[program][0], flip(entries[program][1], rng))
    elif kind < 0.6:
        evil = [
            pickle.dumps(Ran(mark), 2),
            pickle.dumps({"format": FORMAT, "x": Ran(mark)}, 4),
            b"\x80\x02" + b"(" * DEEP,
        ]
        entries[program] = (entries[program][0], rng.choice(evil))
    elif kind < 0.7:
        entries[at] = (rng.choice(["../../x", "/etc/x", "archive/", "x" * 5000]), entries[at][1])
    elif kind < 0.8:
        entries[at] = (entries[at][0], bytes(rng.choice([0, 1, 10**6])))
    file = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if kind > 0.9 or rng.random() < 0.2 else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def change_options(options: dict[str, Any], rng: random.Random) -> bytes:
    """Return a YAML file of options with changed values or other bytes."""
    kind = rng.random()
    if kind < 0.55:
        changed = change_part(options, rng)
        text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")
        return text
    text = yaml.safe_dump(options, sort_keys=False).encode()
    if kind < 0.65:
        return json_text(change_part(options, rng), rng)
    if kind < 0.75:
        name = rng.choice(list(options))
        value = rng.choice(
            [
                "!!python/object/apply:os.system [true]",
                "!!float abc",
                "!!timestamp x",
                "&a [*a]",
                "*nothing",
                "&x [1, &y [*x]]",
                "9" * 5000,
                "[" * 5000,
                "2024-99-99",
                "~nosuchuser",
                ".nan",
                "-.inf",
                "!!binary x",
                "!!set {a, b}",
                "{[1]: 2}",
                bomb(),
            ]
        )
        return text + f"\n{name}: {value}\n".encode()
    return change_bytes(text, rng)


def bomb() -> str:
    """Return aliases that expand to many million values."""
    lines = ["&a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"&a{number} [{', '.join([f'*a{number - 1}'] * 9)}]" for number in range(1, 9)]
    return f"[{', '.join(lines)}]"


def change_run_folder(folder: Path, rng: random.Random, change: Callable[[str], bytes]) -> None:
    """Change files of a run's folder: their content, or their type.

    Args:
        folder: a copy of a run's folder.
        rng: draws what is changed.
        change: returns other content for a file, by its name.
    """
    names = ["config.yaml", "last.ckpt", "previous.ckpt", "results.csv", "train.log", ".lock", ".lock.holder"]
    for name in rng.sample(names, rng.choice([1, 1, 2, 3])):
        path, kind = folder / name, rng.random()
        if kind < 0.55 and path.is_file() and name in ("config.yaml", "last.ckpt", "previous.ckpt", "results.csv"):
            path.write_bytes(change(name))
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if kind < 0.65:
            path.symlink_to(
                rng.choice(["/dev/zero", "/etc/passwd", "nowhere", str(folder), name, "../../outside", "/dev/full"])
            )
        elif kind < 0.75:
            os.mkfifo(path)
        elif kind < 0.85:
            path.mkdir()
        elif kind < 0.9:
            path.write_bytes(b"")
        elif kind < 0.95:
            path.touch()
            os.truncate(path, 2**33)


def change_results(data: bytes, rng: random.Random) -> bytes:
    """Return results.csv with a value removed or replaced, or with other bytes."""
    rows = [line.split(",") for line in data.decode().splitlines()]
    if rng.random() < 0.3:
        return change_bytes(data, rng)
    for _ in range(rng.choice([1, 2])):
        row = rng.choice(rows)
        at = rng.randrange(len(row))
        if rng.random() < 0.3:
            del row[at]
        else:
            value = rng.choice([value for value in VALUES if isinstance(value, str | int | float)])
            row[at] = str(value) if not isinstance(value, int) or value < 10**300 else "9" * 400
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass")


def change_database(path: Path, rng: random.Random) -> None:
    """Change values or bytes of a study's SQLite file."""
    if rng.random() < 0.35:
        path.write_bytes(flip(path.read_bytes(), rng))
        return
    file = sqlite3.connect(path)
    try:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for _ in range(rng.choice([1, 1, 3])):
            table = rng.choice(tables)
            columns = [row[1] for row in file.execute(f"PRAGMA table_info({table})")]
            column, value = rng.choice(columns), rng.choice(VALUES)
            if column.endswith("json") or isinstance(value, list | dict):
                value = json_text(value, rng).decode("utf-8", "replace")
            if isinstance(value, int) and abs(value) >= 2**63:
                value = float(min(value, 10**300))
            if isinstance(value, str):
                value = value.encode("utf-8", "replace").decode()
            statement = rng.choice(
                [f"UPDATE {table} SET {column} = ?", f"UPDATE {table} SET {column} = ? WHERE rowid = 1"]
                if rng.random() < 0.9
                else [f"DELETE FROM {table} WHERE ? IS NOT 7"]
            )
            try:
                file.execute(statement, (value,))
            except sqlite3.Error:
                continue
        file.commit()
    finally:
        file.close()


def change_journal(data: bytes, rng: random.Random) -> bytes:
    """Return a study's journal with an operation changed, removed, repeated, or swapped with another."""
    lines = data.splitlines()
    for _ in range(rng.choice([1, 1, 2, 5])):
        at, kind = rng.randrange(len(lines)), rng.random()
        if kind < 0.6:
            try:
                lines[at] = json_text(change_part(json.loads(lines[at]), rng), rng)
            except (ValueError, RecursionError):  # damaged before
                continue
        elif kind < 0.7 and len(lines) > 1:
            del lines[at]
        elif kind < 0.8:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif kind < 0.9:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] = flip(lines[at] or b"x", rng)
    return b"\n".join(lines) + (b"\n" if rng.random() < 0.9 else b"")
