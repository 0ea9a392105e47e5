"""Draw the rooms of the package as docs/rooms.svg, layer by layer, from the import contracts of pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from lehr.plots.style import LIGHT, dark_style

ROOT = Path(__file__).parents[1]
MARGIN = 16
BOX, GAP = 128, 8
"""Width of a room and the gap between two, pixels."""
HEIGHT, ROW = 28, 40
"""Height of a room and of its layer, pixels."""
INK, EDGE, FOLDER, FILE = LIGHT.ink, LIGHT.colours[0], LIGHT.heat[1], LIGHT.paper


def layers() -> list[list[str]]:
    """The rooms of each layer, the uppermost first; a room imports only from layers below its own."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    rows = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in row.split("|")] for row in rows]


def drawn(rows: list[list[str]]) -> str:
    """An SVG with a row of boxes per layer; folders are filled, single files are not."""
    height = 2 * MARGIN + ROW * (len(rows) - 1) + HEIGHT
    width = 2 * MARGIN + max(map(len, rows)) * (BOX + GAP) - GAP
    middle = width / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{dark_style()}</style>",
        f'<rect width="{width}" height="{height}" style="fill: {LIGHT.paper}"/>',
        f'<g font-family="monospace" font-size="13" text-anchor="middle" style="fill: {INK}">',
    ]
    for line, rooms in enumerate(rows):
        top = MARGIN + ROW * line
        first = middle - (len(rooms) * (BOX + GAP) - GAP) / 2
        for column, room in enumerate(rooms):
            left = first + column * (BOX + GAP)
            fill = FOLDER if (ROOT / "src" / "lehr" / room).is_dir() else FILE
            parts.append(
                f'<rect x="{left:g}" y="{top}" width="{BOX}" height="{HEIGHT}" rx="4" '
                f'style="fill: {fill}; stroke: {EDGE}"/>'
                f'<text x="{left + BOX / 2:g}" y="{top + HEIGHT / 2 + 4:g}">{room}</text>'
            )
        if line + 1 < len(rows):
            tip = top + ROW - 1
            parts.append(
                f'<path d="M{middle:g} {top + HEIGHT}V{tip}M{middle - 3:g} {tip - 4}L{middle:g} {tip}L{middle + 3:g} '
                f'{tip - 4}" style="fill: none; stroke: {INK}"/>'
            )
    return "\n".join([*parts, "</g>", "</svg>", ""])


if __name__ == "__main__":
    (ROOT / "docs" / "rooms.svg").write_text(drawn(layers()), encoding="utf-8")
