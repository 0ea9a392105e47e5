"""Each technique can be imported and used by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lehr.techniques

MODULES = sorted(path.stem for path in Path(lehr.techniques.__file__).parent.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("module", MODULES)
def test_a_technique_needs_no_trainer(module: str) -> None:
    code = f"import sys, lehr.techniques.{module}; print([n for n in sys.modules if n.startswith('lehr.engine')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
