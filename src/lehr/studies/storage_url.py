"""Storage of a study as it is given: by an option, a file or the environment; its password is shown nowhere."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, unquote_plus

from lehr.errors import InputError
from lehr.runtime.plain_text import one_line
from lehr.runtime.reading import KIB, read_file

VARIABLE = "LEHR_STORAGE"
"""Environment variable that holds the storage where no option names one."""
PASSWORDS = {"postgresql": "PGPASSWORD", "mysql": "MYSQL_PWD"}
"""Environment variables of a password, by kind of server, as the servers' own clients have them."""
SERVERS = tuple(PASSWORDS)
KINDS = (
    "an SQLite URL (sqlite:///FILE), a journal file (FILE.log or FILE.journal), or the URL of a PostgreSQL or MySQL "
    "server (postgresql://USER@HOST/DATABASE)"
)
MAX_BYTES = 64 * KIB
"""Size of a file that holds a URL."""
SERVER = re.compile(
    r"(?P<kind>[a-z0-9_]+)(?P<driver>\+[a-z0-9_]+)?://"
    r"(?:(?P<user>[^:/@?#]*)(?::(?P<password>[^:/@?#]*))?@)?"
    r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^:/@?#\[\]]*)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?P<database>[^:@?#]*))?(?:\?(?P<query>[^@#]*))?"
)
"""URL of a server whose parts cannot be taken for each other."""
SECRET = re.compile(r"(?i)([a-z_]*(?:pass|pwd|secret|token)[a-z_]*=)[^&\s]*")


@dataclass(frozen=True, slots=True)
class Storage:
    """Storage of a study.

    Attributes:
        url: its URL, or the path of a journal file.
        notes: notes on how it was given.
        variables: of the environment, which hold a secret that is known by now and that no child needs.
    """

    url: str = field(repr=False)
    notes: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


def resolve_storage(given: str | None, file: Path | None, folder: Path) -> Storage:
    """Resolve a study's storage from options and environment.

    Args:
        given: `--storage`.
        file: `--storage-file`, which holds the same.
        folder: the study's folder, whose SQLite file is the storage if nothing is said.

    Raises:
        InputError: it is not a storage, or is given twice.
    """
    if given is not None and file is not None:
        raise InputError("--storage and --storage-file: both name the storage. Give one.")
    source, notes = "--storage", []
    if file is not None:
        source, (given, open_to_others) = f"--storage-file {file}", _read(file)
        if open_to_others and password_of(given) is not None:
            notes.append(f"{file}: others may read it, and it holds a password: chmod 600 {file}")
    elif given is None and os.environ.get(VARIABLE):
        source, given = VARIABLE, os.environ[VARIABLE]
    elif given is not None and password_of(given) is not None:
        notes.append(
            "The password in --storage is visible to everyone who lists the processes of this machine (ps). Give the "
            f"storage by {VARIABLE} or --storage-file FILE, or only the password by {' or '.join(PASSWORDS.values())}."
        )
    url = storage_url(given, folder, source)
    kind = re.split(r"[+:]", url)[0] if "://" in url else ""
    variables = tuple(name for name in (VARIABLE, PASSWORDS.get(kind, "")) if name in os.environ)
    return Storage(_with_password(url, kind), tuple(notes), variables)


def storage_url(given: str | None, folder: Path, source: str = "--storage") -> str:
    """Resolve the text of a storage to a URL, or to the path of a journal file.

    Args:
        given: the text; None for an SQLite file in the study's folder.
        folder: the study's folder.
        source: what names it, for messages.

    Raises:
        InputError: it is neither.
    """
    if given is None:
        return f"sqlite:///{(folder / 'study.db').absolute()}"
    if any(ord(character) < 32 for character in given):
        raise InputError(f"{source}: holds a control character, such as the end of a line. Give {KINDS}.")
    if "://" in given:
        kind = given.partition(":")[0].partition("+")[0]
        if kind == "sqlite":
            file = given.partition(":///")[2]
            if file in ("", ":memory:"):
                raise InputError(
                    f"{source} {shown(given)}: does not name a file that workers could share. Give sqlite:///FILE."
                )
            return f"sqlite:///{_expanded(file).absolute()}"
        if kind not in SERVERS:
            named = f"'{kind}'" if re.fullmatch("[A-Za-z0-9_]{1,40}", kind) else "that"
            raise InputError(f"{source} {shown(given)}: {named} is not a storage for studies. Give {KINDS}.")
        if not SERVER.fullmatch(given):
            raise InputError(
                f"{source} {shown(given)}: user, password, host and database cannot be distinguished. Write @ : / ? # "
                "and % in a password as %40 %3A %2F %3F %23 and %25, or give it by "
                f"{PASSWORDS[kind]} instead: {kind}://USER@HOST/DATABASE."
            )
        return given
    path = _expanded(given)
    if path.suffix in (".db", ".sqlite", ".sqlite3"):
        return f"sqlite:///{path.absolute()}"
    if path.suffix in (".log", ".journal"):
        return str(path.absolute())
    raise InputError(f"{source} {shown(given)}: is not a storage for studies. Give {KINDS}.")


def _expanded(text: str) -> Path:
    """A path with the home folder for its `~`; unchanged if there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def shown(url: str) -> str:
    """A storage for people: without its password, in whatever shape it is written."""
    if "://" not in url:  # a file, or a URL that lacks a slash
        return one_line(SECRET.sub(r"\1***", re.sub(r":.*@", ":***@", url, flags=re.DOTALL)))
    kind, _, rest = url.partition("://")
    if kind.partition("+")[0] == "sqlite" and rest.startswith("/"):
        return one_line(url)
    found = SERVER.fullmatch(url)
    if found is None:
        return f"{kind if re.fullmatch('[a-z0-9_+]{1,40}', kind) else ''}://..."
    password = ":***" if found["password"] is not None else ""
    user = "" if found["user"] is None else f"{found['user']}{password}@"
    port = "" if found["port"] is None else f":{found['port']}"
    database = "" if found["database"] is None else f"/{found['database']}"
    names = [part.partition("=")[0] if "=" in part else "" for part in (found["query"] or "").split("&")]
    query = "" if found["query"] is None else "?" + "&".join(f"{name}=***" if name else "***" for name in names)
    return one_line(f"{kind}://{user}{found['host']}{port}{database}{query}")


def password_of(url: str) -> str | None:
    """Return the literal password in a URL, also among the options of a query; None without one."""
    if "://" not in url or url.startswith("sqlite"):
        return None
    found = SERVER.fullmatch(url)
    if found is None:  # the password cannot be located
        return url.partition("://")[2] if "@" in url else None
    if found["password"]:
        return found["password"]
    secret = SECRET.search(found["query"] or "")
    return secret[0].partition("=")[2] if secret else None


def without_secrets(text: str, url: str) -> str:
    """Return the message of a library without the password of a URL.

    Args:
        text: the message.
        url: with which the library was called.
    """
    raw = {part for part in (password_of(url), *_query_values(url)) if part}
    secrets = {spelled for part in raw for spelled in (part, unquote(part), unquote_plus(part))}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


@contextmanager
def without_variables(names: Sequence[str]) -> Iterator[None]:
    """Remove variables from this process's environment, so that no child inherits them."""
    taken = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(taken)


def _query_values(url: str) -> list[str]:
    """The secret ones among the options of a URL."""
    return [each[0].partition("=")[2] for each in SECRET.finditer(url.partition("?")[2])]


def _with_password(url: str, kind: str) -> str:
    """A server's URL with the password of the environment, if it has none itself."""
    password = os.environ.get(PASSWORDS.get(kind, ""), "")
    if not password or password_of(url) is not None:
        return url
    from sqlalchemy.engine import make_url

    return make_url(url).set(password=password).render_as_string(hide_password=False)


def _read(file: Path) -> tuple[str, bool]:
    """The storage that a file names, and whether others than its owner may read the file.

    Raises:
        InputError: it cannot be read, or is not one line.
    """
    try:
        text = read_file(file, MAX_BYTES).decode("utf-8-sig").strip()
        others = os.name == "posix" and bool(file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except UnicodeDecodeError:
        raise InputError(
            f"--storage-file {file}: is not a text file. Write the storage's URL into it, in one line."
        ) from None
    except OSError as error:
        raise InputError(f"--storage-file {file}: cannot be read ({error.strerror}).") from None
    if len(text.splitlines()) != 1:
        raise InputError(f"--storage-file {file}: must hold one line, the storage's URL.")
    return text, others
