"""Ways of giving a study's storage, and its password, which is shown nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lehr.errors import InputError
from lehr.studies.storage import open_storage
from lehr.studies.storage_url import (
    PASSWORDS,
    VARIABLE,
    password_of,
    resolve_storage,
    shown,
    storage_url,
    without_secrets,
    without_variables,
)
from lehr.studies.worker import Job

pytest.importorskip("optuna")

SHAPES = [
    "postgresql://u:SEC@h/db",
    "postgresql://u:SEC@h:5432/db",
    "postgresql+pg8000://u:SEC@h/db?ssl=true",
    "mysql://u:SEC@[::1]:3306/db",
    "mysql://h/db?user=u&password=SEC",
    "mysql://h/db?user=u&passwd=SEC",
    "mysql://h/db?PASSWORD=SEC",
    "mysql://h/db?ssl_key_password=SEC&charset=utf8",
    "mysql://u@h/db?charset=utf8&password=a=SEC",
    "mysql://u@h/db?SEC",
    "postgresql://u:SEC@ret@h/db",
    "postgresql://u:SEC@SEC@SEC@h/db",
    "postgresql://u:SEC/x@h/db",
    "postgresql://u:a/SEC@h/db",
    "postgresql://u:a?SEC@h/db",
    "postgresql://u:a#SEC@h/db",
    "postgresql://u:1?SEC@h/db",
    "postgresql://u:1/SEC@h/db",
    "postgresql://u:SEC:SEC@h/db",
    "postgresql://u:%53EC-SEC@h/db",
    "postgresql://u:SEC{x}@h/db",
    "postgresql://u:SEC\n@h/db",
    "postgresql://u:SEC",
    "postgresql://u:SEC@",
    "postgresql:/u:SEC@h/db",
    "postgresql:u:SEC@h/db",
    "u:SEC@h/db",
    "u:SEC@ret@h/db",
    "u:SEC@h/db.log",
    "postgresql:/h/db?password=SEC",
    "POSTGRESQL://u:SEC@h/db",
    "sqlite://u:SEC@h/db",
    "mongodb://u:SEC@h/db",
    "://u:SEC@h/db",
    "x:SEC@h://u:SEC@h/db",
    "SEC@h://u@h/db",
]


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, *PASSWORDS.values()):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("text", SHAPES)
def test_a_password_is_shown_in_no_shape_of_a_url(text: str, tmp_path: Path) -> None:
    assert "SEC" not in shown(text) and "\n" not in shown(text)
    for take in (lambda: storage_url(text, tmp_path), lambda: resolve_storage(text, None, tmp_path)):
        try:
            taken = take()
        except InputError as error:
            assert "SEC" not in str(error) and "give " in str(error).lower()
        else:
            assert isinstance(taken, str) or "SEC" not in repr(taken)


def test_what_is_no_secret_is_shown(tmp_path: Path) -> None:
    assert shown("postgresql://a:b@c:1/d?ssl=true") == "postgresql://a:***@c:1/d?ssl=***"
    assert shown("mysql://h/db?user=u&password=x") == "mysql://h/db?user=***&password=***"
    for text in ("postgresql://u@h/db", "mysql://h", "sqlite:////data/a@b/study.db", "/home/me@firm/study.log", "x.db"):
        assert shown(text) == text


@pytest.mark.parametrize("text", [shape for shape in SHAPES if shape.count("@") > 1 or "/x@" in shape or "a?" in shape])
def test_a_url_whose_parts_could_be_taken_for_each_other_is_refused_with_the_remedy(text: str, tmp_path: Path) -> None:
    if text.startswith("postgresql://"):
        with pytest.raises(InputError, match=r"%40 %3A .* or give it by PGPASSWORD instead"):
            storage_url(text, tmp_path)


@pytest.mark.parametrize("password", ["{x}", "{0.__class__}", "pass%25word", "p%7Bw", "%%", "a b"])
def test_a_password_of_any_characters_reaches_the_driver_and_no_message(password: str, tmp_path: Path) -> None:
    url = storage_url(f"postgresql://u:{password}@localhost:1/none", tmp_path)
    with pytest.raises(InputError, match="cannot be used") as error:
        open_storage(url, 1)
    assert password not in str(error.value)


def test_what_a_library_says_is_shown_without_the_password() -> None:
    url = "mysql://u:p%40ss@h/db?ssl_key_password=k%20ey&charset=utf8"
    said = "cannot connect with p@ss or p%40ss or k ey or k%20ey to mysql://u:p%40ss@h/db"
    assert without_secrets(said, url) == "cannot connect with *** or *** or *** or *** to mysql://u:***@h/db"
    assert password_of("mysql://h/db?passwd=x") == "x" and password_of("mysql://u@h/db") is None


def test_the_environment_gives_the_storage_where_no_option_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql://u:secret@h/db")
    found = resolve_storage(None, None, tmp_path)
    assert found.url == "postgresql://u:secret@h/db" and found.notes == () and found.variables == (VARIABLE,)
    assert resolve_storage("x.db", None, tmp_path).url.endswith("x.db")
    monkeypatch.setenv(VARIABLE, "")
    assert resolve_storage(None, None, tmp_path).url == f"sqlite:///{tmp_path / 'study.db'}"
    monkeypatch.setenv(VARIABLE, "u:secret@h")
    with pytest.raises(InputError, match=VARIABLE) as error:
        resolve_storage(None, None, tmp_path)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("kind", PASSWORDS)
def test_the_clients_variables_give_the_password_alone(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from sqlalchemy.engine import make_url

    monkeypatch.setenv(PASSWORDS[kind], "s:e/c@r{e}t%20")
    found = resolve_storage(f"{kind}://u@h/db", None, tmp_path)
    assert make_url(found.url).password == "s:e/c@r{e}t%20" and found.variables == (PASSWORDS[kind],)
    assert "***@h/db" in shown(found.url) and found.notes == () and "c@r" not in repr(found)
    assert resolve_storage(f"{kind}://u:own@h/db", None, tmp_path).url == f"{kind}://u:own@h/db"
    assert resolve_storage("x.db", None, tmp_path).variables == ()


def test_a_password_on_the_command_line_is_said_to_be_seen(tmp_path: Path) -> None:
    [note] = resolve_storage("postgresql://u:secret@h/db", None, tmp_path).notes
    assert "ps" in note and VARIABLE in note and "--storage-file" in note and "secret" not in note
    assert resolve_storage("postgresql://u@h/db", None, tmp_path).notes == ()


def test_a_file_gives_the_storage_and_is_reported_where_others_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "storage"
    file.write_text("\ufeffpostgresql://u:secret@h/db\n", encoding="utf-8")
    file.chmod(0o600)
    assert resolve_storage(None, file, tmp_path).url == "postgresql://u:secret@h/db"
    assert resolve_storage(None, file, tmp_path).notes == ()
    file.chmod(0o640)
    [note] = resolve_storage(None, file, tmp_path).notes
    assert "chmod 600" in note and "secret" not in note
    with pytest.raises(InputError, match="both"):
        resolve_storage("x.db", file, tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a.db\nb.db", b"\xff\xfe\x00", b"x" * 100_000, b"u:secret@h/db"])
def test_a_file_that_holds_no_storage(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "storage"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"--storage-file .*storage") as error:
        resolve_storage(None, file, tmp_path)
    assert "secret" not in str(error.value) and "\n" not in str(error.value)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(InputError, match="pipe"):
        resolve_storage(None, file, tmp_path)


def test_children_do_not_inherit_what_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "x")
    with without_variables((VARIABLE, "PGPASSWORD")):
        assert VARIABLE not in os.environ
    assert os.environ[VARIABLE] == "x" and "PGPASSWORD" not in os.environ


def test_a_job_is_shown_without_its_storage() -> None:
    job = Job("postgresql://u:secret@h/db", "study", "", {}, (), 30.0, 60.0, 3, False, 1, {})
    assert "secret" not in repr(job)
