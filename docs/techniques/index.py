"""Writes what the pages of techniques say of options: `python docs/techniques/index.py`, or `make docs-index`.

That is the tables of the index, below the mark in README.md, and the table of its options at the end of each page's
"Switch". They are made from what the techniques and the options say of themselves; all else is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from lehr.options import GROUPS, option_names
from lehr.technique import Section, Technique
from lehr.techniques.catalog import own_techniques

HERE = Path(__file__).parent
INDEX = HERE / "README.md"
MARK = "<!-- Below here everything is written by `make docs-index`. -->\n"
BEGIN, END = "<!-- options: written by `make docs-index` -->\n", "<!-- end of options -->\n"
UNSET = r"\(unset: (.*?)\)(?=\.?$)"
"""What the help of an option without a value says of that."""
BOUNDS = {Ge: ("at least", "ge"), Gt: ("above", "gt"), Le: ("at most", "le"), Lt: ("below", "lt")}


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
        f"| {_quoted([shell_name(name)])} | {_cell(default_of(field))} | {_cell(values_of(field))} | {_help(field)} |\n"
        for name, field in fields
    ]
    return "| option | default | values | meaning |\n|---|---|---|---|\n" + "".join(rows)


def default_of(field: FieldInfo) -> str:
    """An option's default in words: its value; of one that is unset, what its help says of that."""
    value = field.default
    if value is None:
        unset = re.search(UNSET, _description(field))
        return unset[1] if unset else "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def values_of(field: FieldInfo) -> str:
    """An option's values in words: the choices, or the kind and its bounds."""
    kinds = list(_members(field.annotation))
    choices = [f"`{choice}`" for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if bool in kinds and not choices:
        return "on, off"
    number = "a count" if int in kinds and float not in kinds else "a number" if float in kinds else ""
    bounds = _bounds(field)
    of_kind = [number] if number and not bounds else bounds
    return ", ".join([*of_kind, *choices]) or ("a file" if Path in kinds else "text")


def _bounds(field: FieldInfo) -> list[str]:
    """Bounds of an option in words; those that belong to it, both, as a range."""
    bounds = {
        type(each): f"{getattr(each, BOUNDS[type(each)][1]):g}" for each in field.metadata if type(each) in BOUNDS
    }
    if bounds.keys() == {Ge, Le}:
        return [f"{bounds[Ge]} to {bounds[Le]}"]
    return [f"{BOUNDS[kind][0]} {bound}" for kind, bound in bounds.items()]


def _help(field: FieldInfo) -> str:
    """An option's help, without what it says of the default."""
    return _cell(re.sub(rf" {UNSET}", "", _description(field)))


def _description(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def shell_name(option: str) -> str:
    """An option as the shell takes it."""
    return f"--{option.replace('_', '-')}"


def _members(annotation: Any) -> Iterator[Any]:
    """The members of a union, or the one type."""
    if get_origin(annotation) is Literal or not get_args(annotation):
        yield annotation
    else:
        for each in get_args(annotation):
            yield from _members(each)


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
