"""Stage the pages and have Zensical build them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tools.site import commands
from tools.site.navigation import configuration, navigation, pages_of
from tools.site.pages import ROOT, BrokenLink, Staging, pages_in

WORK, SITE = ROOT / "build" / "site", ROOT / "site"
KEYWORDS = "reference/options.md"
"""The page that ends with the keywords of `Detector.train`."""
ASSETS = Path(__file__).parent / "assets"
WARNING = re.compile(r"^(WARNING|ERROR)\b|\bwarning:", re.IGNORECASE | re.MULTILINE)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def build() -> int:
    """Build the site and return the exit code: 0 where nothing is wrong."""
    began = time.monotonic()
    shutil.rmtree(WORK, ignore_errors=True)
    try:
        faults = stage(WORK)
    except BrokenLink as error:
        faults = [str(error)]
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 1
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"],
        cwd=WORK,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = COLOURS.sub("", done.stdout + done.stderr)
    if done.returncode or WARNING.search(said):
        print(said.partition("Traceback")[0].strip() or said, file=sys.stderr)
        return 1
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.move(WORK / "html", SITE)
    print(f"site/index.html: {len([*SITE.rglob('*.html')])} pages in {time.monotonic() - began:.0f} s")
    return 0


def stage(folder: Path) -> list[str]:
    """Write everything that Zensical reads, and return what is wrong with the navigation.

    Args:
        folder: gets the configuration, and the pages in `docs`.

    Raises:
        BrokenLink: a document links to what is not there.
    """
    staging = Staging(folder / "docs")
    staging.fill()
    written = commands.pages()
    for place, text in written.items():
        staging.write(place, text)
    with (folder / "docs" / KEYWORDS).open("a", encoding="utf-8") as page:
        page.write("\n" + commands.keywords())
    shutil.copytree(ASSETS, folder / "docs" / "assets", dirs_exist_ok=True)
    whole = navigation([place for place in written if place != commands.INDEX])
    named, there = set(pages_of(whole)), set(pages_in(folder / "docs"))
    settings = configuration()["project"] | {"docs_dir": "docs", "site_dir": "html", "nav": whole}
    handler = settings["plugins"]["mkdocstrings"]["handlers"]["python"]
    handler["paths"] = [str(ROOT / path) for path in handler["paths"]]
    (folder / "zensical.toml").write_text(f"project = {as_toml(settings)}\n", encoding="utf-8")
    return [
        *(f"tools/site/zensical.toml: nav names {page}, which is not there" for page in sorted(named - there)),
        *(f"tools/site/zensical.toml: nav lacks {page}" for page in sorted(there - named)),
    ]


def as_toml(value: Any) -> str:
    """Write a value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
