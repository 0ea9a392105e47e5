"""The navigation: that of zensical.toml, with the pages that are listed elsewhere in their places."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.site.pages import ROOT

CONFIG = Path(__file__).parent / "zensical.toml"
TECHNIQUES, COMMANDS = "techniques/*", "commands/*"
"""Entries in whose place stand all techniques, grouped, and all commands."""
Entry = dict[str, Any]


def configuration() -> dict[str, Any]:
    """Return the configuration of the site as it is written."""
    return tomllib.loads(CONFIG.read_text(encoding="utf-8"))


def navigation(commands: list[str]) -> list[Entry]:
    """Return the whole navigation.

    Args:
        commands: pages of the commands.
    """
    return list(_expanded(configuration()["project"]["nav"], commands))


def _expanded(entries: list[Any], commands: list[str]) -> Iterator[Any]:
    for entry in entries:
        if entry == TECHNIQUES:
            yield from techniques()
        elif entry == COMMANDS:
            yield from ({_command(each): each} for each in commands)
        elif isinstance(entry, dict):
            for title, value in entry.items():
                yield {title: list(_expanded(value, commands)) if isinstance(value, list) else value}
        else:
            yield entry


def _command(page: str) -> str:
    return "lehr " + Path(page).stem.replace("-", " ")


def techniques() -> list[Entry]:
    """Return the pages of techniques by section, as the index of docs/techniques lists them."""
    text = (ROOT / "docs" / "techniques" / "README.md").read_text(encoding="utf-8")
    sections: list[Entry] = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        found = re.findall(r"^\| \[([^\]]+)\]\(([\w-]+\.md)\)", body, re.MULTILINE)
        sections.append({title.strip(): [{name: f"techniques/{page}"} for name, page in found]})
    return sections


def pages_of(entries: list[Any]) -> Iterator[str]:
    """Yield the pages that a navigation names."""
    for entry in entries:
        values = entry.values() if isinstance(entry, dict) else (entry,)
        for value in values:
            if isinstance(value, list):
                yield from pages_of(value)
            elif "://" not in value:
                yield value
