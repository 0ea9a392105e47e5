"""Lists of images: text files that name one image a line."""

from __future__ import annotations

from pathlib import Path

from lehr.errors import InputError


def images_listed(listing: Path, root: Path) -> list[Path]:
    """The image files that a text file names, one a line, relative to `root` or to the text file.

    Raises:
        InputError: the file is not text.
    """
    if listing.suffix.lower() != ".txt":
        raise InputError(f"{listing}: is neither a folder nor a .txt of images.")
    try:
        names = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{listing}: cannot be read as text ({error}).") from None
    paths = []
    for name in filter(None, names):
        beside = listing.parent / name
        paths.append(beside if name.startswith("./") or not (root / name).exists() else root / name)
    return paths
