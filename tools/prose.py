"""Check the English of pages, docstrings, comments and messages against the rules of tools/prose.toml.

python tools/prose.py               # all that is not exempt
python tools/prose.py PATH ...      # these files and folders, exempt or not

Prints `file:line: words -> what to write instead`, one line per finding, and exits with 1 if there are any.
"""

from __future__ import annotations

import re
import sys
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
RULES = Path(__file__).with_suffix(".toml")
CODE = "¤"
"""Replaces code, names and values inside a sentence."""
QUOTED = r'"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
PYTHON = re.compile(rf"(?P<comment>#[^\n]*)|(?P<prefix>\b[rbfuRBFU]{{1,2}})?(?P<string>{QUOTED})", re.DOTALL)
SCRIPT = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<string>`(?:\\.|[^`\\])*`|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')",
    re.DOTALL,
)
NOT_PROSE = re.compile(
    r"```.*?```|~~~.*?~~~|<!--.*?-->|<(?:script|style)\b.*?</(?:script|style)>|\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}"
    r"|``.*?``|`[^`\n]*(?:\n[^`\n]+)?`|(?<=\])\([^()\s]*(?:\([^()\s]*\))?[^()\s]*\)|https?://\S+|</?[a-zA-Z][^<>]*>",
    re.DOTALL,
)
WORDS = re.compile(r"[A-Za-z]{2,}[,:;]? [a-z]{1,}[,:;]? [a-z]{2,}")
DOUBLED = re.compile(r"(?<!-)\b(?!(?:that|had|side) )([A-Za-z]{2,}) \1\b(?!\.\w)")  # `side` is a dimension of tensors


@dataclass(frozen=True)
class Rule:
    """Words that are not to be used.

    Attributes:
        find: a regular expression, compared without regard to case with whole words.
        say: what to write instead.
        unless: a regular expression; what it matches from the same place is right.
    """

    find: re.Pattern[str]
    say: str
    unless: re.Pattern[str] | None


@dataclass(frozen=True)
class Rules:
    """The contents of tools/prose.toml."""

    rules: tuple[Rule, ...]
    any_of_them: re.Pattern[str]
    openings: re.Pattern[str]
    opening_advice: str
    checked: tuple[str, ...]
    exempt: tuple[str, ...]


@dataclass
class Passage:
    """Text that is read as one: a paragraph, a docstring, adjacent comments, a message.

    Attributes:
        text: the words, with single spaces.
        starts: offset in `text` at which each piece of the source starts.
        lines: line of each of these pieces.
        opens: whether `text` is a docstring, whose first word is checked.
    """

    text: str
    starts: list[int]
    lines: list[int]
    opens: bool = False

    def line(self, offset: int) -> int:
        """Return the source line of an offset in the text."""
        return self.lines[bisect_right(self.starts, offset) - 1]


def read_rules(path: Path = RULES) -> Rules:
    """Read the rules."""
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    rules = tuple(
        Rule(
            re.compile(rule["find"], re.IGNORECASE),
            rule["say"],
            re.compile(rule["unless"], re.IGNORECASE) if "unless" in rule else None,
        )
        for rule in given["rule"]
    )
    joined = "|".join(rule["find"] for rule in given["rule"])
    return Rules(
        rules,
        re.compile(rf"(?<![\w-])(?:{joined})(?![\w-]|'s)", re.IGNORECASE),
        re.compile(rf"(?:{given['openings']['find']})\b"),
        given["openings"]["say"],
        tuple(given["checked"]),
        tuple(given["exempt"]),
    )


def passage(pieces: list[tuple[int, str]], opens: bool = False) -> Passage:
    """Join pieces of source, each with the line that it begins in, into one text."""
    text, starts, lines = "", [], []
    for first, piece in pieces:
        for number, part in enumerate(piece.split("\n")):
            words = " ".join(part.split())
            if words:
                starts.append(len(text))
                lines.append(first + number)
                text += words + " "
    return Passage(text.rstrip(), starts, lines, opens)


def blanked(text: str) -> str:
    """Replace what is not prose (code, addresses, tags) by a sign that keeps the lines where they are."""
    return NOT_PROSE.sub(lambda match: CODE + "\n" * match[0].count("\n"), text)


def paragraphs(text: str) -> Iterator[Passage]:
    """Split a page into paragraphs, list items and rows of tables."""
    pieces: list[tuple[int, str]] = []
    for number, line in enumerate([*blanked(text).split("\n"), ""], 1):
        if (not line.strip() or re.match(r"\s*(?:[-*|#]|\d+\.)", line)) and pieces:
            yield passage(pieces)
            pieces = []
        if line.strip():
            pieces.append((number, line))


def from_source(text: str, tokens: re.Pattern[str]) -> Iterator[Passage]:
    """Find the docstrings, comments and messages of a program.

    Adjacent strings are one message and comments on consecutive lines are one text. A string is a message if it has
    three words in a row.
    """
    kind, end, pieces = "", 0, []
    line, counted = 1, 0
    for match in tokens.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        found, content = _read(text, match)
        between = text[end : match.start()]
        joins = (
            found == kind
            and not between.strip()
            and (found == "string" or (found, between.count("\n")) == ("comment", 1))
        )
        if pieces and not joins:
            yield from _of(kind, pieces)
            pieces = []
        pieces.append((line, content))
        kind, end = found, match.end()
    if pieces:
        yield from _of(kind, pieces)


def _read(text: str, match: re.Match[str]) -> tuple[str, str]:
    """Return the kind and the contents of a comment, docstring or string."""
    if match["comment"]:
        return "comment", match["comment"].lstrip("#/* ")
    content = re.sub(r"\$?\{[^{}]*\}", CODE, match["string"].strip("\"'`").replace("\\n", "  "))
    alone = not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
    if alone and match["string"].startswith('"""'):
        return "docstring", re.sub(r"(?m)^( {4,})\w+: ", rf"\1{CODE}: ", content)  # arguments and attributes have names
    return "string", content


def _of(kind: str, pieces: list[tuple[int, str]]) -> Iterator[Passage]:
    first = pieces[0][0]
    text = "\n".join(
        content + "\n" * max(0, following - line - content.count("\n") - 1)
        for (line, content), (following, _) in zip(pieces, [*pieces[1:], (0, "")], strict=True)
    )
    found = passage([(first, blanked(text))], opens=kind == "docstring")
    if kind != "string" or WORDS.search(found.text):
        yield found


def findings(path: Path, rules: Rules) -> list[tuple[int, str, str]]:
    """Check one file.

    Returns:
        Line, words and advice of each finding.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        passages = from_source(text, PYTHON)
    elif path.suffix == ".js":
        passages = from_source(text, SCRIPT)
    else:
        passages = paragraphs(text)
    found = []
    for part in passages:
        if part.opens and (match := rules.openings.match(part.text)):
            found.append((part.lines[0], f"{match[0]} ...", rules.opening_advice))
        found += [(part.line(match.start()), match[0], match[1]) for match in DOUBLED.finditer(part.text)]
        for match in rules.any_of_them.finditer(part.text):
            rule = next(rule for rule in rules.rules if rule.find.match(part.text, match.start()))
            if rule.unless is None or not rule.unless.match(part.text, match.start()):
                found.append((part.line(match.start()), match[0], rule.say))
    return sorted(found)


def files(given: list[str], rules: Rules) -> list[Path]:
    """Return the files to check: those given and those of the given folders, or all that are not exempt."""
    if given:
        folders = [Path(each).resolve() for each in given]
        inside = [path for path in _checked(rules) if any(path.is_relative_to(folder) for folder in folders)]
        return inside + [folder for folder in folders if folder.is_file() and folder not in inside]
    exempt = [ROOT / each for each in rules.exempt]
    return [path for path in _checked(rules) if not any(path.is_relative_to(each) for each in exempt)]


def _checked(rules: Rules) -> list[Path]:
    return sorted({path for pattern in rules.checked for path in ROOT.glob(pattern)})


def main(given: list[str]) -> int:
    """Print the findings; exit with 1 where there are some."""
    rules = read_rules()
    paths = files(given, rules)
    count = 0
    for path in paths:
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        for line, words, say in findings(path, rules):
            print(f"{shown}:{line}: {words} -> {say}")
            count += 1
    print(f"{len(paths)} files, {count} findings.")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
