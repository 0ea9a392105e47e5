"""Data sets of strangers: whatever a file is or holds, one message names it, soon and without much memory."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.fuzz import painted
from benchmarks.fuzz.judge import FAILED, judge
from benchmarks.fuzz.painted import PaintedSet
from tests.commands import lehr
from tests.conftest import draw_squares

from lehr.data import limits
from lehr.data.check import check_dataset
from lehr.data.formats import yolo_yaml
from lehr.data.load import load_dataset
from lehr.errors import InputError

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs links and named pipes")
SETS: tuple[Callable[[], PaintedSet], ...] = (
    painted.yolo,
    painted.yolo_lists,
    painted.darknet,
    painted.class_list,
    painted.coco,
    painted.voc,
    painted.cvat,
)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _folder(path: Path) -> None:
    path.mkdir()


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**37)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))


@unix
@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", SETS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("replace", [_pipe, _link_to_pipe, _device, _loop, _folder, _sparse, _socket])
def test_what_is_no_file_is_named_and_never_waited_for(
    make: Callable[[], PaintedSet], replace: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {(str(Path(name).parent), Path(name).suffix, "/" not in name and name): name for name in make().files}
    monkeypatch.chdir(tmp_path)
    for name in names.values():
        made, root = make(), tmp_path / "set"
        painted.write(made, root)
        (root / name).unlink()
        replace(root / name)
        made.whole = replace not in (_folder, _loop)  # which may be meant; others must be said, not left out
        outcome = judge(made, root)
        assert outcome.result != FAILED, f"{name}: {outcome.message}"
        if replace in (_pipe, _device, _sparse, _socket) and not name.endswith((".names", "classes.txt")):
            assert Path(name).stem in _said(root / made.source), name
        shutil.rmtree(root)


def _said(source: Path) -> str:
    try:
        dataset = load_dataset(str(source))
        return "\n".join(map(str, check_dataset(dataset)))
    except InputError as error:
        return str(error)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
VALUES = {
    "bomb": "*a8",
    "deep": "[" * 3000 + "]" * 3000,
    "deep map": "{a: " * 1500 + "1" + "}" * 1500,
    "digits": "9" * 5000,
    "date": "2024-99-99",
    "float": "!!float abc",
    "int": "!!int abc",
    "time": "!!timestamp abc",
    "python": "!!python/object/apply:os.system [id]",
    "binary": "!!binary '***'",
    "home": "~nosuchuser",
    "long": "a" * 5000,
    "nul": '"a\\0b"',
    "half": '"\\ud800"',
    "escape": '"\\e[2J"',
    "self": "&z [*z]",
    "self map": "&z {a: *z}",
    "device": "/dev/zero",
    "dots": "../" * 2000,
    "sexagesimal": "1:" * 3000 + "1",
    "pattern": "'" + "**/*/" * 30 + "*'",
    "brackets": "'" + "[!a-" * 500 + "'",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("key", ["names", "nc", "train", "path", "kpt_shape", "task", "description"])
def test_no_value_of_a_data_yaml_ends_in_a_traceback(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if key == "path":  # whose lists are read as those of `train`
        monkeypatch.setattr(yolo_yaml, "MOST_ENTRIES", 10_000)
    made, root = painted.yolo(), tmp_path / "set"
    painted.write(made, root)
    usual = {"train": "images/train", "val": "images/val", "names": "[disc, square, star]"}
    for name, value in VALUES.items():
        lines = {**usual, key: value}
        start = BOMB if name == "bomb" else ""
        text = start + "".join(f"{each}: {given}\n" for each, given in lines.items())
        (root / "data.yaml").write_text(text, encoding="utf-8")
        _is_read_or_refused(root / "data.yaml", "data.yaml", f"{key}: {name}")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "more",
    [
        f"x: [{'a,' * 7_000_000}a]",
        "x: " + "[" * 15_000_000,
        "x: '" + "a\n\n" * 4_000_000 + "'",
        "\n" * 15_000_000,
        "x: " + "a" * 15_000_000,
        "x: " + "a" * 17_000_000,
        "".join(f"k{i}: 1\n" for i in range(30_000)),
    ],
    ids=["values", "brackets", "quoted", "newlines", "scalar", "too-large", "keys"],
)
def test_a_large_data_yaml_takes_no_minutes(more: str, tmp_path: Path) -> None:
    painted.write(painted.yolo(), tmp_path / "set")
    path = tmp_path / "set" / "data.yaml"
    path.write_text(f"train: images/train\nval: images/val\nnames: [disc, square, star]\n{more}\n")
    _is_read_or_refused(path, "data.yaml", "")


def _is_read_or_refused(source: Path, named: str, about: str) -> None:
    started = time.process_time()
    try:
        load_dataset(str(source))
    except InputError as error:
        assert (named in str(error) or "/dev/zero: " in str(error)) and len(str(error)) < 3000, about
    assert time.process_time() - started < 5, about


@pytest.mark.timeout(60)
def test_no_value_of_a_configuration_ends_in_a_traceback(tmp_path: Path) -> None:
    for option, key in (
        ("--config", "epochs"),
        ("--config", "augmentation"),
        ("--config", "unknown"),
        ("--hyp", "lr0"),
    ):
        for name, value in list(VALUES.items())[:: 1 if key == "epochs" else 3]:
            path = tmp_path / "options.yaml"
            path.write_text((BOMB if name == "bomb" else "") + f"{key}: {value}\n")
            started = time.process_time()
            try:
                done = lehr("train", option, path, "--explain", cwd=tmp_path, code=2)
            except AssertionError as error:  # a few are fine text, but none may be a traceback
                assert "Traceback" not in str(error), (option, key, name)
                continue
            assert time.process_time() - started < 5, (option, key, name)
            assert 0 < len(done.stderr) < 20_000, (option, key, name)


RECORD_VALUES = [
    "abc",
    None,
    [1],
    {"a": 1},
    True,
    10**400,
    float("nan"),
    float("inf"),
    "\ud800",
    "a\0b",
    "a" * 5000,
    "",
    -1,
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("table", ["images", "annotations", "categories"])
def test_no_value_of_a_coco_json_ends_in_a_traceback(table: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    painted.write(painted.coco(), root)
    path = root / "annotations" / "instances_train.json"
    content = json.loads(path.read_bytes())
    for key in content[table][0]:
        for value in RECORD_VALUES:
            changed = json.loads(json.dumps(content))
            changed[table][0][key] = value
            path.write_text(json.dumps(changed))
            _is_read_or_refused(root, "instances_train.json", f"{key}: {value!r:.50}")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"x": ' + "9" * 6000 + "}", "thousands of digits"),
        ("[" * 200_000, "nested too deeply"),
        ('{"images":' * 100_000, "nested too deeply"),
    ],
    ids=["digits", "lists", "maps"],
)
def test_a_json_that_cannot_be_parsed_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(text)
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: .*{message}"):
        load_dataset(str(path))


def test_a_few_bytes_that_stand_for_gigabytes_are_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "train.json.gz"
    block = gzip.compress(b" " * 2**24, 9)
    path.write_bytes(block * 64)  # a gigabyte
    started = time.process_time()
    with pytest.raises(InputError, match=r"train\.json\.gz: stands for over 256 MB"):
        load_dataset(str(path))
    assert time.process_time() - started < 5


CODECS = ["hex", "rot13", "zlib", "idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "x" * 200]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("make", "name"), [(painted.voc, "Annotations/train0.xml"), (painted.cvat, "annotations.xml")])
def test_no_xml_ends_in_a_traceback(make: Callable[[], PaintedSet], name: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    painted.write(make(), root)
    plain = (root / name).read_bytes()
    inside = plain.split(b"?>", 1)[-1]
    attacks = {codec: f'<?xml version="1.0" encoding="{codec}"?>'.encode() + inside for codec in CODECS}
    attacks |= {f"{codec} bytes": data + b"<!-- \xff\\ud800 -->" for codec, data in attacks.items()}
    attacks |= {
        "deep": b"<a>" * 300_000,
        "entities": b'<!DOCTYPE a [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]><annotation>&b;</annotation>',
        "file": b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>',
        "infinite": re.sub(rb"\d+\.\d+", b"1e999", plain),
        "digits": re.sub(rb"\d+", b"9" * 5000, plain),
        "half": plain.replace(b"disc", b"&#xd800;"),
        "ampersands": plain.replace(b"disc", b"&" * 1_000_000),
    }
    for about, data in attacks.items():
        (root / name).write_bytes(data)
        _is_read_or_refused(root, Path(name).name, about)


@pytest.mark.timeout(60)
def test_millions_of_lines_cost_neither_minutes_nor_gigabytes(tmp_path: Path) -> None:
    root = tmp_path / "set"
    painted.write(painted.yolo(), root)
    label = root / "labels" / "train" / "train0.txt"
    line = "0 0.5 0.5 0.1 0.1\n"
    for text in (
        line * 20_001,
        line * 500_000,
        line * 10_000_000,
        "\n" * 9_000_000,
        "words\n" * 20_001,
        "1 " * 4_000_000,
    ):
        label.write_text(text)
        started = time.process_time()
        faults = [str(fault) for fault in load_dataset(str(root / "data.yaml")).faults]
        assert time.process_time() - started < 5
        assert any(str(label) in fault for fault in faults)
        if "0.5" in text:
            assert any("LEHR_MAX_OBJECTS=" in fault for fault in faults)


def test_more_objects_are_read_where_the_variable_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_OBJECTS", 1)
    counts = {}
    try:
        for make in (painted.yolo, painted.coco, painted.voc, painted.cvat):
            for limit in (1, 100):
                monkeypatch.setenv("LEHR_MAX_OBJECTS", str(limit))
                limits.max_objects.cache_clear()
                made, root = make(), tmp_path / f"{make.__name__}{limit}"
                painted.write(made, root)
                dataset = load_dataset(str(root / made.source))
                counts[make.__name__, limit] = max(len(each.classes) for each in dataset.splits["train"])
                assert any("LEHR_MAX_OBJECTS" in fault.message for fault in dataset.broken) == (limit == 1)
    finally:
        monkeypatch.undo()
        limits.max_objects.cache_clear()
    assert all((count <= 1) == (limit == 1) for (_, limit), count in counts.items())


@unix
def test_what_is_copied_by_links_from_outside_is_said_and_no_secret_is(tmp_path: Path) -> None:
    root, outside = tmp_path / "set", tmp_path / "elsewhere" / "photo.png"
    draw_squares(outside, [(8, 8, 40, 40)])
    for split in ("train", "val"):
        draw_squares(root / "images" / split / "own.png", [(8, 8, 40, 40)], seed=1)
        (root / "labels" / split).mkdir(parents=True)
        (root / "labels" / split / "own.txt").write_text("0 0.375 0.375 0.5 0.5\n")
    (root / "images" / "train" / "linked.png").symlink_to(outside)
    (root / "labels" / "train" / "linked.txt").write_text("0 0.375 0.375 0.5 0.5\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [square]\n")
    said = lehr("data", "convert", root / "data.yaml", "--to", "yolo", "--out", "a", cwd=tmp_path).stdout
    assert f"1 image is reached by links that lead out of {root}" in said and str(outside) in said
    assert (tmp_path / "a" / "images" / "train" / "linked.png").read_bytes() == outside.read_bytes()
    outside.write_text("root:$6$secret:19000:0:99999:7:::\n")
    done = lehr("data", "convert", root / "data.yaml", "--to", "yolo", "--out", "b", cwd=tmp_path, code=2)
    assert "linked.png" in done.stderr and "secret" not in done.stderr and not (tmp_path / "b").exists()


@unix
def test_a_list_cannot_be_broken_by_the_name_of_an_image(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number, name in enumerate(("a", "b", "c", "d\n..\u2028x")):
        draw_squares(root / "images" / "train" / f"{name}.png", [(8, 8, 40, 40)], seed=number)
    (root / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [square]\n")
    done = lehr("data", "split", root / "data.yaml", "--out", "lists", cwd=tmp_path, code=2)
    assert "is not possible in a list" in done.stderr and not (tmp_path / "lists").exists()


@unix
def test_folders_without_end_are_not_looked_through(tmp_path: Path) -> None:
    root = tmp_path / "set"
    painted.write(painted.yolo(), root)
    deep = root / "images" / "train"
    for _ in range(400):
        deep /= "a"
    deep.mkdir(parents=True)
    (root / "images" / "train" / "back").symlink_to("..")
    faults = load_dataset(str(root / "data.yaml")).faults
    assert any("folders deep" in fault.message for fault in faults)
