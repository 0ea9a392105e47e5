"""The built site in Chromium: nothing is fetched, nothing is wider than the window, and the search finds pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chromium import chromium, opened

SITE = Path(__file__).parents[2] / "site"
PAGES = ("index", "tiles", "techniques/ema", "commands/train", "reference/detector", "contributing")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not (SITE / "index.html").is_file():
        (pytest.fail if os.environ.get("LEHR_NEED_CHROMIUM") == "1" else pytest.skip)("build the site first: make docs")
    with chromium() as started:
        yield started


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fetch_nothing_and_fit_the_window(browser: Any, width: int) -> None:
    for page in PAGES:
        with opened(browser, SITE / f"{page}.html", width, calm=False) as found:
            assert found.page.evaluate("document.documentElement.scrollWidth") <= width, page
            assert found.complaints == [], page
            assert all(each.startswith(("file:", "blob:")) for each in found.requests), page


def test_the_theme_follows_the_system(browser: Any) -> None:
    colours = []
    for scheme in ("light", "dark"):
        with opened(browser, SITE / "techniques/ema.html", calm=False, color_scheme=scheme) as found:
            colours.append(found.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] == "rgb(255, 255, 255)" and colours[1] != colours[0]


def test_the_search_works_from_the_disk(browser: Any) -> None:
    with opened(browser, SITE / "index.html", calm=False) as found:
        found.page.click(".md-search__button")
        found.page.locator("input[aria-label=Search]").press_sequentially("warmup", delay=50)
        found.page.wait_for_selector("a[href*='techniques/warmup']")
        assert found.complaints == []
