"""Figures are made with matplotlib's own settings where the working folder brings some."""

from __future__ import annotations

from pathlib import Path

import pytest

matplotlib = pytest.importorskip("matplotlib")

from lehr.plots.figure import new_figure, save_figure, styled  # noqa: E402


def test_settings_in_the_working_folder_do_not_have_latex_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "matplotlibrc"
    settings.write_text("text.usetex: True\ntext.latex.preamble: \\input{/etc/passwd}\n")
    ran = tmp_path / "ran"
    latex = tmp_path / "latex"
    latex.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    latex.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.chdir(tmp_path)
    with matplotlib.rc_context():
        matplotlib.rc_file(settings)  # as matplotlib does where it is imported in that folder
        with styled():
            figure, axes = new_figure(1, 1)
            axes[0].set_title("a title of this test alone")
            save_figure(figure, tmp_path / "plot.png")
        assert matplotlib.rcParams["text.usetex"]  # the user's own settings are back
    assert not ran.exists()
    assert (tmp_path / "plot.png").stat().st_size > 0
