"""Packages of others that an integration needs, each an extra of Lehr."""

from __future__ import annotations

import importlib.util
import os

from lehr.errors import LehrError
from lehr.runtime.installing import how_to_install

QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "FIFTYONE_DO_NOT_TRACK": "1"}
"""Variables by which these packages report nothing of their use; what the user has set stands."""


def require_package(package: str, extra: str) -> None:
    """Check that a package is installed, and have it report nothing of its use.

    Args:
        package: the package's module.
        extra: the extra of Lehr that installs it.

    Raises:
        LehrError: it is not installed; names the command that installs it.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if importlib.util.find_spec(package) is None:
        raise LehrError(f"{package} is not installed. {how_to_install(extra)}")
