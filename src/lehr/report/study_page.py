"""One self-contained HTML page about a study: no file beside it, nothing from the network, readable on paper too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from lehr.report.pieces import Command, Figure, Table
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.plain_text import printable


@dataclass(frozen=True, slots=True)
class StudyPage:
    """Content of a page, from top to bottom.

    Attributes:
        title: the study's name.
        kind: what kind of study, e.g. `lehr evolve`.
        answers: what came out, a plain sentence each.
        summary: labels and values.
        notes: what to keep in mind, a paragraph each.
        sections: tables, pictures and commands.
    """

    title: str
    kind: str
    answers: Sequence[str]
    summary: Sequence[tuple[str, str]]
    notes: Sequence[str]
    sections: Sequence[Table | Figure | Command]


def render_page(page: StudyPage) -> str:
    """The page as HTML.

    Raises:
        InputError: a picture cannot be read.
    """
    loader = PackageLoader("lehr.report")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_controls,
    )
    return environment.get_template("study.html").render(page=page)


def write_page(page: StudyPage, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        page: what it says.
        path: the HTML file.

    Raises:
        InputError: a picture cannot be read, or the file cannot be written.
    """
    text = render_page(page)
    with atomic_file(path, "Free the disk or choose another folder.") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _without_controls(value: object) -> object:
    """Return a text with its control characters written as escapes; anything else as it is."""
    return printable(value) if type(value) is str else value
