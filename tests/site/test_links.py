"""Links of all documents lead to files and headings that are there, in the repository and on the site."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from markdown_it import MarkdownIt
from tools.site.pages import (
    ATTRIBUTE,
    DEFINITION,
    IMAGE,
    LINK,
    ROOT,
    BrokenLink,
    Staging,
    code_ranges,
    documents,
    with_colours,
)

PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *documents())}


@cache
def anchors(path: Path) -> frozenset[str]:
    """Anchors of a page's headings, as the repository's viewer and the site make them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
    found: list[str] = []
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            text = "".join(each.content for each in inline.children or () if each.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
            found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return frozenset(found)


def links(text: str) -> list[str]:
    """Targets of links and images, in order; not those within code."""
    code = code_ranges(text)
    matches = [match for pattern in (LINK, DEFINITION, ATTRIBUTE) for match in pattern.finditer(text)]
    return [match["target"] for match in matches if not any(begin <= match.start() < end for begin, end in code)]


def faults(path: Path, text: str) -> list[str]:
    """What is wrong with the links of a page."""
    wrong = []
    for target in links(text):
        parts = urlsplit(target)
        if parts.scheme:
            good = parts.scheme in ("https", "mailto") and (parts.scheme == "mailto" or "." in parts.netloc)
            wrong += [] if good and not re.search(r"[\s<>`]|[.,;]$", target) else [f"{target}: no address"]
            continue
        file = path if not parts.path else (path.parent / parts.path)
        if not file.exists() or not file.resolve().is_relative_to(ROOT):
            wrong.append(f"{target}: no such file")
        elif parts.fragment and file.suffix == ".md" and parts.fragment not in anchors(file.resolve()):
            wrong.append(f"{target}: no such heading; there are {', '.join(sorted(anchors(file.resolve())))}")
    return wrong


@pytest.mark.parametrize("page", list(PAGES))
def test_links_lead_to_what_is_there(page: str) -> None:
    assert faults(PAGES[page], PAGES[page].read_text(encoding="utf-8")) == []


def test_faults_of_links_are_found() -> None:
    page = ROOT / "docs" / "data.md"
    text = "[a](none.md) [b](data.md#none) [c](http://x.org) [d](https://nowhere) `[e](none.md)`\n\n    [f](none.md)\n"
    text += "\n[g]: no.md\n"
    found = [fault.partition(":")[0] if "http" not in fault else fault for fault in faults(page, text)]
    assert found == [
        "none.md",
        "data.md#none",
        "http://x.org: no address",
        "https://nowhere: no address",
        "no.md",
    ]


def test_links_to_what_is_no_page_lead_to_a_page_that_shows_it(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    text = (
        "[a](../src/lehr/rng.py) [b](techniques/README.md#the-loss) [c](../README.md) "
        "[d](../CONTRIBUTING.md#conventions) ![e](rooms.svg) [f](https://example.org) `[g](../LICENSE)` "
        "[h](../examples/serve/README.md)\n"
    )
    assert staging.on_site(ROOT / "docs" / "data.md", text) == (
        "[a](source/src/lehr/rng.py.md) [b](techniques/index.md#the-loss) [c](index.md) "
        "[d](contributing.md#conventions) ![e](rooms.svg#both) [f](https://example.org) `[g](../LICENSE)` "
        "[h](examples/serve.md)\n"
    )
    assert staging.files == {ROOT / "src" / "lehr" / "rng.py"} and (tmp_path / "rooms.svg").is_file()
    assert staging.on_site(ROOT / "CONTRIBUTING.md", "[a](docs/data.md#x)") == "[a](data.md#x)"
    with pytest.raises(BrokenLink, match=r"docs/data\.md: links to none\.md"):
        staging.on_site(ROOT / "docs" / "data.md", "[a](none.md)")


def test_images_with_a_dark_variant_follow_the_theme(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    picture = (
        '<picture>\n<source media="(prefers-color-scheme: dark)" srcset="images/report-dark.png">\n'
        '<img alt="a page" src="images/report-light.png">\n</picture>\n'
    )
    for text in (picture, "![a page](images/report-light.png)\n"):
        page = staging.on_site(ROOT / "docs" / "data.md", text)
        assert "images/report-light.png#only-light" in page and "images/report-dark.png#only-dark" in page
    assert {each.name for each in (tmp_path / "images").iterdir()} == {"report-light.png", "report-dark.png"}


def test_figures_with_the_colours_of_both_themes_get_no_frame(tmp_path: Path) -> None:
    document = tmp_path / "docs" / "page.md"
    document.parent.mkdir()
    style = "<style>@media (prefers-color-scheme: dark) { text { fill: white } }</style>"
    (document.parent / "a.svg").write_text(f"<svg>{style}</svg>")
    (document.parent / "b.svg").write_text("<svg></svg>")
    images = [IMAGE.search(f"![x]({name})") for name in ("a.svg", "b.svg", "https://example.org/c.svg")]
    found = [with_colours(document, image) for image in images if image]
    assert found == ["![x](a.svg#both)", "![x](b.svg)", "![x](https://example.org/c.svg)"]
