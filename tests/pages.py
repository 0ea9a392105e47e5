"""Reads the pages of techniques: their sections, formulas, defaults, numbers and sources; and computes the formulas.

CONTRIBUTING.md says how a page is written ("What a page may say").
"""

from __future__ import annotations

import ast
import math
import re
import runpy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from lehr.options import GROUPS, Options
from lehr.studies.options import AblateOptions, EvolveOptions, StudyOptions

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "techniques"
Values = NDArray[Any]
"""Values of a name at all inputs: (inputs, 1), or (inputs, n) of a name that stands for n values."""

FORMULA = r"`([A-Za-z_]\w*) = ([^`\n]+)`"
NUMBER = r"(?<![\w.,-])\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?(?!\w)"
CITATION = r"(?P<name>[A-Z][\w'-]+)(?:, [A-Z][\w'-]+)*(?: et al\.| & [A-Z][\w'-]+)?,? \(?(?P<year>(?:19|20)\d\d)\b"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a technique.

    Attributes:
        name: the file's, without `.md`.
        text: all of it.
    """

    name: str
    text: str

    def section(self, title: str) -> str:
        """What is written by hand below a heading, lines joined; paragraphs and lines of tables stay apart."""
        found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", self.text, re.DOTALL | re.MULTILINE)
        assert found, f"{self.name}.md has no '## {title}'"
        return joined(prose(found[1]))

    def formulas(self) -> list[tuple[str, str]]:
        """Name and expression of each formula, in order: code of the form `name = expression`."""
        text = "\n".join(
            self.section(title) for title in ("Formula", "Idea", "When it helps", "When it hurts", "Switch")
        )
        return [(match[1], match[2]) for match in re.finditer(FORMULA, text)]

    def table(self, head: str) -> tuple[list[str], list[dict[str, str]]]:
        """Lines of the table whose first head this is, and its rows, by head."""
        found = re.search(rf"^\| {re.escape(head)} \|.*\n(?:\|.*\n)+", self.text, re.MULTILINE)
        assert found, f"{self.name}.md has no table that begins with '{head}'"
        lines = found[0].splitlines()
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        return lines, [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def read_pages() -> dict[str, Page]:
    """Every page of a technique, by name; the index is none."""
    paths = sorted(path for path in PAGES.glob("*.md") if path.stem != "README")
    return {path.stem: Page(path.stem, path.read_text(encoding="utf-8")) for path in paths}


def prose(text: str) -> str:
    """A document without blocks of code, comments and what `make docs-index` writes."""
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!-- options: .*?<!-- end of options -->", "", text, flags=re.DOTALL)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def joined(text: str) -> str:
    """Text with the lines of each paragraph as one line."""
    return re.sub(r"(?<=[^\n|])\n *(?=[^\s|#-])", " ", text).strip()


def code(text: str) -> list[str]:
    """Code within a text, without the backticks."""
    return re.findall(r"`([^`\n]+)`", text)


# --- formulas --------------------------------------------------------------------------------------------------------

FUNCTIONS = {
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tan", "abs", "floor", "ceil")},
    "atan": np.arctan,
    "round": np.vectorize(round, otypes=[float]),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "min": lambda *values: _fold(np.minimum, values),
    "max": lambda *values: _fold(np.maximum, values),
    "sum": lambda values: values.sum(-1, keepdims=True),
    "mean": lambda values: values.mean(-1, keepdims=True),
}
"""What a formula may call. Of a single argument, min, max, sum and mean take the values that the name stands for."""
OPERATORS: dict[type[ast.AST], Any] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.Not: np.logical_not,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}


def _fold(function: np.ufunc, values: tuple[Values, ...]) -> Values:
    if len(values) == 1:
        return np.asarray(function.reduce(values[0], axis=-1, keepdims=True))
    result = values[0]
    for value in values[1:]:
        result = function(result, value)
    return np.asarray(result)


def evaluate(expression: str, values: Mapping[str, Values]) -> Values:
    """Compute an expression of a page.

    Args:
        expression: arithmetic in Python's notation, with `FUNCTIONS`, comparisons, and `a if condition else b`.
        values: of its names.

    Raises:
        ValueError: it is no such expression, or a name has no value.
    """
    try:
        return _value(ast.parse(expression, mode="eval").body, values)
    except SyntaxError as error:
        raise ValueError(f"'{expression}' is not arithmetic: {error.msg}") from None


def _value(node: ast.expr, values: Mapping[str, Values]) -> Values:
    match node:
        case ast.Constant(value=int() | float() as number):
            return np.asarray(float(number))
        case ast.Name(id="pi"):
            return np.asarray(math.pi)
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return np.asarray(OPERATORS[type(op)](_value(left, values), _value(right, values)))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return np.asarray(OPERATORS[type(op)](_value(operand, values)))
        case ast.BoolOp(op=op, values=parts):
            return _fold(OPERATORS[type(op)], tuple(_value(part, values) for part in parts))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
            return np.asarray(OPERATORS[type(op)](_value(left, values), _value(right, values)))
        case ast.IfExp(test=test, body=body, orelse=other):
            with np.errstate(all="ignore"):  # both are computed
                return np.where(_value(test, values), _value(body, values), _value(other, values))
        case ast.Call(func=ast.Name(id="round"), args=[number, ast.Constant(value=int() as digits)], keywords=[]):
            return np.asarray(FUNCTIONS["round"](_value(number, values), digits))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            return np.asarray(FUNCTIONS[name](*(_value(argument, values) for argument in arguments)))
        case ast.Name(id=name):
            raise ValueError(f"nothing gives '{name}' a value")
        case _:
            raise ValueError(f"'{ast.unparse(node)}' is not arithmetic that a page may use")


def evaluate_in_turn(formulas: Mapping[str, str], name: str, values: Mapping[str, Values]) -> Values:
    """Compute a formula of a page, and before it those whose names it uses.

    Args:
        formulas: expressions by name.
        name: of the one that is asked for.
        values: of the names that are not formulas.
    """
    inner = {
        each: evaluate_in_turn(formulas, each, values)
        for each in names_in(formulas[name]) - values.keys() - {name}
        if each in formulas
    }
    return evaluate(formulas[name], {**values, **inner})


def names_below(formulas: Mapping[str, str], name: str, given: Iterable[str] = ()) -> set[str]:
    """Names that a formula needs values of, through the formulas that it uses; those given are not looked into."""
    names = set()
    for each in names_in(formulas[name]):
        inner = each in formulas and each != name and each not in given
        names |= names_below(formulas, each, given) if inner else {each}
    return names


def names_in(expression: str) -> set[str]:
    """Names that an expression needs values of."""
    called = {node.func for node in ast.walk(ast.parse(expression)) if isinstance(node, ast.Call)}
    names = {node.id for node in ast.walk(ast.parse(expression)) if isinstance(node, ast.Name) and node not in called}
    return names - {"pi"} - {each.id for each in called if isinstance(each, ast.Name)}


def is_plain(span: str) -> bool:
    """Tell whether code is a name, a file, an option or a command, not a formula."""
    return bool(re.fullmatch(r"--.+|lehr .+|[A-Za-z_][\w.,-]*|[\w./-]+\.[a-z]+", span))


# --- options and their defaults --------------------------------------------------------------------------------------

GROUP_OF: dict[str, type[Options]] = {
    name: group
    for group in (*GROUPS.values(), StudyOptions, EvolveOptions, AblateOptions)
    for name in group.model_fields
}
"""The group of every option of a run or a study, by flat name."""
DEFAULT = r"`--(?P<option>[a-z0-9-]+)(?: [A-Z]+)?` \((?P<value>[^()]*(?:\([^()]*\)[^()]*)*)\)"
CELL = r"[^|`]*(?:\\\|[^|`]*)*"
"""The rest of code in a cell of a table, in which a backslash stands before a bar."""
OTHER_FORMS = (
    r"\bby default\b",
    r"(?:, the |\((?:the )?)default\b(?! \w)",
    r"\b[Dd]efaults?(?: otherwise)?: ",
    r"\bdefault (?:is|of|value)\b",
)
"""How else a default could be written."""


def defaults_in(text: str) -> Iterator[tuple[str, str]]:
    """Options with a default behind them, as `--clip-norm` (10), or in a table of options, and that default.

    Parentheses that begin neither with a number nor with one of the option's values are not default.
    """
    for match in re.finditer(DEFAULT, joined(prose(text))):
        name = match["option"].replace("-", "_")
        if name in GROUP_OF:
            word = _first_word(match["value"])
            if re.fullmatch(r"-?[\d.,]+(?:e-?\d+)?", word) or word in {"on", "off", "none", "unset", *choices(name)}:
                yield name, match["value"]
    for table in re.findall(r"^\| option \| default \|.*\n((?:\|.*\n)+)", prose(text), re.MULTILINE):
        for option, value in re.findall(
            r"^\| `--([a-z0-9-]+)[^|`]*(?:\\\|[^|`]*)*` \| ([^|]+?) \|", table, re.MULTILINE
        ):
            yield option.replace("-", "_"), value


def is_default(name: str, said: str) -> bool:
    """Tell whether an option's default is what a text says: the number or word, and perhaps a unit behind it."""
    default = index()["default_of"](field(name))
    return said in (default, f"`{default}`") or _first_word(said).replace(",", "") == default.replace(",", "")


def _first_word(said: str) -> str:
    return re.split(r"[ ;]|,(?!\d)", said)[0].strip("`")


def other_defaults(text: str) -> list[str]:
    """Defaults that a text names in another form than `--clip-norm` (10)."""
    text = joined(prose(text))
    names = "|".join(re.escape(form) for name in GROUP_OF for form in (name, "--" + name.replace("_", "-")))
    forms = (*OTHER_FORMS, rf"`(?:{names})(?: [A-Z]+)?`(?:,| is| of| =)? {NUMBER}", rf"`(?:{names}) = {NUMBER}`")
    return [text[max(0, found.start() - 30) : found.end() + 15] for form in forms for found in re.finditer(form, text)]


def usages(text: str) -> Iterator[tuple[str, str]]:
    """Options with a value, as `--clip-norm 5`, among the code of a text."""
    for span in code(joined(prose(text))):
        if span.startswith("--"):
            for option, value in re.findall(r"--([a-z0-9-]+)[ =]([^\s-][^\s]*)", span):
                if (name := option.replace("-", "_")) in GROUP_OF:
                    yield name, value.rstrip(":;,").replace("\\|", "|")


def is_allowed(name: str, value: str) -> bool:
    """Tell whether an option takes a value; one in capitals stands for any, several with | between are its choices."""
    if "|" in value:
        return set(value.split("|")) == choices(name) or not choices(name)
    if re.fullmatch(r"[A-Z][A-Z_.,:]*|\.\.\.", value) and value not in choices(name):
        return True
    try:
        GROUP_OF[name].model_validate({name: [value] if get_origin(field(name).annotation) is tuple else value})
    except ValidationError:
        return False
    return True


def choices(name: str) -> set[str]:
    """The words that an option takes, where it takes words."""
    annotation = field(name).annotation
    kinds = [annotation, *get_args(annotation)]
    return {str(each) for kind in kinds if get_origin(kind) is Literal for each in get_args(kind)}


def field(name: str) -> FieldInfo:
    """An option as its group defines it."""
    return GROUP_OF[name].model_fields[name]


@cache
def index() -> dict[str, Any]:
    """What `docs/techniques/index.py` defines."""
    return runpy.run_path(str(PAGES / "index.py"))


# --- numbers and sources ---------------------------------------------------------------------------------------------


def loose_numbers(text: str, phrases: list[str]) -> list[str]:
    """Numbers of a section that belong to no formula, no option with a value, no default, no year and no phrase; but 0.

    Args:
        text: the section, its lines joined.
        phrases: words with numbers that were compared with the code.
    """
    belongs = [
        FORMULA,
        r"`--[^`]+`",
        DEFAULT,
        CITATION,
        r"\]\([^)]*\)",
        *(re.escape(phrase) for phrase in phrases),
    ]
    covered = [found.span() for form in belongs for found in re.finditer(form, text)]
    return [
        text[max(0, found.start() - 30) : found.end() + 20]
        for found in re.finditer(NUMBER, text)
        if found[0] != "0" and not any(start <= found.start() and found.end() <= end for start, end in covered)
    ]


def agrees(cell: str, value: float) -> bool:
    """Tell whether a cell of a table is a value, rounded to as many decimals as it has."""
    text = cell.strip("`").replace(",", "")
    decimals = len(text.partition(".")[2])
    return abs(float(text) - value) <= 0.5 * 10**-decimals * (1 + 1e-9)


def in_words(phrase: str, value: object) -> list[str]:
    """A phrase with its values filled in, in the ways in which a number may be written."""
    values = value if isinstance(value, tuple) else (value,)
    exact = [f"{each:.12g}" if isinstance(each, float) else str(each) for each in values]
    grouped = [f"{each:,}" if isinstance(each, int) else said for each, said in zip(values, exact, strict=True)]
    return [phrase.format(*exact), phrase.format(*grouped)]


def citations(text: str) -> list[tuple[str, str]]:
    """First author and year of each work that a text cites."""
    return [(found["name"], found["year"]) for found in re.finditer(CITATION, text)]


def without_source(text: str) -> list[str]:
    """Paragraphs and points of a list that nothing supports.

    What supports is a citation, a link to a document of ours or to the web, a test that is named, and a formula, which
    is compared with the code.
    """
    parts = [part.strip() for part in re.split(r"\n\n|\n(?=- )", text)]
    support = rf"{CITATION}|\]\((?:\.\./\w|https?:)|`(?:tests|benchmarks)/[\w/]+\.py`|{FORMULA}"
    return [part for part in parts if part and not re.search(support, part)]
