"""The reference of commands and options: a page for each command, and the table of keywords of `Detector.train`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cyclopts import App, Argument
from pydantic.fields import FieldInfo

from lehr.cli.app import app
from lehr.cli.command_help import by_group, described_by_docstring, label_of, shown_arguments
from lehr.options import GROUPS, option_names
from lehr.options.wording import describe_default, describe_values, help_of, values_of

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
    summaries = {name: described_by_docstring(each).short_description or "" for name, each in commands.items()}
    rows = [
        f"| [`lehr {name}`]({place(name).split('/')[1]}) | {_cell(summary)} |" for name, summary in summaries.items()
    ]
    head = (
        "# Commands\n\nEvery command with all its options, written from the commands themselves. The same names "
        "work in Python with underscores (`--close-mosaic` is `close_mosaic=`) and in the YAML file that "
        "`--config` reads.\n\n"
    )
    return head + "\n".join(["| command | what it does |", "|---|---|", *rows]) + "\n"


def page(name: str, command: App) -> str:
    """Return the page of a command: what it does, examples, then its options by the headings of the help."""
    arguments = shown_arguments(command)
    described = described_by_docstring(command)
    parts = [f"# lehr {name}\n"]
    parts += [f"{text}\n" for text in (described.short_description, described.long_description) if text]
    if described.examples:
        parts.append(f"```console\n{_prompted(described.examples[0].description or '')}\n```\n")
    of_run = [each for each in arguments if _python_name(each) in option_names()]
    if name != RUN_OPTIONS_OF and len(of_run) > len(option_names()) // 2:
        arguments = [each for each in arguments if each not in of_run]
        parts.append("Takes every [option of a run](train.md) as well.\n")
    for group, members in by_group(arguments).items():
        parts.append(f"## {group}\n\n{_options('option', [_row(f'`{_label(each)}`', each) for each in members])}")
    return "\n".join(parts)


def keywords() -> str:
    """Return the options of a run as keywords of `Detector.train`, in tables by the headings of the help."""
    of_run = [each for each in shown_arguments(app[RUN_OPTIONS_OF]) if _python_name(each) in option_names()]
    return "\n".join(
        f"## {group}\n\n{_options('keyword', [_row(f'`{_python_name(each)}`', each) for each in members])}"
        for group, members in by_group(of_run).items()
    )


def _prompted(examples: str) -> str:
    """Return examples of a docstring as a block of console: what each does as a comment, then its command."""
    lines = [line for line in inspect.cleandoc(examples).split("\n") if line.strip()]
    return "\n".join(f"$ {line.strip()}" if line.startswith(" ") else f"# {line}" for line in lines)


def _options(title: str, rows: list[str]) -> str:
    table = [f"| {title} | default | values | meaning |", "|---|---|---|---|", *rows]
    return "\n".join([OPTIONS, *table, "\n</div>\n"])


def _row(name: str, argument: Argument) -> str:
    text = argument.parameter.help or ""
    return f"| {name} | {_cell(_default(argument))} | {_cell(_values(argument))} | {_cell(help_of(text))} |"


def _label(argument: Argument) -> str:
    """Return an option as it is typed; the words of a choice are in the column of values."""
    label = label_of(argument)
    return label if "|" not in label else label.split(" ")[0]


def _default(argument: Argument) -> str:
    if argument.required:
        return "required"
    value = argument.field_info.default
    if isinstance(value, type) or value is inspect.Parameter.empty or str(value) == "<UNSET>":
        value = None
    return describe_default(value, argument.parameter.help or "")


def _values(argument: Argument) -> str:
    field = _run_field(argument)
    return values_of(field) if field is not None else describe_values(argument.hint)


def _run_field(argument: Argument) -> FieldInfo | None:
    """Return the definition of an option of a run; None of an option that the command has for itself."""
    name = _python_name(argument)
    group: Any = option_names().get(name)
    return GROUPS[group].model_fields[name] if group is not None else None


def _python_name(argument: Argument) -> str:
    return argument.name.lstrip("-").replace("-", "_")


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "&#124;").replace("<", "&lt;")
