"""Output of commands."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_file, is_device
from lehr.runtime.line_width import fold, fold_command, line_width
from lehr.runtime.plain_text import as_json, one_line, printable
from lehr.runtime.reading import read_start
from lehr.runtime.standard_streams import SafeStream

JSON_OPTIONS = frozenset({"--json", "--jsonl", "--coco"})
"""Options that name a file of JSON."""
PICTURES = (".png", ".svg", ".pdf")
"""Endings of figures that are drawn into a file."""
ENDINGS = {"--jsonl": ".jsonl", "--csv": ".csv", "--out": ".html", "DST": ".safetensors"}
"""Usual endings of files, by the option that names them; .json of others."""
TABLE_START = b"source,frame,time,class,"
"""First bytes of the table that `lehr predict --csv` writes."""


def say(line: str) -> None:
    """Print a line on the standard output, line breaks and control characters in it as escapes.

    One that cannot be printed ends nothing.
    """
    show(one_line(line))


def show(text: str) -> None:
    """Print a text of several lines, control characters as escapes; names of others in it have their line breaks so.

    On a terminal, longer lines are broken between words.
    """
    output = SafeStream("stdout")
    output.write(fold(printable(text), line_width(output)) + "\n")
    output.flush()


def show_command(command: str, indent: str = "") -> None:
    """Print a shell command so that it can be pasted, whatever the width of the terminal."""
    output = SafeStream("stdout")
    output.write(fold_command(one_line(command), line_width(output), indent) + "\n")
    output.flush()


def speaker(quiet: bool) -> Callable[[str], None]:
    """Return what prints lines: nothing where a command is to be quiet."""
    return (lambda text: None) if quiet else say


def check_output(path: Path | None, option: str, endings: Sequence[str] = ()) -> None:
    """Check, before any work is done, that a file can be written, and that nothing else is lost by it.

    Args:
        path: the file; None where none is wanted.
        option: the option that names it, for messages.
        endings: of its name, one of which it must have; empty where any will do.

    Raises:
        InputError: it is a folder, its own folder is missing or cannot be written, its name ends otherwise, or it would
            replace a file of another kind.
    """
    if path is None or is_device(path):
        return
    remedy = f"Choose another {option} file."
    example = f"out{endings[0] if endings else ENDINGS.get(option, '.json')}"
    try:
        if path.is_dir():
            raise InputError(f"{option} {path}: is a folder. Name a file in it, e.g. {path / example}.")
        if not path.parent.is_dir():
            if path.parent.exists():
                raise InputError(f"{option} {path}: {path.parent} is a file, not a folder. {remedy}")
            raise InputError(f"{option} {path}: there is no folder {path.parent}. Make it, or choose another file.")
        if endings and path.suffix.lower() not in endings:
            kinds = " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))
            raise InputError(f"{option} {path}: must end with {kinds}, e.g. {path.with_suffix(endings[0])}.")
        kind = _kept_kind(path, option) if path.exists() else None
        if kind is not None:
            raise InputError(f"{option} {path}: exists and is not a {kind}. It would be lost. {remedy}")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{option} {path}: cannot be written ({reason}). {remedy}") from None


def check_writable(folder: Path, option: str) -> None:
    """Check, before any work is done, that a folder can be written, or made where it is missing.

    Args:
        folder: the folder; what is in it may stay.
        option: the option that names it, for messages.

    Raises:
        InputError: a file is in its way, or it cannot be made or written.
    """
    remedy = f"Choose another {option}."
    try:
        above = next(each for each in (folder, *folder.parents) if each.exists())
        if not above.is_dir():
            raise InputError(f"{option} {folder}: {above} is a file, not a folder. {remedy}")
        with tempfile.TemporaryFile(dir=above):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        what = "written" if os.path.exists(folder) else "created"  # noqa: PTH110 (which, unlike Path's, never raises)
        raise InputError(f"{folder}: cannot be {what} ({reason}). {remedy}") from None


def check_output_folder(folder: Path, option: str) -> None:
    """Check, before any work is done, that a folder can be made, or is there and empty.

    Args:
        folder: the folder.
        option: the option that names it, for messages.

    Raises:
        InputError: it is taken, or cannot be made or written.
    """
    remedy = f"Choose another {option}."
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{option} {folder}: exists already and is not empty. {remedy}")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{option} {folder}: cannot be read ({reason}). {remedy}") from None
    check_writable(folder, option)


def _kept_kind(path: Path, option: str) -> str | None:
    """The kind of file that an option replaces, where the file that is there is none; None where it may be replaced."""
    if option in JSON_OPTIONS and not _is_json(path):
        return "JSON file"
    if option == "--csv" and read_start(path, len(TABLE_START)) not in (b"", TABLE_START):
        return "table written by lehr predict"
    return None


def _is_json(path: Path) -> bool:
    """Return whether a file is empty or begins as JSON does."""
    return read_start(path, 64).lstrip()[:1] in (b"", b"[", b"{")


def write_json(path: Path, content: Any) -> None:
    """Write JSON; the file appears whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    text = as_json(content, indent=1) + "\n"

    def write(to: Path) -> None:
        to.write_text(text, encoding="utf-8")

    if is_device(path):
        write(path)
        return
    with atomic_file(path, "Choose another --json file.") as temporary:
        write(temporary)


def report_rounding(imgsz: int | None, say: Callable[[str], None] = say) -> None:
    """Say when an image size is not used as it was given."""
    from lehr.models.scale import rounded_size

    if imgsz is not None and rounded_size(imgsz) != imgsz:
        say(f"--imgsz {imgsz} is not a multiple of 32: rounded up to {rounded_size(imgsz)}.")
