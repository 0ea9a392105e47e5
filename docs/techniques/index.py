"""Writes the tables of the index of techniques: `python docs/techniques/index.py`, or `make docs-index`.

The tables are made from what the techniques say of themselves; the text above them is written by hand.
"""

from __future__ import annotations

from pathlib import Path

from lehr.technique import Section, Technique
from lehr.techniques.catalog import own_techniques

HERE = Path(__file__).parent
INDEX = HERE / "README.md"
MARK = "<!-- Below here everything is written by `make docs-index`. -->\n"


def with_tables(text: str) -> str:
    """The index with its tables as they should be.

    Args:
        text: the index as it is, with the mark.
    """
    above, mark, _ = text.partition(MARK)
    if not mark:
        raise SystemExit(f"{INDEX}: the line '{MARK.strip()}' is missing; put it where the tables begin.")
    return above + mark + "".join(_table(section) for section in Section)


def _table(section: Section) -> str:
    rows = [_row(technique, module) for technique, module in own_techniques().items() if technique.section is section]
    head = "| page | options | in an ablation | code in `src/lehr` |\n|---|---|---|---|\n"
    return f"\n## {section}\n\n{head}{''.join(rows)}"


def _row(technique: Technique, module: str) -> str:
    page = HERE / f"{technique.page}.md"
    if not page.is_file():
        raise SystemExit(f"{page} is missing: write the page of the technique '{technique.name}' first.")
    title = page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    options = [f"--{option.replace('_', '-')}" for option in technique.options]
    switches = ", ".join(f"`{each.name}`{'' if each.in_all else ' (by name only)'}" for each in technique.switches)
    files = [module.removeprefix("lehr.").replace(".", "/") + ".py", *technique.code]
    return f"| [{title}]({technique.page}.md) | {_quoted(options)} | {switches} | {_quoted(files)} |\n"


def _quoted(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    INDEX.write_text(with_tables(INDEX.read_text(encoding="utf-8")), encoding="utf-8")
