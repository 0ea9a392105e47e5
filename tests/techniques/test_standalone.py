"""Each technique can be imported and used by itself."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tests.processes import Forked

import lehr

ROOMS = ("techniques", "losses", "augment")


def import_one_by_one(modules: list[str]) -> None:
    """Each in a state as fresh as can be had without a process each: what it brings in is forgotten before the next.

    All but the options, which bring nothing in.
    """
    kept = ("lehr.options", "lehr.errors")
    for name in ["", *modules]:
        if name:
            importlib.import_module(name)
            loaded = [each for each in sys.modules if each.startswith("lehr.engine")]
            assert not loaded, (name, loaded)
        for each in [each for each in sys.modules if each.startswith("lehr.") and not each.startswith(kept)]:
            del sys.modules[each]


def test_techniques_losses_and_augmentation_need_no_trainer(tmp_path: Path) -> None:
    root = Path(lehr.__file__).parent
    modules = [f"lehr.{room}.{path.stem}" for room in ROOMS for path in sorted((root / room).glob("[a-z]*.py"))]
    assert len(modules) > 25
    process = Forked(import_one_by_one, modules, out=tmp_path / "out")
    assert process.wait() == 0, process.out
