"""What a machine refuses is a message with the remedy; what is a fault of the program stays one."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

import pytest

from lehr.errors import LehrError
from lehr.runtime.system_errors import REMEDIES, plain_system_errors


@pytest.mark.parametrize("number", REMEDIES, ids=errno.errorcode.get)
def test_a_refusal_names_file_cause_and_remedy(number: int) -> None:
    with pytest.raises(LehrError) as raised, plain_system_errors():
        raise OSError(number, os.strerror(number), "runs/train/x")
    assert (
        str(raised.value) == f"runs/train/x: {os.strerror(number)}. {REMEDIES[number]}" and raised.value.exit_code == 1
    )


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file", "x"), OSError("odd"), ValueError("x")])
def test_faults_of_the_program_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, plain_system_errors():
        raise error
    assert raised.value is error


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(LehrError, match=r"Shorten the name"), plain_system_errors():
        (tmp_path / ("x" * 300)).touch()


def test_a_machine_without_temporary_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nonexistent"])
    with pytest.raises(LehrError, match="TMPDIR"), plain_system_errors():
        tempfile.mkdtemp()


def test_a_name_that_the_locale_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    with pytest.raises(LehrError, match="PYTHONUTF8=1"), plain_system_errors():
        "猫.jpg".encode("ascii")
    with pytest.raises(UnicodeEncodeError), plain_system_errors():
        "猫".encode("latin-1")  # of something else


def test_a_home_folder_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(path: str) -> str:
        return path

    monkeypatch.setattr(os.path, "expanduser", nobody)
    with pytest.raises(LehrError, match="no home folder"), plain_system_errors():
        Path("~/data.yaml").expanduser()
    with pytest.raises(RuntimeError, match="of torch"), plain_system_errors():
        raise RuntimeError("of torch")
