"""The study of partner windows: its table of the recorded runs, between the markers of a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import partner_window


def record(window: str, seed: int, best: float, **more: Any) -> dict[str, Any]:
    figures = {"map50": best + 0.2, "map": best, "last": best - 0.1}
    return {"target": "bccd", "window": window, "seed": seed, "epochs": 24, "imgsz": 192, **figures, **more}


def test_a_row_has_the_seeds_of_a_window(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"before\n{partner_window.BEGIN}old\n{partner_window.END} after\n")
    records = [record("all", 0, 0.5), record("64", 0, 0.4), record("all", 1, 0.6), record("all", 0, 0.1, epochs=2)]
    partner_window.write_table(document, records)
    lines = document.read_text().splitlines()
    assert lines[0] == "before" and lines[-1].endswith(" after") and len(lines) == 8
    assert lines[4] == "| bccd | 64 | 192 | 24 | 1 | 0.600 | 0.400 | 0.300 |"
    assert "| all | 192 | 2 | 1 |" in lines[5]
    assert "| all | 192 | 24 | 2 | 0.750 (0.700 to 0.800) | 0.550 (0.500 to 0.600) |" in lines[6]
