"""The images that a user names: files, folders, globs."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from lehr.data.find_images import images_in
from lehr.data.images import is_image
from lehr.errors import InputError


def find_images(sources: Iterable[str]) -> list[Path]:
    """The image files of some sources, each once, in the order named; folders and globs sorted.

    Raises:
        InputError: a source names nothing, or holds no image.
    """
    found: list[Path] = []
    for source in sources:
        path = Path(source).expanduser()
        if path.is_file():
            images = [path]
        elif path.is_dir():
            images = images_in(path)
            if not images:
                raise InputError(f"{source}: the folder holds no images.")
        else:
            matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 (absolute)
            images = [match for match in matches if match.is_file() and is_image(match)]
            if not images:
                raise InputError(f"{source}: no such image, folder or glob.")
        found += images
    return list(dict.fromkeys(found))
