"""Folder for what Lehr can make again: generated data, decoded images, compiled code."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """Return the folder for caches: `LEHR_CACHE` where that is set, else the one that the system has for them."""
    given = os.environ.get("LEHR_CACHE")
    return Path(given).expanduser() if given else user_cache_path("lehr", appauthor=False)
