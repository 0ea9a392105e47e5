"""The figures of the documents have their texts on the canvas and clear of each other."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from tests.figures import checked

from lehr.plots.figure import styled

SCRIPTS = Path(__file__).parents[2] / "docs" / "techniques" / "figures"


def script(name: str, folder: Path) -> Any:
    """A script that draws figures, as a module that writes them into a folder."""
    spec = spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.HERE = folder  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    "names",
    [
        ("label-smoothing", "class-weights", "box-losses"),
        pytest.param(None, marks=pytest.mark.slow),
    ],
)
def test_figures_on_losses(names: tuple[str, ...] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = script("loss_curves", tmp_path).PICTURES
    with checked(monkeypatch) as found:
        for function in dict.fromkeys(pictures[name] for name in names or pictures):
            with styled():
                function()
    assert len(found) >= 3 and not any(found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["curves", "sampling_curves"])
def test_figures_on_courses_and_samples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script(name, tmp_path)
    (tmp_path / "gradient_norms.csv").write_bytes((SCRIPTS / "gradient_norms.csv").read_bytes())
    with checked(monkeypatch) as found:
        for function in dict.fromkeys(module.PICTURES.values()):
            with styled():
                function()
    assert len(found) >= 5 and not any(found.values()), found
