"""Colours of figures and pages: seen apart by colour-blind readers, dark on dark screens, the same on pages."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lehr.plots.figure import legend, new_figure, save_figure, styled
from lehr.plots.style import DARK, LIGHT, Theme, page_style

VISIONS = {  # Machado et al., 2009, severity 1.0, for linear RGB
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
APART = 15.0
"""Least difference of two colours in CIELAB (CIE 1976); about 2 is just seen."""


def linear(colour: str) -> NDArray[np.float64]:
    values = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = matrix @ rgb.clip(0, 1) / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ linear(each)) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("vision", VISIONS)
def test_series_are_told_apart_by_every_eye(theme: Theme, vision: str) -> None:
    seen = {colour: lab(VISIONS[vision] @ linear(colour)) for colour in theme.colours}
    for one, other in itertools.combinations(theme.colours, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > APART, (one, other)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_colours_stand_out_from_the_paper(theme: Theme) -> None:
    assert all(contrast(colour, theme.paper) >= 3 for colour in theme.colours)
    assert all(contrast(text, theme.paper) >= 4.5 for text in (theme.ink, theme.quiet, theme.good, theme.bad))
    assert all(contrast(text, theme.card) >= 4.5 for text in (theme.ink, theme.quiet))
    strength = [contrast(colour, theme.paper) for colour in theme.order]
    assert strength == sorted(strength)  # what counts most stands out most


def test_a_page_has_the_colours_of_figures() -> None:
    light, dark = page_style().split("@media")
    for text, theme in ((light, LIGHT), (dark, DARK)):
        assert re.findall(r"--c\d: (#\w+);", text) == list(theme.colours)
        assert f"--paper: {theme.paper};" in text


def test_a_figure_turns_dark_and_stays_light_for_whoever_ignores_screens(tmp_path: Path) -> None:
    with styled():
        figure, (axis,) = new_figure(1, 1)
        axis.plot([0, 1], label="a")
        legend(axis)
        save_figure(figure, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    style, drawing = re.findall(r"<style>.*?</style>", text)[0], re.sub(r"<style>.*?</style>", "", text)
    assert f'[style*="stroke: {LIGHT.colours[0]}"]{{stroke:{DARK.colours[0]}!important}}' in style
    used = set(re.findall(r"(?:fill|stroke): (#\w{6})", drawing))
    assert LIGHT.colours[0] in used and LIGHT.ink in used and not used & set(DARK.colours)
    assert all(f": {colour}" in style for colour in used), used  # none would stay as it is in the dark


def test_figures_are_drawn_in_the_style_alone() -> None:
    with pytest.raises(RuntimeError, match="styled"):
        new_figure(1, 1)
