"""Writes what the pages of techniques say of options: `python docs/techniques/index.py`, or `make docs-index`.

That is the tables of the index, below the mark in README.md, and the table of its options at the end of each page's
"Switch". They are made from what the techniques and the options say of themselves; all else is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

from lehr.options import GROUPS, option_names
from lehr.options.wording import default_of, help_of, shell_name, values_of
from lehr.technique import Section, Technique
from lehr.techniques.catalog import own_techniques

HERE = Path(__file__).parent
INDEX = HERE / "README.md"
MARK = "<!-- Below here everything is written by `make docs-index`. -->\n"
BEGIN, END = "<!-- options: written by `make docs-index` -->\n", "<!-- end of options -->\n"


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
    title = page_of(technique).read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    options = [shell_name(option) for option in technique.options]
    switches = ", ".join(f"`{each.name}`{'' if each.in_all else ' (by name only)'}" for each in technique.switches)
    files = [module.removeprefix("lehr.").replace(".", "/") + ".py", *technique.code]
    return f"| [{title}]({technique.page}.md) | {_quoted(options)} | {switches} | {_quoted(files)} |\n"


def page_of(technique: Technique) -> Path:
    """The file of a technique's page."""
    page = HERE / f"{technique.page}.md"
    if not page.is_file():
        raise SystemExit(f"{page} is missing: write the page of the technique '{technique.name}' first.")
    return page


def with_options(text: str, technique: Technique) -> str:
    """A page with the table of its options as it should be: where it is, else at the end of "Switch".

    Args:
        text: the page as it is.
        technique: whose page it is.
    """
    text = re.sub(rf"\n{re.escape(BEGIN)}.*?{re.escape(END)}", "", text, flags=re.DOTALL)
    found = re.search(r"^## Switch\n.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise SystemExit(f"{page_of(technique)}: has no '## Switch'.")
    switch = found[0].rstrip("\n") + f"\n\n{BEGIN}{option_table(technique.options)}{END}\n"
    return (text[: found.start()] + switch + text[found.end() :]).rstrip("\n") + "\n"


def option_table(names: tuple[str, ...]) -> str:
    """A table of options: name, default, values, help."""
    fields = [(name, GROUPS[option_names()[name]].model_fields[name]) for name in names]
    rows = [
        f"| {_quoted([shell_name(name)])} | {_cell(default_of(field))} | {_cell(values_of(field))} "
        f"| {_cell(help_of(field.description))} |\n"
        for name, field in fields
    ]
    return "| option | default | values | meaning |\n|---|---|---|---|\n" + "".join(rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _quoted(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def main() -> None:
    """Writes the tables of all pages and of the index."""
    for technique in own_techniques():
        page = page_of(technique)
        page.write_text(with_options(page.read_text(encoding="utf-8"), technique), encoding="utf-8")
    INDEX.write_text(with_tables(INDEX.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
