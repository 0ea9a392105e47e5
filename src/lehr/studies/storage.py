"""Storage of studies: an SQLite file, a journal file on a shared disk, or a PostgreSQL or MySQL server.

Optuna keeps it; here it is opened with clear errors, SQLite is made safe for several processes, and workers wait for a
restarting database or an interrupted network instead of ending. The contents of a storage are checked before use
(`lehr.studies.contents`).
"""

from __future__ import annotations

import functools
import logging
import sqlite3
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lehr.errors import InputError, LehrError
from lehr.runtime.console import complain
from lehr.runtime.installing import how_to_install
from lehr.runtime.plain_text import one_line
from lehr.search.optuna_adapter import database_requests, drop_session, engine_of, public_requests, trial_id
from lehr.studies.contents import SHOWN, DamagedStudy, checked_study_attributes, checked_trial
from lehr.studies.sqlite_file import connector, may_pass
from lehr.studies.storage_url import shown, without_secrets

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.trial import FrozenTrial

DRIVERS = {"postgresql": ("postgresql+pg8000", "pg8000", "postgresql"), "mysql": ("mysql+pymysql", "pymysql", "mysql")}
"""By kind of server: what its URLs mean, the package that speaks to it, and the extra that installs it."""
PG_CONTENT = frozenset(("22", "42"))
"""Classes of PostgreSQL's errors about values and about tables (its documentation, appendix "Error Codes")."""
MYSQL_CONTENT = frozenset((1054, 1064, 1146, 1264, 1292, 1366, 1406))
"""MySQL's errors about values and tables."""
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between tries to reach a database again; the last one repeats."""
TABLE_TRIES = 3
"""Tries to make the tables of a study before the database's refusal is taken for final."""
REMEDY = "Whoever can write there may have changed it. Choose another --name or --storage."


def require_optuna() -> None:
    """Import Optuna for the first time, and silence its logging.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise InputError(f"Searches need Optuna. {how_to_install('search')}") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def open_storage(url: str, patience: float) -> BaseStorage:
    """Open a storage, and make its tables if there are none.

    Args:
        url: as `storage_url` gives it.
        patience: seconds that a database is waited for once it was reached; the first time it is not waited for.

    Raises:
        InputError: it cannot be reached, its driver is not installed, or it holds no studies.
    """
    require_optuna()
    if "://" not in url:
        return _open_journal(Path(url))
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    kind = url.partition(":")[0]
    settings: dict[str, Any] = {"pool_pre_ping": True}
    if kind == "sqlite":
        path = Path(make_url(url).database or "")
        if not path.parent.is_dir():
            raise InputError(f"--storage {url}: there is no folder {path.parent}. Create it, or give another file.")
        settings["creator"] = connector(path)
    elif kind in DRIVERS:
        url = url.replace(kind, DRIVERS[kind][0], 1)
    try:
        return _patient_storage(url, settings, patience)
    except LehrError as error:
        raise placed(error, shown(url)) from None
    except (ImportError, NoSuchModuleError) as error:
        extra = DRIVERS.get(kind.partition("+")[0], ("", "", "search"))[2]
        missing = f"--storage {shown(url)}: its driver is not installed ({error})."
        raise InputError(f"{missing} {how_to_install(extra)}") from None
    except (SQLAlchemyError, StorageInternalError, OSError, ArgumentError, ValueError) as error:
        raise InputError(f"--storage {shown(url)}: cannot be used ({_reason(error, url)}). {_remedy(kind)}") from None
    except RuntimeError as error:  # made by a newer Optuna
        raise InputError(f"--storage {shown(url)}: {_reason(error, url)}") from None
    except BROKEN as error:
        raise placed(_broken(error), shown(url)) from None


def _open_journal(path: Path) -> BaseStorage:
    from optuna.storages import JournalStorage

    from lehr.studies.journal import StudyJournal

    where = shown(str(path))
    try:
        storage = JournalStorage(StudyJournal(path))
    except LehrError as error:
        raise placed(error, where) from None
    except OSError as error:
        raise InputError(f"--storage {where}: cannot be used ({error.strerror}). Give a file in a folder.") from None
    except BROKEN as error:
        raise placed(_broken(error), where) from None
    for name in public_requests():
        setattr(storage, name, _checked(getattr(storage, name), name, where))
    return storage


def _patient_storage(url: str, settings: dict[str, Any], patience: float) -> RDBStorage:
    """Optuna's storage in a database, each of whose requests is made again while the database cannot be reached."""
    from sqlalchemy import event

    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # a lost connection is reopened
    storage = _with_tables(url, settings)
    if url.startswith("sqlite"):
        # By default SQLite takes a lock at the first write, so that two processes may both have read the same waiting
        # trial before; https://docs.sqlalchemy.org, "pysqlite: transaction isolation".
        @event.listens_for(engine_of(storage), "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    for name in database_requests(storage):
        checked = _checked(getattr(storage, name), name, shown(url))
        setattr(storage, name, _again(checked, storage, url, patience))
    return storage


def _with_tables(url: str, settings: dict[str, Any]) -> RDBStorage:
    """Optuna's storage in a database, with its tables made if there are none.

    Of several commands that make them at once, a database refuses all but one, each of which finds them there then.
    """
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    # Optuna fills in names in braces, which are at most a part of a password or a path here.
    literal = url.replace("{", "{{").replace("}", "}}")
    for pause in PAUSES[:TABLE_TRIES]:
        try:
            return RDBStorage(literal, engine_kwargs=settings)
        except (IntegrityError, ProgrammingError, OperationalError) as error:
            if isinstance(error, OperationalError) and "exists" not in str(error):
                raise
            time.sleep(pause)
    return RDBStorage(literal, engine_kwargs=settings)


def _again(method: Callable[..., Any], storage: RDBStorage, url: str, patience: float) -> Callable[..., Any]:
    """A request to a database that is made again while the database cannot be reached."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError, IntegrityError

    where = shown(url)

    @functools.wraps(method)
    def patient(*arguments: Any, **named: Any) -> Any:
        began, tries = time.monotonic(), 0
        while True:
            try:
                return method(*arguments, **named)
            except IntegrityError:  # what was asked for is wrong, or another process was quicker
                raise
            except (DBAPIError, StorageInternalError, OSError) as error:
                if not _may_pass(error):
                    raise placed(DamagedStudy(f"it cannot be read ({_reason(error, url)})"), where) from None
                waited = time.monotonic() - began
                if waited > patience:
                    raise StorageLost(
                        f"--storage {where}: cannot be reached for {waited:.0f} s ({_reason(error, url)}). Everything "
                        "up to then is kept; the same command continues when it is back."
                    ) from None
                if tries == 1:
                    complain(f"{where}: cannot be reached ({_reason(error, url)}); trying again.")
                drop_session(storage)
                time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1

    return patient


BROKEN = (ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, RecursionError)
"""Errors of Optuna on content that it did not write."""


def _checked(method: Callable[..., Any], name: str, where: str) -> Callable[..., Any]:
    """A request to a storage whose answer is checked before it is handed on.

    Args:
        method: the request.
        name: of the request.
        where: the storage, for messages.
    """
    from optuna.exceptions import OptunaError, StorageInternalError
    from optuna.trial import FrozenTrial

    known: dict[int, tuple[FrozenTrial, FrozenTrial]] = {}  # as they were read, and checked

    def trial(found: FrozenTrial) -> FrozenTrial:
        key = trial_id(found)
        if key not in known or known[key][0] is not found:
            known[key] = (found, checked_trial(found))
        return known[key][1]

    @functools.wraps(method)
    def request(*arguments: Any, **named: Any) -> Any:
        try:
            found = method(*arguments, **named)
            if isinstance(found, FrozenTrial):
                return trial(found)
            if isinstance(found, list) and name in ("get_all_trials", "_get_trials"):
                return [trial(each) for each in found]
            return checked_study_attributes(found) if name == "get_study_system_attrs" else found
        except LehrError as error:
            raise placed(error, where) from None
        except StorageInternalError:
            raise
        except OptunaError as error:  # an answer to what was asked to be changed, and to nothing else
            if not name.startswith(("get_", "_get_")):
                raise
            raise placed(_broken(error), where) from None
        except BROKEN as error:
            raise placed(_broken(error), where) from None

    return request


def _broken(error: BaseException) -> DamagedStudy:
    """Describe content that Optuna fails to read."""
    said = one_line(str(error).strip()[:SHOWN])
    return DamagedStudy(f"it cannot be read ({type(error).__name__}{': ' + said if said else ''})")


def placed(error: LehrError, where: str) -> LehrError:
    """An error about a study's content, with the storage that holds it."""
    if type(error) is not DamagedStudy or error.placed:
        return error
    return DamagedStudy(f"--storage {where}: {error}, so it is damaged or not a study of Lehr. {REMEDY}", placed=True)


def _may_pass(error: BaseException) -> bool:
    """Return whether what a database could not do may be done later: it is away, and its content is not to blame."""
    from sqlalchemy.exc import MultipleResultsFound, NoResultFound

    cause: BaseException | None = error
    while cause is not None:
        said = getattr(cause, "orig", None) or cause
        given = said.args[0] if said.args else None
        if isinstance(said, sqlite3.Error):
            return may_pass(said)
        if isinstance(given, dict) and str(given.get("C", ""))[:2] in PG_CONTENT:
            return False
        if isinstance(given, int) and given in MYSQL_CONTENT:
            return False
        if isinstance(cause, MultipleResultsFound | NoResultFound):
            return False
        cause = cause.__cause__
    return True


class StorageLost(LehrError):
    """The database of a study could not be reached for too long."""


def _reason(error: BaseException, url: str) -> str:
    """Return a database's message, in one line and without the password."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    said = getattr(cause, "orig", None) or cause
    if said.args and isinstance(said.args[0], dict):  # pg8000 gives the server's fields; M is the message
        text = str(said.args[0].get("M", said))
    else:
        text = getattr(said, "strerror", None) or (str(said).strip().splitlines() or [type(said).__name__])[0]
    return one_line(without_secrets(str(text), url)[: 2 * SHOWN])


def _remedy(kind: str) -> str:
    if kind.startswith("sqlite"):
        return "Give an SQLite file that can be written."
    return "Check that the server runs, and host, port, database, user and password."
