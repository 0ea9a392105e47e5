"""Libraries that report their use to their makers, kept from it."""

from __future__ import annotations

import sys

REPORTING = "openvino_telemetry"
"""The module by which OpenVINO and NNCF report their use, from their import on, unless the user refused it before."""


def refuse_telemetry() -> None:
    """Keep OpenVINO and NNCF from reporting; call it before either is imported.

    Both do without the module if it is missing, which it is from now on in this process.
    """
    sys.modules.setdefault(REPORTING, None)  # type: ignore[arg-type]  # Python's mark of a module that cannot be imported
