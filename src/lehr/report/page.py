"""One self-contained HTML page about a run or a study: no other file, nothing from the network, paper too.

Scripts are written into the page whole, and its content security policy names them by their SHA-256: no other script
runs, and nothing is fetched. Text reaches the page through autoescaping, data of charts as JSON without `<`, `>`, `&`.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lehr.plots.style import page_style
from lehr.report.chart_data import chart_data
from lehr.report.numbers import NOTHING
from lehr.report.pieces import Chart, Gallery, Matrix, Section
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.plain_text import as_json, printable

SCRIPTS = ("tables.js",)
GALLERY_SCRIPTS = ("galleries.js",)
CHART_SCRIPTS = ("uplot/uPlot.iife.min.js", "charts.js")
LIVE_SCRIPTS = ("live.js",)
MAX_COLUMNS = 3
"""Columns of a table that a telephone shows side by side; wider ones become a card per row there."""
IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""Characters of JSON that would end a script, or begin a comment in one."""


@dataclass(frozen=True, slots=True)
class Page:
    """Content of a page, from top to bottom.

    Attributes:
        title: the name of the run or study.
        kind: what it is, e.g. `lehr evolve`.
        answers: what came out, a plain sentence each.
        summary: labels and values.
        notes: what to keep in mind, a paragraph each.
        sections: the rest, each with a link from the top.
        live: whether the page asks the server that it comes from for news, and loads again when there are some.
    """

    title: str
    kind: str
    answers: Sequence[str]
    summary: Sequence[tuple[str, str]]
    notes: Sequence[str]
    sections: Sequence[Section]
    live: bool = False


def render_page(page: Page) -> str:
    """Return the page as HTML.

    Raises:
        InputError: an image cannot be read.
    """
    pieces = [piece for section in page.sections for piece in section.pieces]
    charts = [piece for piece in pieces if isinstance(piece, Chart)]
    galleries = any(isinstance(piece, Gallery) and piece.thumbnails for piece in pieces)
    wanted = (SCRIPTS, True), (GALLERY_SCRIPTS, galleries), (CHART_SCRIPTS, bool(charts)), (LIVE_SCRIPTS, page.live)
    scripts = [_source(name) for names, needed in wanted if needed for name in names]
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            policy=_policy(scripts, page.live),
            scripts=[Markup(script) for script in scripts],  # noqa: S704 (the package's own files)
            style=Markup(page_style() + _source("page.css") + (_source("uplot/uPlot.min.css") if charts else "")),  # noqa: S704
            licence=Markup(_source("uplot/LICENSE")) if charts else "",  # noqa: S704
            galleries=galleries,
            charts=json_for_script([chart_data(chart) for chart in charts]) if charts else "",
            numbers={id(chart): number for number, chart in enumerate(charts)},
        )
    )


def write_page(page: Page, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        page: what it says.
        path: the HTML file.

    Raises:
        InputError: an image cannot be read, or the file cannot be written.
    """
    text = render_page(page)
    with atomic_file(path, "Free the disk or choose another folder.") as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_for_script(content: Any) -> Markup:
    """Return JSON that may stand within `<script>`: no character of it ends the script or begins a tag."""
    text = as_json(content)
    for character, escaped in IN_SCRIPT.items():
        text = text.replace(character, escaped)
    return Markup(text)  # noqa: S704 (nothing of it is a tag)


def shades(matrix: Matrix) -> list[list[float | None]]:
    """Return how dark each cell of a matrix is, 0 to 1 at its largest value; None if there is no value."""
    values = [[None if v is None or not math.isfinite(v) else max(v, 0.0) for v in row] for row in matrix.values]
    top = max((v for row in values for v in row if v is not None), default=0.0)
    return [[None if v is None else round(v / top, 3) if top else 0.0 for v in row] for row in values]


def cell_text(matrix: Matrix, row: int, column: int) -> str:
    """Return what a cell of a matrix says."""
    if matrix.texts:
        return matrix.texts[row][column]
    value = matrix.values[row][column]
    return "" if value is None or not math.isfinite(value) else f"{value:.3g}"


def filters(gallery: Gallery) -> dict[str, dict[str, int]]:
    """Return the tags of a gallery and how many images have each, by the group before their colon."""
    found: dict[str, dict[str, int]] = {}
    for thumbnail in gallery.thumbnails:
        for tag in dict.fromkeys(thumbnail.tags):
            group, colon, _ = tag.partition(": ")
            tags = found.setdefault(group if colon else "tag", {})
            tags[tag] = tags.get(tag, 0) + 1
    return {group: dict(sorted(tags.items())) for group, tags in found.items()}


def jpeg_uri(jpeg: bytes) -> str:
    """Return an image's bytes as a data URI."""
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lehr.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_controls,
    )
    environment.globals.update(
        id=id,
        max_columns=MAX_COLUMNS,
        nothing=NOTHING,
        shades=shades,
        cell_text=cell_text,
        filters=filters,
        jpeg_uri=jpeg_uri,
        as_json=as_json,
    )
    return environment


@cache
def _source(name: str) -> str:
    """Return the text of a file of the package's templates."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _policy(scripts: Sequence[str], live: bool) -> str:
    """Return the content security policy: these scripts, images within the page, nothing of the network."""
    digests = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    asks = "; connect-src 'self'" if live else ""
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {digests}{asks}; base-uri 'none'; "
        "form-action 'none'"
    )


def _without_controls(value: object) -> object:
    """Return a text with its control characters written as escapes; anything else unchanged."""
    return printable(value) if type(value) is str else value
