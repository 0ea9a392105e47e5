"""Lehr: a training system for YOLO detectors in which every technique is a part you can see and measure."""

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    _module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    if _module.partition(".")[0] == "lehr":  # `python -m lehr` would import from its working folder
        del sys.path[0]

from typing import TYPE_CHECKING, Any

from lehr.version import __version__

if TYPE_CHECKING:
    from lehr.callbacks.callback import Callback
    from lehr.detections import Detection, Detections
    from lehr.detector import Detector
    from lehr.engine.result import TrainResult
    from lehr.errors import Diverged, InputError, LehrError, Stopped
    from lehr.evaluation.evaluator import Evaluation
    from lehr.evaluation.metrics import ClassMetrics, Metrics

__all__ = [
    "Callback",
    "ClassMetrics",
    "Detection",
    "Detections",
    "Detector",
    "Diverged",
    "Evaluation",
    "InputError",
    "LehrError",
    "Metrics",
    "Stopped",
    "TrainResult",
    "__version__",
]

_MODULES = {
    "Callback": "lehr.callbacks.callback",
    "ClassMetrics": "lehr.evaluation.metrics",
    "Detection": "lehr.detections",
    "Detections": "lehr.detections",
    "Detector": "lehr.detector",
    "Diverged": "lehr.errors",
    "Evaluation": "lehr.evaluation.evaluator",
    "InputError": "lehr.errors",
    "LehrError": "lehr.errors",
    "Metrics": "lehr.evaluation.metrics",
    "Stopped": "lehr.errors",
    "TrainResult": "lehr.engine.result",
}
"""Module of each name. Importing torch takes seconds; `import lehr` must cost nothing until a name is used."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'lehr' has no attribute {name!r}")
    from importlib import import_module

    from lehr.runtime.environment import tidy_imports

    with tidy_imports():
        value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
