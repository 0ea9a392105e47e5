"""Help of one command: what it does, examples, and its options by heading, the basics first."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from cyclopts import App, Argument, Parameter

from lehr.cli.layout import CLAUSE, LABEL, entry, heading, packed, paragraph, plain, usage
from lehr.options.help_groups import BASICS_ORDER, HelpGroup

if TYPE_CHECKING:
    from docstring_parser import Docstring
    from rich.text import Text

UNSET = re.compile(r" \(unset: (.*)\)\.?$")
"""The value of an option that is not given, at the end of its text."""
KINDS = {
    "augmentation": "NAME",
    "callback": "NAME",
    "freeze": "LAYERS",
    "hyp": "FILE",
    "keep-val": "DATA",
    "loggers": "NAME",
    "project": "FOLDER",
    "skip": "FILE",
    "storage": "URL",
}
"""Placeholders for the values of options of a run; commands name their own."""


def command_help(name: str, app: App, width: int, more: str | None) -> Iterator[Text]:
    """Return the lines of a command's help.

    Args:
        name: as it is typed.
        app: the command.
        width: columns of a line.
        more: the flag that shows folded headings, which are named then; None to show them.
    """
    arguments, described = shown_arguments(app), described_by_docstring(app)
    yield from (usage(f"lehr {name} {_signature(arguments)}"), plain())
    yield from paragraph(described.short_description or "", width)
    for text in (described.long_description or "").split("\n\n"):
        if text:
            yield from (plain(), *paragraph(" ".join(text.split()), width))
    yield from examples(described.examples[0].description or "" if described.examples else "")
    groups = by_group(arguments)
    folded = [] if more is None else [group for group in groups if group.folded]
    for group, members in groups.items():
        if group not in folded:
            yield from (plain(), heading(group))
            for argument in members:
                yield from entry(label_of(argument), units_of(argument), width)
    if folded:
        yield from (plain(), heading(f"Further options, shown by lehr {name} {more}"))
        names = [*(f"{group}," for group in folded[:-1]), str(folded[-1])]
        yield from (plain(f"  {line}") for line in packed(names, width - 2))


def shown_arguments(app: App) -> list[Argument]:
    """Return the options of a command that its help shows, each with its text.

    The texts of a run's options were read when these were defined; Cyclopts would search all their source files again.
    """
    texts = {each.arg_name: each.description for each in described_by_docstring(app).params}
    arguments = [each for each in app.assemble_argument_collection(parse_docstring=False) if each.show]
    for each in arguments:
        if not each.parameter.help:
            each.parameter = Parameter.combine(each.parameter, Parameter(help=texts.get(each.field_info.name)))
    return arguments


def described_by_docstring(app: App) -> Docstring:
    """Return the parts of a command's docstring."""
    import docstring_parser

    function: Any = app.default_command
    return docstring_parser.parse(inspect.cleandoc(function.__doc__ or ""))


def by_group(arguments: Iterable[Argument]) -> dict[HelpGroup, list[Argument]]:
    """Return the options of a command by heading, in the order of the headings."""
    found: dict[HelpGroup, list[Argument]] = {}
    for argument in arguments:
        found.setdefault(group_of(argument), []).append(argument)
    if basics := found.get(HelpGroup.BASICS):
        basics.sort(
            key=lambda each: (each.index is None, BASICS_ORDER.get(each.name.removeprefix("--"), len(BASICS_ORDER)))
        )
    return {group: found[group] for group in HelpGroup if group in found}


def group_of(argument: Argument) -> HelpGroup:
    """Return the heading of an option: its own mark, or that of its group of options or parameter.

    Raises:
        ValueError: it has none.
    """
    marks = [mark for mark in get_args(argument.field_info.annotation) if isinstance(mark, HelpGroup)]
    groups: Any = argument.parameter.group
    return marks[0] if marks else HelpGroup(groups[0].name)


def label_of(argument: Argument) -> str:
    """Return an option as it is typed, e.g. `--imgsz N`."""
    name, hint = argument.name, argument.hint
    if argument.index is not None:
        return f"{name.lstrip('-').upper()}{' ...' if argument.token_count()[1] else ''}"
    if int(argument.token_count()[0]) == 0:
        return f"--[no-]{name.removeprefix('--')}" if argument.field_info.default is True else name
    own = argument.parameter.metavar or KINDS.get(name.removeprefix("--"))
    if own is not None:
        kind = own
    elif Path in _kinds(hint):
        kind = "FILE"
    elif number := _kinds(hint) & {int, float}:
        kind = "N" if int in number else "X"
    elif choices := _choices(hint):
        kind = "|".join(choices)
        kind = kind if len(f"{name} {kind}") <= LABEL - 4 else "CHOICE"
    else:
        kind = name.lstrip("-").split("-")[-1].upper()
    required = argument.parameter.consume_multiple
    return f"{name} [{kind}]" if isinstance(required, tuple) and required[0] == 0 else f"{name} {kind}"


def units_of(argument: Argument) -> list[str]:
    """Return the text of an option in units that are kept on one line where it is wide enough.

    These are its sentences and clauses, and in brackets its choices and its default.
    """
    text = " ".join((argument.parameter.help or "").replace("`", "").split())
    unset = UNSET.search(text)
    units = CLAUSE.split(UNSET.sub(".", text) if unset else text)
    default = argument.field_info.default
    choices = [each for each in _choices(argument.hint) if each not in ("auto",) or default == "auto"]
    if argument.required:
        return [*units, "[required]"]
    if unset and unset[1] != "none":
        return [
            *units,
            *([f"[{', '.join(choices)}]"] if len(choices) > 1 else []),
            *CLAUSE.split(f"[default: {unset[1]}]"),
        ]
    if len(choices) > 1 and "|" not in label_of(argument):
        marked = ", ".join(f"{each} (default)" if each == default else each for each in choices)
        return [*units, f"[{marked}]"]
    if default is True or not _is_shown(default) or argument.parameter.show_default is False:
        return units
    return [*units, f"[default: {default:g}]" if isinstance(default, float) else f"[default: {default}]"]


def _is_shown(default: Any) -> bool:
    return default not in (None, False, (), "", inspect.Parameter.empty) or (default == 0 and default is not False)


def _kinds(hint: Any) -> set[Any]:
    """The types that an option takes."""
    if get_origin(hint) is None:
        return {hint}
    if get_origin(hint) is Literal:
        return set()
    return {kind for part in get_args(hint) for kind in _kinds(part)}


def _choices(hint: Any) -> list[str]:
    """The words that an option takes, where it takes words."""
    if get_origin(hint) is Literal:
        return [each for each in get_args(hint) if isinstance(each, str)]
    return [each for part in get_args(hint) for each in _choices(part)]


def _signature(arguments: Sequence[Argument]) -> str:
    """Return the arguments as they are typed after a command's name."""
    parts = []
    for argument in arguments:
        label = label_of(argument)
        if argument.index is not None:
            parts.append(label if argument.required or argument.name == "SOURCES" else f"[{label}]")
    if not parts:
        data = next((each for each in arguments if each.name == "--data" and Path not in _kinds(each.hint)), None)
        parts += [] if data is None else ["DATA" if data.required else "[DATA]"]
    named = [each for each in arguments if each.required and each.index is None and each.name != "--data"]
    return " ".join([*parts, *map(label_of, named), "[OPTIONS]"])


def examples(text: str) -> Iterator[Text]:
    """Examples of a docstring: each a line that says what it does, and below it, indented, its command."""
    if text:
        yield from (plain(), heading("Examples"))
        for line in text.split("\n"):
            if line.strip():
                yield plain(f"  {line}", "" if line.startswith(" ") else "dim")
