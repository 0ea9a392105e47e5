"""Messages about what a machine refuses: files and folders that cannot be used, for whatever reason a system gives."""

from __future__ import annotations

import codecs
import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lehr.errors import LehrError

REMEDIES = {
    errno.EACCES: "Give yourself the rights to it, or choose another place.",
    errno.EPERM: "Give yourself the rights to it, or choose another place.",
    errno.EROFS: "Choose a place that can be written.",
    errno.ENOSPC: "Make room.",
    errno.EDQUOT: "Make room: your quota is used up.",
    errno.EMFILE: "Raise the limit of open files, e.g. ulimit -n 4096, or use fewer --workers.",
    errno.ENFILE: "Raise the machine's limit of open files, or close other programs.",
    errno.EAGAIN: "Raise the limit of processes, e.g. ulimit -u, or use fewer --workers.",
    errno.ENOMEM: "Free memory, or use a smaller --batch, --imgsz or model.",
    errno.ENAMETOOLONG: "Shorten the name.",
    errno.EIO: "Check the disk, or the connection to it.",
    errno.ESTALE: "Check the connection to the file server.",
    errno.ENODEV: "Check that the disk is mounted.",
    errno.ENOTCONN: "Check that the disk is mounted.",
}
"""Remedies by the number of an error; other errors are no matter of the machine, or of Lehr."""


@contextmanager
def plain_system_errors() -> Iterator[None]:
    """Turn what the machine refuses into an error for people, where nothing closer to it has done so.

    Raises:
        LehrError: it refused something.
    """
    try:
        yield
    except UnicodeEncodeError as error:
        names = codecs.lookup(sys.getfilesystemencoding()).name
        if names == "utf-8" or codecs.lookup(error.encoding).name != names:
            raise
        raise LehrError(_unnamed(error)) from None
    except RuntimeError as error:
        if "home directory" not in str(error):
            raise
        raise LehrError(
            "A path begins with ~, but there is no home folder here. Give it in full, or set HOME."
        ) from None
    except OSError as error:
        described = describe_system_error(error)
        if described is None:
            raise
        raise LehrError(described) from None


def describe_system_error(error: OSError) -> str | None:
    """Describe an error of the system with file and remedy; None where it is none of the machine's."""
    if isinstance(error, FileNotFoundError) and "usable temporary directory" in str(error):
        return "No folder for temporary files can be written. Set TMPDIR to one."
    if error.errno is None or error.errno not in REMEDIES:
        return None
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror}. {REMEDIES[error.errno]}"


def _unnamed(error: UnicodeEncodeError) -> str:
    return (
        f"{error.object!r}: is not a name in this locale, which encodes file names as {sys.getfilesystemencoding()}. "
        "Set PYTHONUTF8=1, or LC_ALL=C.UTF-8."
    )
