"""Lehr: a training system for YOLO detectors in which every technique is a part you can see and measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lehr.version import __version__

if TYPE_CHECKING:
    from lehr.detector import Detector

__all__ = ["Detector", "__version__"]


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds; `import lehr` must cost nothing until something is used.
    if name == "Detector":
        from lehr.runtime.environment import tidy_imports

        with tidy_imports():
            from lehr.detector import Detector

        return Detector
    raise AttributeError(f"module 'lehr' has no attribute {name!r}")
