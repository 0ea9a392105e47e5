"""Each technique can be imported and used by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lehr

ROOMS = ("techniques", "losses", "augment")


def test_techniques_losses_and_augmentation_need_no_trainer() -> None:
    root = Path(lehr.__file__).parent
    modules = [f"lehr.{room}.{path.stem}" for room in ROOMS for path in sorted((root / room).glob("[a-z]*.py"))]
    assert len(modules) > 25
    # Each in a state as fresh as can be had without a process each: what it brings in is forgotten before the next.
    code = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
    loaded = [each for each in sys.modules if each.startswith("lehr.engine")]
    assert not loaded, (name, loaded)
    for each in [each for each in sys.modules if each.startswith("lehr.")]:
        del sys.modules[each]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
