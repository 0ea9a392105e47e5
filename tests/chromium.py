"""Pages in a real Chromium without a screen: what it complained of, what it asked the network for, what it shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NEEDED = os.environ.get("LEHR_NEED_CHROMIUM") == "1"
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium; skips the test where it is missing, unless LEHR_NEED_CHROMIUM is 1."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        (pytest.fail if NEEDED else pytest.skip)("Chromium is not installed (Debian: apt-get install chromium)")
    if not NEEDED:
        pytest.importorskip("playwright", reason="playwright is not installed (pip install '.[dev]')")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Opened:
    """A page that is open.

    Attributes:
        page: of playwright.
        complaints: what the console said, and errors of scripts.
        requests: addresses asked for, but for data within the page.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened(
    browser: Any, address: Path | str, width: int = 1200, height: int = 900, *, calm: bool = True, **options: Any
) -> Iterator[Opened]:
    """Open a page; at the end nothing may have been complained of, and nothing asked for but the page itself.

    Args:
        browser: of `chromium`.
        address: the page's file, or its address.
        width: of the window, pixels.
        height: of the window, pixels.
        calm: whether complaints and requests are held to that.
        options: further ones of a context, e.g. color_scheme.
    """
    url = address.absolute().as_uri() if isinstance(address, Path) else address
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    try:
        context.set_default_timeout(10_000)
        found = Opened(context.new_page())
        found.page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("dialog", lambda dialog: (found.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        found.page.on(
            "request", lambda request: found.requests.append(request.url) if request.url[:5] != "data:" else None
        )
        found.page.goto(url)
        yield found
        if calm:
            assert found.complaints == []
            assert {each.partition("#")[0] for each in found.requests} == {url} or not isinstance(address, Path)
    finally:
        context.close()
