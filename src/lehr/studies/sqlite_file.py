"""SQLite file of a study: opened only where it holds Optuna's tables and nothing that acts.

A database file may define what runs when a table is read or written: views, triggers, columns and checks that compute.
A study has none of them. A value in it may also be as long as the memory.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

from lehr.runtime.reading import GIB, MIB, open_file
from lehr.studies.contents import DamagedStudy

LOCKED = 60.0
"""Seconds that a file is waited for while another process writes it."""
MAX_DATABASE, MAX_VALUE = GIB, MIB
"""Bytes of a file, and of a value in it."""
MAX_TABLES = 200
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""End of a journal of several databases; https://www.sqlite.org/fileformat2.html, "the rollback journal"."""
SIDE_FILES = ("-journal", "-wal", "-shm")
"""Suffixes of files that SQLite keeps next to a database."""
AGAIN = frozenset(
    (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN)
)
"""Errors that may pass: another process writes, the disk is full, the network is away."""
HARMLESS = re.compile(
    r"CHECK ?\( ?version_info_id ?= ?1 ?\)|CHECK ?\( ?\"?\w+\"? IN ?\([^()]*\) ?\)|DEFAULT ('\w*'|[0-9]+|NULL)",
    re.IGNORECASE,
)
"""Constraints of that kind in Optuna's tables."""
ACTIVE = re.compile(r"\b(CHECK|DEFAULT|GENERATED|AS|SELECT|COLLATE|VIRTUAL|USING)\b", re.IGNORECASE)
INDEX = re.compile(r'CREATE (UNIQUE )?INDEX "?\w+"? ON "?\w+"? ?\([\w", ]*\)', re.IGNORECASE)


def connector(path: Path) -> Callable[[], sqlite3.Connection]:
    """A function that opens a connection to a study's file, created if missing.

    Args:
        path: the file.

    Raises:
        OSError: of the function: it is a link, no regular file, or too large.
        DamagedStudy: of the function: it holds what no study does.
    """

    def connect() -> sqlite3.Connection:
        for each in (path, *(path.with_name(path.name + end) for end in SIDE_FILES)):
            if each.is_symlink() or each.exists():
                open_file(each, MAX_DATABASE, links=False).close()
        _require_own_journal(path.with_name(path.name + SIDE_FILES[0]))
        connection = sqlite3.connect(path, timeout=LOCKED, isolation_level=None, check_same_thread=False)
        try:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            _require_passive(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    return connect


def may_pass(error: sqlite3.Error) -> bool:
    """Return whether what SQLite could not do may be done later."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in AGAIN


def _require_own_journal(path: Path) -> None:
    """Check that the journal from which SQLite restores a database names no other file.

    The journal of a transaction over several databases ends with the name of a file that SQLite removes once all of
    them are restored, wherever it is. A study is one database.

    Raises:
        DamagedStudy: it names one.
    """
    try:
        with open_file(path, MAX_DATABASE, links=False) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - len(JOURNAL_MAGIC)))
            if file.read(len(JOURNAL_MAGIC)) == JOURNAL_MAGIC:
                raise DamagedStudy(f"{path.name} next to it names a file to be removed, which no study does")
    except FileNotFoundError:
        return


def _require_passive(connection: sqlite3.Connection) -> None:
    """Check that a database has tables and their indices, and nothing in them that computes.

    Raises:
        DamagedStudy: it has more.
    """
    query = "SELECT type, name, sql FROM sqlite_master LIMIT ?"
    found = connection.execute(query, (MAX_TABLES + 1,)).fetchall()
    if len(found) > MAX_TABLES:
        raise DamagedStudy("it has more tables than a study")
    for kind, _, sql in found:
        text = " ".join(str(sql).split())
        if kind == "table" and not ACTIVE.search(HARMLESS.sub("", text)):
            continue
        if kind == "index" and (sql is None or INDEX.fullmatch(text)):
            continue
        raise DamagedStudy("it has a view, a trigger, or a table that computes, which no study has")
