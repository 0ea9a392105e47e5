"""The site has every document, in the form that its generator reads, and the navigation names each page."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tools.site import commands
from tools.site.build import KEYWORDS, as_toml, stage
from tools.site.markdown import for_site
from tools.site.navigation import configuration, navigation, pages_of, techniques
from tools.site.pages import ROOT, Staging

import lehr
from lehr.options import option_names


def test_the_navigation_names_every_page_once(tmp_path: Path) -> None:
    assert stage(tmp_path) == [], "a page that is new in docs/ goes into nav of tools/site/zensical.toml"
    project = tomllib.loads((tmp_path / "zensical.toml").read_text(encoding="utf-8"))["project"]
    named = list(pages_of(project["nav"]))
    assert len(named) == len(set(named)) and "techniques/ema.md" in named and "commands/data-check.md" in named
    assert project["theme"] == configuration()["project"]["theme"]


def test_a_page_that_the_navigation_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.site.build.navigation", lambda _: [{"A": [{"B": "none.md"}]}, {"C": "data.md"}])
    some = ("index.md", "data.md", KEYWORDS)
    monkeypatch.setattr(Staging, "fill", lambda staging: [staging.write(name, "# A page\n") for name in some])
    found = stage(tmp_path)
    assert found[0] == "tools/site/zensical.toml: nav names none.md, which is not there"
    assert "tools/site/zensical.toml: nav lacks index.md" in found and not any(
        "data.md" in each.split() for each in found
    )


def test_techniques_stand_in_their_sections() -> None:
    titles = [title for section in techniques() for title in section]
    assert titles[0] == "The course of a run" and len(titles) == len(set(titles)) > 4
    listed = set(pages_of(techniques()))
    there = {f"techniques/{path.name}" for path in (ROOT / "docs" / "techniques").glob("*.md")}
    assert there - listed == {"techniques/README.md", "techniques/hyperparameter-files.md"}


def test_pages_of_commands_list_their_options() -> None:
    pages = commands.pages()
    assert "| [`lehr train`](train.md) | Train a detector" in pages[commands.INDEX]
    train = pages["commands/train.md"]
    assert "| `--close-mosaic N` | " in train and "## Augmentation" in train and "\n$ lehr train data.yaml" in train
    assert train.index("## Basics") < train.index("## Learning rates")
    assert (
        "[option of a run](train.md)" in pages["commands/evolve.md"] and "--mosaic" not in pages["commands/evolve.md"]
    )
    assert "`--ratios " in pages["commands/data-split.md"]
    named = {name for entry in navigation(["commands/data-split.md"]) for name in pages_of([entry])}
    assert "commands/data-split.md" in named


def test_keywords_are_listed_by_group() -> None:
    text = commands.keywords()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(option_names())
    assert "## Augmentation\n" in text and "| `mosaic` | 1 | 0 to 1 |" in text


def test_lists_are_indented_as_the_generator_wants_them() -> None:
    text = "So:\n- a\n  - b\n    more\n- c\n\n1. d\n\n   ```sh\n   e\n     f\n   ```\n10. g\n\nend\n"
    assert for_site(text) == (
        "So:\n\n-   a\n    -   b\n        more\n-   c\n\n1.  d\n\n    ```sh\n    e\n      f\n    ```\n10. g\n\nend\n"
    )


def test_comments_go_and_tables_keep_their_pipes() -> None:
    text = "<!-- written by x -->\n| a |\n|---|\n| `b\\|c` |\n<!-- end -->\n\n```\n<!-- kept -->\n- a\n```\n"
    assert for_site(text) == "\n| a |\n|---|\n| <code>b&#124;c</code> |\n\n\n```\n<!-- kept -->\n- a\n```\n"


def test_configuration_is_written_as_it_is_read() -> None:
    value = {"a b": [True, 1, 'c\n"d"'], "e": {"f": []}}
    assert tomllib.loads(f"x = {as_toml(value)}") == {"x": value}


def test_the_reference_shows_every_public_name() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    shown = set(re.findall(r"^::: lehr\.(\w+)$", pages, re.MULTILINE))
    assert set(lehr.__all__) - {"__version__"} == shown
