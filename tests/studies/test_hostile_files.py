"""The files of a study as somebody may change them: a database that acts, lines of any form, links, locks."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.studies.hostile import (
    DEEP,
    begun,
    ends_well,
    in_sqlite,
    opened,
    url_of,
    used,
)
from tests.studies.servers import postgresql

from lehr.errors import InputError
from lehr.search.definition import Definition
from lehr.studies import journal as journals
from lehr.studies.storage import _may_pass

optuna = pytest.importorskip("optuna")
StorageInternalError = optuna.exceptions.StorageInternalError
sqlalchemy = pytest.importorskip("sqlalchemy")
pg8000 = pytest.importorskip("pg8000")
pymysql = pytest.importorskip("pymysql")

HUGE = b"1" * 6000
SQLITE: dict[str, Callable[[Path], None]] = {
    "a view without end": in_sqlite(
        "ALTER TABLE trials RENAME TO others",
        "CREATE VIEW trials AS WITH RECURSIVE n(trial_id) AS "
        "(SELECT 1 UNION ALL SELECT trial_id + 1 FROM n) SELECT * FROM n",
    ),
    "a trigger": in_sqlite("CREATE TRIGGER t AFTER UPDATE ON trials BEGIN DELETE FROM studies; END"),
    "a check that computes": in_sqlite("CREATE TABLE more (x TEXT CHECK (length(randomblob(1000000000)) > 0))"),
    "a column that computes": in_sqlite("ALTER TABLE trials ADD COLUMN x AS (zeroblob(1000000000))"),
    "an index that computes": in_sqlite("CREATE INDEX i ON trials (abs(trial_id))"),
    "a virtual table": in_sqlite("CREATE VIRTUAL TABLE v USING fts5(x)"),
    "a state that is none": in_sqlite("UPDATE trials SET state = 'PWNED'"),
    "a time that is none": in_sqlite("UPDATE trials SET datetime_start = 'yesterday'"),
    "a year that is none": in_sqlite(
        "UPDATE trials SET datetime_start = '0001-01-01 00:00:00.000000', state = 'COMPLETE'"
    ),
    "a number that is text": in_sqlite("UPDATE trials SET number = 'x'"),
    "no number": in_sqlite("UPDATE trials SET number = NULL"),
    "a value that is text": in_sqlite("UPDATE trial_values SET value = 'x'"),
    "a value that is not finite": in_sqlite("UPDATE trial_values SET value = NULL, value_type = 'INF_POS'"),
    "an objective more": in_sqlite(
        "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (1, 10, 1, 'FINITE')"
    ),
    "a parameter that is text": in_sqlite("UPDATE trial_params SET param_value = 'x'"),
    "a parameter beyond its bounds": in_sqlite("UPDATE trial_params SET param_value = 1e30"),
    "other bounds": in_sqlite("UPDATE trial_params SET distribution_json = replace(distribution_json, '10.0', '99.0')"),
    "bounds that are none": in_sqlite("UPDATE trial_params SET distribution_json = '{}'"),
    "bounds that are not JSON": in_sqlite("UPDATE trial_params SET distribution_json = '['"),
    "another parameter": in_sqlite("UPDATE trial_params SET param_name = 'augmentation' WHERE param_name = 'box'"),
    "an epoch that is text": in_sqlite("UPDATE trial_intermediate_values SET step = 'x'"),
    "an epoch before the first": in_sqlite("UPDATE trial_intermediate_values SET step = -5"),
    "a course that is not finite": in_sqlite("UPDATE trial_intermediate_values SET intermediate_value_type = 'NAN'"),
    "finished without a value": in_sqlite("UPDATE trials SET state = 'COMPLETE'"),
    "minimised": in_sqlite("UPDATE study_directions SET direction = 'SIDEWAYS'"),
    "a text that is none": in_sqlite("UPDATE trial_user_attributes SET value_json = CAST(x'ff2200fe' AS TEXT)"),
    "a blob": in_sqlite("UPDATE trial_user_attributes SET value_json = x'00ff'"),
    "a text of many megabytes": in_sqlite(
        "UPDATE trial_user_attributes SET value_json = '\"' || hex(zeroblob(9000000)) || '\"'"
    ),
    "no table": in_sqlite("DROP TABLE trial_user_attributes"),
    "no column": in_sqlite("ALTER TABLE trial_user_attributes DROP COLUMN value_json"),
    "half of it": lambda folder: os.truncate(folder / "study.db", 20_000),
    "its middle": lambda folder: overwrite(folder / "study.db", 4000, os.urandom(60_000)),
    "every number the same": in_sqlite("UPDATE trials SET number = 0"),
    "no trial": in_sqlite("DELETE FROM trials"),
    "two studies of a name": in_sqlite(
        "DROP INDEX ix_studies_study_name", "INSERT INTO studies (study_name) SELECT study_name FROM studies"
    ),
    "trials of another study": in_sqlite("UPDATE trials SET study_id = 77"),
    "junk": lambda folder: overwrite(folder / "study.db", 0, b"x" * 50_000),
}


MAY_PASS = ("no table", "every number the same", "no trial", "two studies of a name", "trials of another study")
"""Changes after which a study may be used: what is missing is made again."""


def overwrite(path: Path, start: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + len(data)] = data
    path.write_bytes(content)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("database")
    begun(url_of("sqlite", folder))
    return (folder / "study.db").read_bytes()


@pytest.mark.parametrize("case", SQLITE)
def test_a_database_that_somebody_has_changed(case: str, database: bytes, tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(database)
    SQLITE[case](tmp_path)
    ends_well(url_of("sqlite", tmp_path), must_fail=case not in MAY_PASS)


VALUE = b'{"op_code": 5, "worker_id": "x", "trial_id": 1, "param_name": "evil", "param_value_internal": 1, '
LINES: dict[str, bytes] = {
    "no JSON": b"rm -rf /",
    "nothing": b"",
    "zeros": b"\0" * 1000,
    "a number": b"5",
    "a list": b'[{"op_code": 4}]',
    "deep": DEEP,
    "no operation": b'{"worker_id": "x", "study_id": 0}',
    "an operation that is none": b'{"op_code": 99, "worker_id": "x"}',
    "an operation that is text": b'{"op_code": "4", "worker_id": "x"}',
    "an operation that is true": b'{"op_code": true, "worker_id": "x"}',
    "no worker": b'{"op_code": 1, "study_id": 0}',
    "a study as a list": b'{"op_code": 4, "worker_id": "x", "study_id": [], "datetime_start": null}',
    "no time": b'{"op_code": 4, "worker_id": "x", "study_id": 0}',
    "a time that is none": b'{"op_code": 4, "worker_id": "x", "study_id": 0, "datetime_start": "now"}',
    "attributes as text": b'{"op_code": 4, "worker_id": "x", "study_id": 0, "datetime_start": null, "user_attrs": "x"}',
    "two attributes": b'{"op_code": 8, "worker_id": "x", "trial_id": 1, "user_attr": {"a": 1, "b": 2}}',
    "attributes as a list": b'{"op_code": 8, "worker_id": "x", "trial_id": 1, "user_attr": [1]}',
    "an epoch as text": b'{"op_code": 7, "worker_id": "x", "trial_id": 1, "step": "x", "intermediate_value": 0.5}',
    "an epoch as a list": b'{"op_code": 7, "worker_id": "x", "trial_id": 1, "step": [], "intermediate_value": 0.5}',
    "a course as text": b'{"op_code": 7, "worker_id": "x", "trial_id": 1, "step": 2, "intermediate_value": "x"}',
    "a state that is none": b'{"op_code": 6, "worker_id": "x", "trial_id": 1, "state": 77, "values": null}',
    "values as text": b'{"op_code": 6, "worker_id": "x", "trial_id": 1, "state": 1, "values": "x", '
    b'"datetime_complete": "2026-01-01"}',
    "bounds as text": VALUE + b'"distribution": "x"}',
    "bounds of nothing": VALUE + b'"distribution": "5"}',
    "a parameter more": VALUE + b'"distribution": "{\\"type\\": \\"int\\", \\"low\\": 0, \\"high\\": 5}"}',
    "directions": b'{"op_code": 0, "worker_id": "x", "study_name": "other", "directions": ["x"]}',
    "no directions": b'{"op_code": 0, "worker_id": "x", "study_name": ["study"], "directions": null}',
    "the study is gone": b'{"op_code": 1, "worker_id": "x", "study_id": 0}',
}


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("changes")
    begun(url_of("journal", folder))
    return (folder / "study.journal").read_bytes()


@pytest.mark.parametrize("where", ["first", "between", "last"])
@pytest.mark.parametrize("case", LINES)
def test_a_line_of_a_journal_of_any_form(case: str, where: str, changes: bytes, tmp_path: Path) -> None:
    lines = changes.splitlines(keepends=True)
    lines.insert({"first": 0, "between": len(lines) // 2, "last": len(lines)}[where], LINES[case] + b"\n")
    (tmp_path / "study.journal").write_bytes(b"".join(lines))
    ends_well(url_of("journal", tmp_path))


def test_a_line_without_end_is_not_read(tmp_path: Path, changes: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MAX_LINE", 10_000)
    (tmp_path / "study.journal").write_bytes(changes + b'{"op_code": "' + b"x" * 20_000)
    assert "longer" in ends_well(url_of("journal", tmp_path), must_fail=True)
    monkeypatch.setattr(journals, "MAX_JOURNAL", 10_000)
    (tmp_path / "study.journal").write_bytes(changes * 20)
    assert "larger" in ends_well(url_of("journal", tmp_path), must_fail=True)


def test_a_half_written_last_line_is_no_damage(tmp_path: Path, changes: bytes) -> None:
    for cut in (1, 20, 100):
        (tmp_path / "study.journal").write_bytes(changes[:-cut])
        opened(url_of("journal", tmp_path)).fill([{}] * 5)
        assert len(opened(url_of("journal", tmp_path)).records(4)) == 5


@pytest.mark.parametrize("name", ["study.db", "study.journal", "study.db-journal"])
def test_a_storage_that_is_a_link_or_no_file_is_not_opened(name: str, tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / name
    victim.write_text("precious\n")
    url = str(path) if name.endswith("l") and "-" not in name else f"sqlite:///{tmp_path / 'study.db'}"
    path.symlink_to(victim)
    with pytest.raises(InputError, match="link"):
        opened(url)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="pipe"):
        opened(url)
    assert victim.read_text() == "precious\n"


def test_a_text_file_that_is_taken_for_a_journal_stays_as_it_is(tmp_path: Path) -> None:
    for content in ("one line\n", "no end", "[]\n", '{"a": 1}\n', "\n"):
        (tmp_path / "study.journal").write_text(content)
        with pytest.raises(InputError, match=r"study\.journal"):
            opened(url_of("journal", tmp_path))
        assert (tmp_path / "study.journal").read_text() == content


@pytest.mark.parametrize("kind", ["a link that leads nowhere", "a file", "a link to the journal", "a folder"])
def test_a_lock_that_nobody_holds_is_removed(
    kind: str, tmp_path: Path, changes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "GRACE", 0.3)
    monkeypatch.setattr(journals, "LONGEST_PAUSE", 0.05)
    (tmp_path / "study.journal").write_bytes(changes)
    lock = tmp_path / "study.journal.lock"
    if kind == "a file":
        lock.touch()
    elif kind == "a folder":
        lock.mkdir()
    else:
        lock.symlink_to(tmp_path / ("study.journal" if "journal" in kind else "nowhere"))
    began = time.monotonic()
    opened(url_of("journal", tmp_path)).fill([{}] * 5)
    assert time.monotonic() - began < 4 and not os.path.lexists(lock)


def test_optuna_and_lehr_read_each_others_journals(tmp_path: Path, changes: bytes) -> None:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

    (tmp_path / "study.journal").write_bytes(changes)
    backend = JournalFileBackend(str(tmp_path / "study.journal"))
    theirs = optuna.load_study(study_name="study", storage=JournalStorage(backend))
    ours = opened(url_of("journal", tmp_path))
    assert [trial.params for trial in theirs.trials] == [trial.params for trial in ours.study.trials]
    theirs.enqueue_trial({}, user_attrs={"slot": 4})
    ours.fill([{}] * 6)
    assert len(theirs.trials) == 6 == len(ours.study.trials)
    # Optuna unpickles the snapshots of a backend that has any; this one has none.
    assert not hasattr(journals.StudyJournal, "load_snapshot") and issubclass(journals.StudyJournal, BaseJournalBackend)


def test_a_study_of_another_program_is_refused_whatever_it_holds(tmp_path: Path) -> None:
    url = url_of("sqlite", tmp_path)
    study = optuna.create_study(storage=url, study_name="study", directions=["minimize", "maximize"])
    study.add_trial(optuna.create_trial(values=[1.0, 2.0], user_attrs={"slot": 0}))
    with pytest.raises(InputError, match=r"study\.db"):
        opened(url, Definition("evolve", {}, "", {}))
    assert json.dumps(study.user_attrs) == "{}"


def deleting_journal(database: Path, victim: Path) -> bytes:
    """A rollback journal that restores nothing, and ends with a file that SQLite removes then."""
    content, magic, name = database.read_bytes(), bytes.fromhex("d9d505f920a163d7"), str(victim).encode()
    page = struct.unpack(">H", content[16:18])[0]
    head = (magic + struct.pack(">IIIII", 0, 1, len(content) // page, 512, page)).ljust(512, b"\0")
    return head + struct.pack(">I", 2**30 // page + 1) + name + struct.pack(">II", len(name), sum(name)) + magic


def test_a_journal_of_sqlite_removes_no_file_elsewhere(database: bytes, tmp_path: Path) -> None:
    folder, victim = tmp_path / "study", tmp_path / "precious"
    folder.mkdir()
    (folder / "study.db").write_bytes(database)
    victim.write_text("mine")
    attack = deleting_journal(folder / "study.db", victim)
    (folder / "study.db-journal").write_bytes(attack)
    assert "removed" in ends_well(url_of("sqlite", folder), must_fail=True) and victim.exists()
    bare = sqlite3.connect(folder / "study.db")  # the attack itself is sound
    bare.execute("SELECT count(*) FROM trials").fetchall()
    bare.close()
    if victim.exists():
        pytest.skip("this SQLite removes no file")


def test_what_a_killed_process_left_is_restored(database: bytes, tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(database)
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA cache_size=1');"
        "c.execute('BEGIN IMMEDIATE'); c.execute('UPDATE trial_user_attributes SET value_json = hex(zeroblob(9000))');"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "study.db")], check=True)
    assert (tmp_path / "study.db-journal").stat().st_size > 0
    assert ends_well(url_of("sqlite", tmp_path)) == ""


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (pg8000.DatabaseError({"C": "57P01", "M": "terminating connection"}), True),
        (pg8000.InterfaceError("network error"), True),
        (pg8000.DatabaseError({"C": "42703", "M": "column does not exist"}), False),
        (pg8000.DatabaseError({"C": "22P02", "M": "invalid input"}), False),
        (pymysql.err.OperationalError(2013, "lost connection"), True),
        (pymysql.err.ProgrammingError(1146, "no such table"), False),
        (OSError(111, "refused"), True),
        (StorageInternalError("away"), True),
    ],
    ids=repr,
)
def test_a_server_is_waited_for_where_it_is_away_and_not_where_its_tables_are_none(
    error: Exception, passes: bool
) -> None:
    wrapped = StorageInternalError("in Optuna's words")
    wrapped.__cause__ = error
    assert _may_pass(wrapped) == passes


def test_a_server_that_somebody_has_changed_ends_in_one_message_without_waiting() -> None:
    with postgresql() as server:
        begun(server.url)
        engine = sqlalchemy.create_engine(server.url.replace("postgresql:", "postgresql+pg8000:"))
        for statement, back in (
            ("UPDATE trial_user_attributes SET value_json = '['", "DELETE FROM trial_user_attributes"),
            ("ALTER TABLE trial_params DROP COLUMN distribution_json", ""),
        ):
            with engine.begin() as connection:
                connection.execute(sqlalchemy.text(statement))
            began = time.monotonic()
            with pytest.raises(InputError, match=r"postgresql\+pg8000://lehr:\*\*\*@127") as error:
                used(server.url)
            assert time.monotonic() - began < 5 and "\n" not in str(error.value)
            if back:
                with engine.begin() as connection:
                    connection.execute(sqlalchemy.text(back))
        engine.dispose()
