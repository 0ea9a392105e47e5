"""The place of an export, checked before the work."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lehr.errors import InputError
from lehr.export.formats import ExportFormat


def default_path(weights: Path, kind: ExportFormat) -> Path:
    """Return the path of an export of some weights: next to them, under their name."""
    return weights.with_name(weights.stem + kind.suffix)


def check_target(path: Path, kind: ExportFormat) -> None:
    """Check, before any work is done, that an export can be written, and that nothing is lost by it.

    Args:
        path: the file or folder.
        kind: its format.

    Raises:
        InputError: something is there, its folder is missing, or its name does not end as those of its format do.
    """
    if path.name.endswith("/") or not path.name.endswith(kind.suffix):
        raise InputError(f"--out {path}: must end with {kind.suffix}, e.g. {path.with_suffix('').name}{kind.suffix}.")
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: exists already. Remove it, or choose another --out.")
    if not path.absolute().parent.is_dir():
        if path.absolute().parent.exists():
            raise InputError(f"--out {path}: {path.parent} is a file, not a folder. Choose another --out.")
        raise InputError(f"--out {path}: there is no folder {path.parent}. Make it, or choose another --out.")
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}). Choose another --out.") from None
