"""Printing ends nothing: streams that are missing, closed, full or short of letters."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lehr.cli.output import say, write_json
from lehr.runtime.console import Console, complain
from lehr.runtime.standard_streams import SafeStream, encodable, safe_streams

CAT = "猫 sleeps"


class Full(io.StringIO):
    """A stream whose disk is full."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def of_encoding(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")


STREAMS: dict[str, Callable[[], Any]] = {
    "missing": lambda: None,
    "closed": closed,
    "full": Full,
    "ascii": lambda: of_encoding("ascii"),
    "cp1252": lambda: of_encoding("cp1252"),
    "a window's": lambda: type("Window", (), {"write": lambda self, text: None})(),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_no_stream_ends_what_prints(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdout", STREAMS[kind]())
    monkeypatch.setattr(sys, "stderr", STREAMS[kind]())
    say(CAT)
    complain(f"{CAT}\non a mat")
    with Console(tmp_path / "train.log") as console:
        console.say(CAT)
        assert not console.is_terminal
    assert CAT in (tmp_path / "train.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("encoding", "printed"), [("ascii", "\\u732b caf\\xe9"), ("cp1252", "\\u732b café"), ("utf-8", "猫 café")]
)
def test_letters_that_a_stream_lacks_are_printed_by_number(
    encoding: str, printed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stream = of_encoding(encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    say("猫 café")
    with Console(tmp_path / "train.log") as console:
        console.say("猫 café")
    assert stream.buffer.getvalue().decode(encoding) == f"{printed}\n" * 2  # type: ignore[attr-defined]


def test_an_unknown_encoding_counts_as_ascii() -> None:
    assert encodable("a猫", "no-such-encoding") == "a\\u732b"


def test_names_that_are_no_text_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    stream = of_encoding("utf-8")
    SafeStream("stdout", stream).write(name)
    stream.flush()
    assert stream.buffer.getvalue() == b"caf\\udce9.jpg"  # type: ignore[attr-defined]
    write_json(tmp_path / "out.json", [name])
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == [name]


def test_streams_are_put_back_and_prints_of_others_are_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Full()
    monkeypatch.setattr(sys, "stdout", full)
    monkeypatch.setattr(sys, "stderr", None)
    with safe_streams():
        sys.stdout.write("of a library\n")
        sys.stderr.write("of a callback\n")
        logging.getLogger("other").warning("of a logger")
    assert sys.stdout is full and sys.stderr is None


SHELL = {
    "closed": ">&- 2>&-",
    "all closed": "<&- >&- 2>&-",
    "full": ">/dev/full 2>/dev/full",
    "no reader": "| true",
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    ("how", "arguments", "code"),
    [
        ("closed", "schedule --images 8 --classes 1", 0),
        ("all closed", "--help", 0),
        ("full", "schedule --images 8 --classes 1", 0),
        ("full", "nothing", 2),
        ("no reader", "--help", 0),
    ],
)
def test_the_exit_code_is_that_of_the_command(how: str, arguments: str, code: int, tmp_path: Path) -> None:
    line = f"set -o pipefail; {sys.executable} -m lehr {arguments} {SHELL[how]}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


@pytest.mark.skipif(os.name == "nt", reason="descriptors are numbered otherwise")
def test_a_file_that_is_opened_never_becomes_the_error_output(tmp_path: Path) -> None:
    program = (
        "import os, pathlib\n"
        "from lehr.runtime.standard_streams import safe_streams\n"
        "with safe_streams():\n"
        "    with pathlib.Path('last.ckpt').open('w') as file:\n"
        "        os.write(1, b'warning'); os.write(2, b'warning'); file.write(str(file.fileno()))\n"
    )
    line = f'{sys.executable} -c "$PROGRAM" <&- >&- 2>&-'
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env={**os.environ, "PROGRAM": program}, timeout=60)
    written = (tmp_path / "last.ckpt").read_text()
    assert done.returncode == 0 and int(written) > 2  # a number, without the warnings


def test_warnings_of_libraries_act_on_no_terminal() -> None:
    code = (
        "import logging, warnings\nfrom lehr.runtime.standard_streams import safe_streams\n"
        "evil = 'a\\x1b[2J\\x9b\\nlehr: all is well'\nbefore = warnings.formatwarning\n"
        "with safe_streams():\n    warnings.warn(evil)\n    logging.getLogger('library').warning(evil)\n"
        "assert warnings.formatwarning is before and logging.lastResort.formatter is None\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count(r"a\x1b[2J\x9b") == 2 and "\x1b" not in done.stderr
    assert done.stderr.count("\n      lehr: all is well") == 2 and "\nlehr: " not in done.stderr
