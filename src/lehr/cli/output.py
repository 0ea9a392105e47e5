"""Output of commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.standard_streams import SafeStream


def say(text: str) -> None:
    """Print a line on the standard output; one that cannot be printed ends nothing."""
    output = SafeStream("stdout")
    output.write(text + "\n")
    output.flush()


def speaker(quiet: bool) -> Callable[[str], None]:
    """Return what prints lines: nothing where a command is to be quiet."""
    return (lambda text: None) if quiet else say


def write_json(path: Path, content: Any) -> None:
    """Write JSON; the file appears whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_file(path, "Choose another --json file.") as temporary:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        # A file name that is no text holds lone surrogates, which this writes as JSON's own \udcXX.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def report_rounding(imgsz: int | None, say: Callable[[str], None] = say) -> None:
    """Say when an image size is not used as it was given."""
    from lehr.models.scale import rounded_size

    if imgsz is not None and rounded_size(imgsz) != imgsz:
        say(f"--imgsz {imgsz} is not a multiple of 32: rounded up to {rounded_size(imgsz)}.")
