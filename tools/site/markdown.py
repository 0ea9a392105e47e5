"""CommonMark, as the repository's viewer reads it, in the form that Python-Markdown reads alike."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator

from markdown_it import MarkdownIt

COMMENT = re.compile(r"^<!--.*?-->[ \t]*$\n?", re.DOTALL | re.MULTILINE)
OPTIONS = {
    "<!-- options: written by `make docs-index` -->": '<div class="lehr-options" markdown="1">\n',
    "<!-- end of options -->": "\n</div>",
}
"""Comments around tables of options, and the tags that take their place."""
INDENT = 4
"""Columns by which Python-Markdown wants the content of a list's item indented."""


def for_site(text: str) -> str:
    """Rewrite a document: lists indented by four columns, blank lines before blocks, no comments."""
    for comment, tag in OPTIONS.items():
        text = text.replace(comment, tag)
    return _escaped_pipes(_lists(outside_blocks(text, lambda part: COMMENT.sub("\n", part))))


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield where blocks of code begin and end, as characters of the text."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for token in MarkdownIt("commonmark").parse(text):
        if token.type in ("fence", "code_block") and token.map:
            yield starts[token.map[0]], starts[token.map[1]]


def outside_blocks(text: str, change: Callable[[str], str]) -> str:
    """Apply a change to all of a text but its blocks of code."""
    parts, position = [], 0
    for begin, end in blocks(text):
        parts += [change(text[position:begin]), text[begin:end]]
        position = end
    return "".join([*parts, change(text[position:])])


def _lists(text: str) -> str:
    """Indent the content of items by four columns per level, and part lists and tables from the text above them."""
    lines = text.split("\n")
    depth, columns = [0] * len(lines), [0] * len(lines)
    first: dict[int, int] = {}
    blank_before: set[int] = set()
    level = 0
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        level += {"list_item_open": 1, "list_item_close": -1}.get(token.type, 0)
        if token.map is None:
            continue
        begin, end = token.map
        if token.type in ("bullet_list_open", "ordered_list_open", "table_open") and level == 0:
            blank_before.add(begin)
        if token.type == "list_item_open":
            marker = re.match(r"\s*(?:[-*+]|\d+[.)])\s+", lines[begin])
            width = len(marker[0]) if marker else 2
            first[begin] = width
            for number in range(begin, end):
                depth[number], columns[number] = level, width
    rewritten = []
    for number, line in enumerate(lines):
        if number in blank_before and rewritten and rewritten[-1].strip():
            rewritten.append("")
        if not depth[number] or not line.strip():
            rewritten.append(line)
        elif number in first:
            marker, content = line[: first[number]].strip(), line[first[number] :]
            rewritten.append(" " * INDENT * (depth[number] - 1) + marker.ljust(INDENT) + content)
        else:
            own = min(columns[number], len(line) - len(line.lstrip()))
            rewritten.append(" " * INDENT * depth[number] + line[own:])
    return "\n".join(rewritten)


def _escaped_pipes(text: str) -> str:
    r"""Write code of tables with an escaped pipe, `a\|b`, as HTML: Python-Markdown would show the backslash."""

    def as_html(match: re.Match[str]) -> str:
        return f"<code>{html.escape(match[1].replace(chr(92) + '|', '|')).replace('|', '&#124;')}</code>"

    return re.sub(r"^\|.*$", lambda row: re.sub(r"`([^`]*\\\|[^`]*)`", as_html, row[0]), text, flags=re.MULTILINE)
