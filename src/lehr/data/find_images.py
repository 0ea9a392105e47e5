"""The image files in a folder."""

from __future__ import annotations

from pathlib import Path

from lehr.data.images import is_image


def images_in(folder: Path) -> list[Path]:
    """All image files in a folder and the folders in it, sorted."""
    return sorted(path for path in folder.rglob("*") if is_image(path) and path.is_file())
