"""The reference of commands and options: a page for each command, and the table of keywords of `Detector.train`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cyclopts import App, Argument
from pydantic.fields import FieldInfo

from lehr.cli.app import app
from lehr.options import GROUPS, option_names
from lehr.options.wording import default_of, describe_default, describe_values, help_of, values_of

OPTIONS = '<div class="lehr-options" markdown="1">\n'
"""Opening tag of a table of options, which becomes cards on narrow screens; `</div>` ends it."""
INDEX = "commands/index.md"
RUN_OPTIONS_OF = "train"
"""The command whose page lists the options of a run, to which the pages of other commands point."""


def pages() -> dict[str, str]:
    """Return the Markdown of each page, by its place on the site, the index first."""
    commands = dict(all_commands())
    return {INDEX: index(commands)} | {place(name): page(name, command) for name, command in commands.items()}


def all_commands() -> Iterator[tuple[str, App]]:
    """Yield every command by its name, those of `lehr data` with both words."""
    for name in app:
        if name.startswith("-"):
            continue
        subcommands = [each for each in app[name] if not each.startswith("-")]
        if subcommands:
            yield from ((f"{name} {each}", app[name][each]) for each in subcommands)
        else:
            yield name, app[name]


def place(name: str) -> str:
    """Return the page of a command."""
    return f"commands/{name.replace(' ', '-')}.md"


def index(commands: Mapping[str, App]) -> str:
    """Return the page that lists the commands."""
    rows = [
        f"| [`lehr {name}`]({place(name).split('/')[1]}) | {_first_sentence(_help(each))} |"
        for name, each in commands.items()
    ]
    head = (
        "# Commands\n\nEvery command with all its options, written from the commands themselves. The same names "
        "work in Python with underscores (`--close-mosaic` is `close_mosaic=`) and in the YAML file that "
        "`--config` reads.\n\n"
    )
    return head + "\n".join(["| command | what it does |", "|---|---|", *rows]) + "\n"


def page(name: str, command: App) -> str:
    """Return the page of a command: its help, then its options by group."""
    arguments = [each for each in command.assemble_argument_collection() if each.parameter.show is not False]
    arguments = [each for each in arguments if each.names[0] != "*"]
    run_options = option_names()
    of_run = [each for each in arguments if _python_name(each) in run_options]
    own = arguments
    parts = [f"# lehr {name}\n", _paragraphs(_help(command))]
    if name != RUN_OPTIONS_OF and len(of_run) > len(run_options) // 2:
        own = [each for each in arguments if each not in of_run]
        parts.append("Takes every [option of a run](train.md) as well.\n")
    groups: dict[str, list[Argument]] = {}
    for each in own:
        groups.setdefault(_group(each), []).append(each)
    for group, members in groups.items():
        parts.append(f"## {group}\n\n{_table(members)}")
    return "\n".join(parts)


def keywords() -> str:
    """Return the options of a run as keywords of `Detector.train`, in tables by group."""
    return "\n".join(f"## {title}\n\n{_keywords(GROUPS[group].model_fields)}" for group, title in _titles().items())


def _titles() -> dict[str, str]:
    """Return the heading of each group of options, which is that of the help."""
    found: dict[str, str] = {}
    for each in app[RUN_OPTIONS_OF].assemble_argument_collection():
        group = option_names().get(_python_name(each))
        if group is not None:
            found.setdefault(group, _group(each))
    return {group: found.get(group, group.capitalize()) for group in GROUPS}


def _keywords(fields: Mapping[str, FieldInfo]) -> str:
    rows = [
        f"| `{name}` | {_cell(default_of(each))} | {_cell(values_of(each))} | {_cell(help_of(each.description))} |"
        for name, each in fields.items()
    ]
    return _options("keyword", rows)


def _table(arguments: list[Argument]) -> str:
    rows = [
        f"| {_names(each)} | {_cell(_default(each))} | {_cell(_values(each))} | {_cell(help_of(_description(each)))} |"
        for each in arguments
    ]
    return _options("option", rows)


def _options(title: str, rows: list[str]) -> str:
    table = [f"| {title} | default | values | meaning |", "|---|---|---|---|", *rows]
    return "\n".join([OPTIONS, *table, "\n</div>\n"])


def _names(argument: Argument) -> str:
    names = [each for each in argument.names if each not in argument.negatives]
    if argument.index is not None and not any(each.startswith("--") for each in names):
        names = [each.upper() for each in names]
    return ", ".join(f"`{each}`" for each in names)


def _default(argument: Argument) -> str:
    if argument.required:
        return "required"
    value = argument.field_info.default
    if isinstance(value, type) or str(value) == "<UNSET>" or value is argument.field_info.empty:
        value = None
    return describe_default(value, _description(argument))


def _values(argument: Argument) -> str:
    field = _run_field(argument)
    return values_of(field) if field is not None else describe_values(argument.hint)


def _run_field(argument: Argument) -> FieldInfo | None:
    """Return the definition of an option of a run; None of an option that the command has for itself."""
    name = _python_name(argument)
    group: Any = option_names().get(name)
    return GROUPS[group].model_fields[name] if group is not None else None


def _python_name(argument: Argument) -> str:
    return argument.names[0].lstrip("-").replace("-", "_")


def _description(argument: Argument) -> str:
    return argument.parameter.help or ""


def _group(argument: Argument) -> str:
    groups = argument.parameter.group or ()
    names = [getattr(each, "_name", None) or str(each) for each in (groups if isinstance(groups, tuple) else (groups,))]
    return names[0] if names else "Options"


def _help(command: App) -> str:
    return command.help or ""


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(each.split()) for each in re.split(r"\n\s*\n", text.strip())) + "\n"


def _first_sentence(text: str) -> str:
    return _cell(re.split(r"(?<=[.;]) ", " ".join(text.split()))[0].rstrip(";"))


def _cell(text: str) -> str:
    return text.replace("|", "&#124;").replace("<", "&lt;")
