"""One look for every figure and page of Lehr: colours of the light and the dark theme, sizes, and line widths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lehr.drawing.palette import ON_DARK, ON_LIGHT


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a theme, as `#rrggbb`.

    Attributes:
        paper: background.
        ink: text.
        quiet: secondary text, and axes.
        line: grid lines and borders.
        card: background of boxes on pages.
        good: words on what helps; links.
        bad: words on what hurts.
        best: background of the best row of a table.
        colours: of series, in their order; the last is a grey for what is only context.
        order: from what counts least to what counts most, which has the strongest contrast with the paper.
        heat: from zero to the largest value of a matrix.
    """

    paper: str
    ink: str
    quiet: str
    line: str
    card: str
    good: str
    bad: str
    best: str
    colours: tuple[str, ...]
    order: tuple[str, ...]
    heat: tuple[str, ...]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1b1f24",
    quiet="#59616b",
    line="#d8dde3",
    card="#f4f6f8",
    good="#005c91",
    bad="#a33f00",
    best="#fdf3d7",
    colours=ON_LIGHT,
    order=(
        *("#7ad151", "#5cc863", "#40bd72", "#2cb17e", "#21a585", "#1f988b", "#228b8d", "#277f8e"),
        *("#2c718e", "#32648e", "#39568c", "#3f4788", "#453781", "#482677", "#481467", "#440154"),
    ),
    heat=(
        *("#eef5fa", "#d9eaf5", "#c4dfef", "#afd3ea", "#99c7e4", "#7fb8dc", "#65a9d4", "#4c9acc"),
        *("#388bc1", "#2a7cb3", "#1c6da5", "#0e5e97", "#0a548a", "#0a4b7d", "#094370", "#083a63"),
    ),
)
DARK = Theme(
    paper="#14171a",
    ink="#e6e9ec",
    quiet="#a3acb6",
    line="#363d45",
    card="#1e2327",
    good="#7ecbff",
    bad="#ff9d5c",
    best="#3a3113",
    colours=ON_DARK,
    order=(
        *("#3e4989", "#38588c", "#32658e", "#2c728e", "#277f8e", "#228b8d", "#1f988b", "#20a486"),
        *("#2ab07f", "#3fbc73", "#58c765", "#75d054", "#98d83e", "#bade28", "#dde318", "#fde725"),
    ),
    heat=(
        *("#1b242c", "#1c2e3b", "#1d384b", "#1e425a", "#204e6b", "#235c7f", "#276a92", "#2a78a6"),
        *("#3386b7", "#4295c6", "#50a4d5", "#5eb2e4", "#72beeb", "#88c9f0", "#9ed3f4", "#b4def9"),
    ),
)
COLOURS = LIGHT.colours
"""Colours of series in figures, which are drawn in the light theme."""
PAPER, INK, QUIET, LINE = LIGHT.paper, LIGHT.ink, LIGHT.quiet, LIGHT.line
GREY = COLOURS[-1]
"""Colour of context: the other series, single seeds, thresholds."""
PALE = "#b4bcc6"
"""Lines behind the lines that matter."""
PALE_ON_DARK = "#5d6673"

TITLE, LABEL, TICK, SMALL = 11.0, 10.0, 9.0, 8.0
"""Sizes of text in a figure, points: of titles, axis labels, ticks and legends, and annotations; none is smaller."""
WIDTH, THIN = 1.8, 0.9
"""Widths of lines, points: of what matters, and of what is only context."""
DOT, SMALL_DOT = 7.0, 4.5
"""Diameters of marks, points: of a few, and of many."""

FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC")
"""Fonts in which a character is looked up, in this order, if installed: class names come in all languages."""


def settings() -> dict[str, Any]:
    """Return matplotlib's settings (`rcParams`) for a figure of Lehr, but for its fonts and its colour cycle."""
    return {
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "axes.facecolor": PAPER,
        "axes.edgecolor": QUIET,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "axes.titlesize": TITLE,
        "axes.titlepad": 8.0,
        "axes.labelsize": LABEL,
        "axes.linewidth": THIN,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": LINE,
        "grid.linewidth": 0.8,
        "figure.titlesize": TITLE,
        "font.size": LABEL,
        "text.color": INK,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": TICK,
        "ytick.labelsize": TICK,
        "legend.frameon": False,
        "legend.fontsize": TICK,
        "lines.linewidth": WIDTH,
        "lines.markersize": DOT,
        "svg.hashsalt": "lehr",  # so that the same figure is the same file
    }


def page_style() -> str:
    """Return the colours as CSS variables of a page: light, and dark where the reader's screen is."""
    light, dark = (
        " ".join(f"--{name}: {colour};" for name, colour in _variables(theme).items()) for theme in (LIGHT, DARK)
    )
    return f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{\n  :root {{ {dark} }}\n}}\n"


def dark_style() -> str:
    """Return CSS that shows a figure drawn in the light theme, an SVG, in the dark one on a dark screen.

    The rules replace each colour of the light theme where it is a fill or a stroke. Programs that know nothing of
    screens leave the figure light.
    """
    rules = "".join(
        f'[style*="{use}: {light}"]{{{use}:{dark}!important}}'
        for light, dark in _replacements().items()
        for use in ("fill", "stroke")
    )
    return f"@media screen and (prefers-color-scheme:dark){{{rules}}}"


def _replacements() -> Mapping[str, str]:
    """Colours of the light theme that figures use, each with the one that replaces it in the dark."""
    pairs = [(getattr(LIGHT, name), getattr(DARK, name)) for name in ("paper", "ink", "quiet", "line")]
    for name in ("colours", "order", "heat"):
        pairs += zip(getattr(LIGHT, name), getattr(DARK, name), strict=True)
    return dict([*pairs, (PALE, PALE_ON_DARK)])


def _variables(theme: Theme) -> dict[str, str]:
    """Names of a page's colours, as its CSS uses them."""
    names = ("paper", "ink", "quiet", "line", "card", "good", "bad", "best")
    series = {f"c{number}": colour for number, colour in enumerate(theme.colours)}
    return {name: getattr(theme, name) for name in names} | {"shade": theme.colours[0], **series}
