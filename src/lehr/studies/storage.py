"""Storage of studies: an SQLite file, a journal file on a shared disk, or a PostgreSQL or MySQL server.

Optuna keeps it; here it is opened with clear errors, SQLite is made safe for several processes, and a database that
restarts or a network that is gone for a while is waited for instead of ending a worker.
"""

from __future__ import annotations

import functools
import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lehr.errors import InputError, LehrError
from lehr.runtime.console import complain
from lehr.search.optuna_adapter import database_requests, drop_session, engine_of

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage

DRIVERS = {"postgresql": ("postgresql+pg8000", "pg8000", "postgresql"), "mysql": ("mysql+pymysql", "pymysql", "mysql")}
"""By kind of server: what its URLs mean, the package that speaks to it, and the extra that installs it."""
KINDS = (
    "an SQLite URL (sqlite:///FILE), a journal file (FILE.log or FILE.journal), or the URL of a PostgreSQL or MySQL "
    "server (postgresql://USER:PASSWORD@HOST/DATABASE)"
)
LOCKED = 60
"""Seconds that an SQLite file is waited for while another process writes it."""
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between tries to reach a database again; the last one repeats."""


def require_optuna() -> None:
    """Import Optuna for the first time, and quieten it.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise InputError("Searches need Optuna: pip install 'lehr[search]'.") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def storage_url(given: str | None, folder: Path) -> str:
    """Resolve `--storage` to a URL, or to the path of a journal file.

    Args:
        given: the option; None for an SQLite file in the study's folder.
        folder: the study's folder.

    Raises:
        InputError: it is neither.
    """
    if given is None:
        return f"sqlite:///{(folder / 'study.db').absolute()}"
    if "://" in given:
        kind = given.partition(":")[0]
        if kind.partition("+")[0] not in ("sqlite", *DRIVERS):
            raise InputError(f"--storage {shown(given)}: '{kind}' is no storage for studies. Give {KINDS}.")
        if kind == "sqlite" and given.startswith("sqlite:///"):
            file = given.removeprefix("sqlite:///")
            if file in ("", ":memory:"):
                raise InputError(f"--storage {given}: names no file that workers could share. Give sqlite:///FILE.")
            return f"sqlite:///{Path(file).expanduser().absolute()}"
        return given
    path = Path(given).expanduser()
    if path.suffix in (".db", ".sqlite", ".sqlite3"):
        return f"sqlite:///{path.absolute()}"
    if path.suffix in (".log", ".journal"):
        return str(path.absolute())
    raise InputError(f"--storage {given}: is no storage for studies. Give {KINDS}.")


def shown(url: str) -> str:
    """A storage for people, without its password."""
    if "://" not in url:
        return url
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return url.partition(":")[0] + "://..."


def open_storage(url: str, patience: float) -> BaseStorage:
    """Open a storage, and make its tables where there are none.

    Args:
        url: as `storage_url` gives it.
        patience: seconds that a database is waited for once it was reached; the first time it is not waited for.

    Raises:
        InputError: it cannot be reached, or what speaks to it is not installed.
    """
    require_optuna()
    if "://" not in url:
        return _open_journal(Path(url))
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    kind = url.partition(":")[0]
    settings: dict[str, Any] = {"pool_pre_ping": True}
    if kind.startswith("sqlite"):
        path = Path(url.partition("///")[2])
        if not path.parent.is_dir():
            raise InputError(f"--storage {url}: there is no folder {path.parent}. Make it, or give another file.")
        settings["connect_args"] = {"timeout": LOCKED}
    elif kind in DRIVERS:
        url = url.replace(kind, DRIVERS[kind][0], 1)
    try:
        storage = _patient_storage(url, settings, patience)
    except (ImportError, NoSuchModuleError) as error:
        extra = DRIVERS.get(kind.partition("+")[0], ("", "", "search"))[2]
        missing = f"--storage {shown(url)}: what speaks to it is not installed ({error})."
        raise InputError(f"{missing} pip install 'lehr[{extra}]'.") from None
    except (SQLAlchemyError, StorageInternalError, OSError, ArgumentError, ValueError) as error:
        raise InputError(f"--storage {shown(url)}: cannot be used ({_reason(error)}). {_remedy(kind)}") from None
    except RuntimeError as error:  # made by a newer Optuna
        raise InputError(f"--storage {shown(url)}: {error}") from None
    return storage


def _open_journal(path: Path) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock

    try:
        lock = JournalFileOpenLock(str(path)) if sys.platform == "win32" else JournalFileSymlinkLock(str(path))
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except OSError as error:
        raise InputError(f"--storage {path}: cannot be used ({error.strerror}). Give a file in a folder.") from None
    except (ValueError, KeyError, TypeError) as error:  # another kind of file
        raise InputError(f"--storage {path}: is no journal of a study ({error}). Give another file.") from None


def _patient_storage(url: str, settings: dict[str, Any], patience: float) -> RDBStorage:
    """Optuna's storage in a database, each of whose requests is made again while the database cannot be reached."""
    from optuna.storages import RDBStorage
    from sqlalchemy import event

    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # a connection that is lost is made anew
    storage = RDBStorage(url, engine_kwargs=settings)
    if url.startswith("sqlite"):
        # By itself SQLite takes a lock at the first write, so that two processes may both have read the same waiting
        # trial before; https://docs.sqlalchemy.org, "pysqlite: transaction isolation".
        engine = engine_of(storage)
        engine.dispose()

        @event.listens_for(engine, "connect")
        def no_transactions_of_its_own(connection: Any, record: Any) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    for name in database_requests(storage):
        setattr(storage, name, _again(getattr(storage, name), storage, shown(url), patience))
    return storage


def _again(method: Callable[..., Any], storage: RDBStorage, where: str, patience: float) -> Callable[..., Any]:
    """A request to a database that is made again while the database cannot be reached."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError, IntegrityError

    @functools.wraps(method)
    def patient(*arguments: Any, **named: Any) -> Any:
        began, tries = time.monotonic(), 0
        while True:
            try:
                return method(*arguments, **named)
            except IntegrityError:  # what was asked for is wrong, or another process was quicker
                raise
            except (DBAPIError, StorageInternalError, OSError) as error:
                waited = time.monotonic() - began
                if waited > patience:
                    raise StorageLost(
                        f"--storage {where}: cannot be reached for {waited:.0f} s ({_reason(error)}). Everything up "
                        "to then is kept; the same command goes on when it is back."
                    ) from None
                if tries == 1:
                    complain(f"{where}: cannot be reached ({_reason(error)}); trying again.")
                drop_session(storage)
                time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1

    return patient


class StorageLost(LehrError):
    """The database of a study could not be reached for too long."""


def _reason(error: BaseException) -> str:
    """Return a database's message, in one line."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    said = getattr(cause, "orig", None) or cause
    if said.args and isinstance(said.args[0], dict):  # pg8000 gives the server's fields; M is the message
        return str(said.args[0].get("M", said))
    return (str(said).strip().splitlines() or [type(said).__name__])[0]


def _remedy(kind: str) -> str:
    if kind.startswith("sqlite"):
        return "Give an SQLite file that can be written."
    return "Check that the server runs, and host, port, database, user and password."
