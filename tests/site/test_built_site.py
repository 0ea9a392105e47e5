"""The built site in Chromium: nothing is fetched, nothing is wider than the window, and the search finds pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chromium import chromium, opened

SITE = Path(__file__).parents[2] / "site"
PAGES = ("index", pytest.param("techniques/ema", marks=pytest.mark.slow), "commands/train", "reference/detector")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not (SITE / "index.html").is_file():
        (pytest.fail if os.environ.get("LEHR_NEED_CHROMIUM") == "1" else pytest.skip)("build the site first: make docs")
    with chromium() as started:
        yield started


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fetches_nothing_fits_the_window_and_follows_the_theme(browser: Any, page: str) -> None:
    with opened(browser, SITE / f"{page}.html", 1280, calm=False, color_scheme="light") as found:
        for width in (1280, 390):
            found.page.set_viewport_size({"width": width, "height": 900})
            assert found.page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
        colour = "getComputedStyle(document.body).backgroundColor"
        assert found.page.evaluate(colour) == "rgb(255, 255, 255)"
        found.page.emulate_media(color_scheme="dark")
        found.page.wait_for_function(f"{colour} !== 'rgb(255, 255, 255)'")
        assert found.complaints == []
        assert all(each.startswith(("file:", "blob:")) for each in found.requests)


def test_the_search_works_from_the_disk(browser: Any) -> None:
    with opened(browser, SITE / "index.html", calm=False) as found:
        found.page.click(".md-search__button")
        found.page.locator("input[aria-label=Search]").press_sequentially("warmup", delay=50)
        found.page.locator("a[href*='techniques/warmup']:visible").first.wait_for()
        assert found.complaints == []
