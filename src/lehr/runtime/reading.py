"""The one way in for files that others wrote: regular files, bounded in size, through links only where they may be.

What is not a regular file never ends (`/dev/zero`), or never begins (a FIFO that nobody writes). What is too large
fills the memory. And a link in the folder of a run that a stranger made leads where the stranger wanted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from io import FileIO
from pathlib import Path
from typing import BinaryIO

KIB, MIB, GIB = 2**10, 2**20, 2**30

KIND, REGULAR = 0o170000, stat.S_IFREG
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
NONBLOCK = getattr(os, "O_NONBLOCK", 0)
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
BINARY = getattr(os, "O_BINARY", 0)
CLOEXEC = getattr(os, "O_CLOEXEC", 0)
PREAD = hasattr(os, "pread")
READ_FLAGS = os.O_RDONLY | BINARY | NONBLOCK | CLOEXEC
COPIED_LIMIT = 64 * MIB
"""A file of several names that is appended to is copied first, up to this size."""
LONGEST_NAME = 200
"""Bytes of a file's name that the name of a temporary file repeats; file systems allow 255."""


class NotRegular(OSError):
    """A path that leads to no regular file, or through a link where none may be; `strerror` says to what."""


class TooLarge(OSError):
    """A file that is larger than its content can be; `strerror` says how large that is."""


def open_file(path: str | os.PathLike[str], limit: int | None = None, *, links: bool = True) -> FileIO:
    """Open a regular file for reading, unbuffered.

    Args:
        path: the file.
        limit: bytes that it may have; None for any number.
        links: whether the path itself may be a symbolic link.

    Raises:
        NotRegular: it is a device, a named pipe, a folder, a socket; or a link where none may be.
        TooLarge: it has more bytes.
        OSError: it cannot be opened.
    """
    handle, _ = open_descriptor(path, limit, links=links)
    try:
        return FileIO(handle, "rb", closefd=True)
    except BaseException:
        os.close(handle)
        raise


def open_descriptor(path: str | os.PathLike[str], limit: int | None = None, *, links: bool = True) -> tuple[int, int]:
    """Open a regular file for reading, where many are to be read quickly.

    Returns:
        Its descriptor, which the caller closes, and its size in bytes.

    Raises:
        OSError: as `open_file`.
    """
    name = os.fspath(path)
    try:
        status = os.stat(name) if links else os.lstat(name)  # before it is opened: some devices notice
        if status.st_mode & KIND != REGULAR:
            _require_regular(status, name)
        handle = os.open(name, READ_FLAGS if links else READ_FLAGS | NOFOLLOW)
    except ValueError:  # a null byte, or text that no file system takes
        raise OSError(errno.EINVAL, "has a character that no name of a file has", name) from None
    except OSError as error:
        if error.errno == errno.ELOOP and not links and not isinstance(error, NotRegular):
            raise NotRegular(errno.ELOOP, "is a symbolic link, which is not followed here", name) from None
        raise
    try:
        status = os.fstat(handle)  # of what was opened: the path may lead elsewhere by now
        if status.st_mode & KIND != REGULAR:
            _require_regular(status, name)
        if limit is not None and status.st_size > limit:
            raise too_large(name, limit)
    except BaseException:
        os.close(handle)
        raise
    return handle, status.st_size


def read_at(handle: int, offset: int, count: int) -> bytes:
    """Read bytes of an open file from an offset on, `count` at most."""
    if PREAD:
        return os.pread(handle, count, offset)
    os.lseek(handle, offset, os.SEEK_SET)
    return os.read(handle, count)


def read_file(path: str | os.PathLike[str], limit: int, *, links: bool = True) -> bytes:
    """Read a regular file whole.

    Args:
        path: the file.
        limit: bytes that it may have.
        links: whether the path itself may be a symbolic link.

    Raises:
        NotRegular: it is a device, a named pipe, a folder, a socket; or a link where none may be.
        TooLarge: it has more bytes, or grows beyond them while it is read.
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    handle, size = open_descriptor(name, limit, links=links)
    try:
        data = os.read(handle, size + 1)  # one more than there should be: less than asked for is the end
        if len(data) == size:
            return data
        parts, length = [data], len(data)
        while data and length <= limit:
            data = os.read(handle, min(MIB, limit + 1 - length))
            parts.append(data)
            length += len(data)
    finally:
        os.close(handle)
    if length > limit:
        raise too_large(name, limit)
    return b"".join(parts)


def read_writable(path: str | os.PathLike[str], limit: int, *, links: bool = True) -> bytearray:
    """Read a regular file whole, into memory that may be changed and that tensors can use.

    Args:
        path: the file.
        limit: bytes that it may have.
        links: whether the path itself may be a symbolic link.

    Raises:
        OSError: as `read_file`; also where the file becomes shorter while it is read.
        MemoryError: there is too little memory for it.
    """
    with open_file(path, limit, links=links) as file:
        data = bytearray(os.fstat(file.fileno()).st_size)
        view, done = memoryview(data), 0
        while done < len(data):
            count = file.readinto(view[done:])
            if not count:
                raise OSError(errno.EIO, "has become shorter while it was read", os.fspath(path))
            done += count
    return data


def read_start(path: str | os.PathLike[str], count: int, *, links: bool = True) -> bytes:
    """Read the first bytes of a regular file, `count` at most.

    Raises:
        OSError: as `open_file`.
    """
    with open_file(path, links=links) as file:
        return _read_up_to(file, count)


def open_append(path: Path) -> BinaryIO:
    """Open a file to append to, made where it is missing; never through a link, never anything but a regular file.

    A file that has further names (hard links) is copied first, so that nothing changes under these.

    Raises:
        NotRegular: the path is a link, or no regular file.
        OSError: it cannot be opened.
    """
    return _open_to_write(path, os.O_APPEND)


def open_overwrite(path: Path) -> BinaryIO:
    """Open a file to overwrite, made where it is missing; never through a link, never anything but a regular file.

    A file that has further names (hard links) keeps its content under these.

    Raises:
        NotRegular: the path is a link, or no regular file.
        OSError: it cannot be opened.
    """
    return _open_to_write(path, os.O_TRUNC)


def open_update(path: Path) -> BinaryIO:
    """Open a file to write to in places, made where it is missing; never through a link, only a regular file.

    A file that has further names (hard links) is copied first, so that nothing changes under these.

    Raises:
        NotRegular: the path is a link, or no regular file.
        OSError: it cannot be opened.
    """
    return _open_to_write(path, 0)


def too_large(name: str, limit: int) -> TooLarge:
    """The error of a file that is larger than its content can be."""
    shown = f"{limit / GIB:.3g} GB" if limit >= GIB else f"{limit / MIB:.3g} MB" if limit >= MIB else f"{limit} bytes"
    return TooLarge(errno.EFBIG, f"is larger than {shown}, more than such a file has", name)


def create_beside(path: Path, mode: int = 0o666) -> tuple[int, Path]:
    """Create an empty file next to another, `.NAME.<16 random digits>.tmp`, which nobody can have laid a link at.

    Args:
        path: the other.
        mode: its rights, less those that the umask takes away.

    Returns:
        The file, open for reading and writing, and its path.

    Raises:
        OSError: it cannot be created.
    """
    name = os.fsdecode(os.fsencode(path.name)[:LONGEST_NAME])
    while True:
        temporary = path.with_name(f".{name}.{secrets.token_hex(8)}.tmp")
        with contextlib.suppress(FileExistsError):
            return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | NOFOLLOW | BINARY | CLOEXEC, mode), temporary


def _open_to_write(path: Path, how: int) -> BinaryIO:
    name = os.fspath(path)
    with contextlib.suppress(FileNotFoundError):
        _require_regular(os.lstat(name), name)
    flags = os.O_WRONLY | os.O_CREAT | NOFOLLOW | NONBLOCK | BINARY | CLOEXEC
    try:  # emptied only when it is known to be a file: a link may have come in between
        handle = os.open(name, flags | (how & os.O_APPEND), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotRegular(error.errno, "is a link or no regular file, which is not written to", name) from None
        raise
    try:
        status = os.fstat(handle)
        _require_regular(status, name)
        if status.st_nlink > 1:
            others, handle = handle, _replaced(path, status, keep=not how & os.O_TRUNC)
            os.close(others)
        elif how & os.O_TRUNC:
            os.ftruncate(handle, 0)
        return os.fdopen(handle, "ab" if how & os.O_APPEND else "wb")
    except BaseException:
        os.close(handle)
        raise


def _replaced(path: Path, status: os.stat_result, keep: bool) -> int:
    """Replace a file that has further names by a new one, and return that, open for writing.

    Args:
        path: the file.
        status: what the system says of it; a copy has its rights.
        keep: whether the file is a copy, else it is empty.
    """
    content = read_file(path, COPIED_LIMIT, links=False) if keep else b""
    handle, temporary = create_beside(path, 0o600)
    try:
        os.chmod(temporary, stat.S_IMODE(status.st_mode) & 0o777)
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        os.close(handle)
        temporary.unlink(missing_ok=True)
        raise
    return handle


def _require_regular(status: os.stat_result, name: str) -> None:
    """Raise NotRegular for whatever is not a regular file."""
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISLNK(status.st_mode):
        raise NotRegular(errno.ELOOP, "is a symbolic link, which is not followed here", name)
    kind = next((kind for matches, kind in KINDS if matches(status.st_mode)), "something else")
    number = errno.EISDIR if kind == "a folder" else errno.EINVAL
    raise NotRegular(number, f"is {kind}, no regular file", name)


def _read_up_to(file: FileIO, count: int) -> bytes:
    parts: list[bytes] = []
    while count > 0 and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
