"""The command `lehr`: finds the sub-command, and turns errors into one clear message and an exit code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter

from lehr.cli.arguments import as_options
from lehr.cli.commands import COMMANDS, DATA_COMMANDS, DATA_OVERVIEW, OVERVIEW, OVERVIEWS
from lehr.cli.habits import in_known_words
from lehr.cli.help import asks_for_help, show_help
from lehr.cli.refusals import describe_refusal
from lehr.errors import InputError, LehrError
from lehr.runtime.child_process import safe_environment
from lehr.runtime.console import complain
from lehr.runtime.spelling import shell_spelling
from lehr.runtime.standard_streams import safe_streams
from lehr.runtime.system_errors import plain_system_errors
from lehr.version import __version__

app = App(
    name="lehr",
    help=OVERVIEW,
    help_flags=(),
    version=f"lehr {__version__}",
    default_parameter=Parameter(negative_iterable=()),
)
data = App(name="data", help=DATA_OVERVIEW, help_flags=())
app.command(data)
for parent, overview in ((app, COMMANDS), (data, DATA_COMMANDS)):
    for command in (each for group in overview.values() for each in group if each.target):
        parent.command(command.target, name=command.name, help=command.summary)


NAMES = frozenset(each.name for group in COMMANDS.values() for each in group)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit: 0 done, 1 failed, 2 bad input or options, 130 and 143 stopped by a signal."""
    # Of damaged tags, without the file's name. For all threads, since `catch_warnings` is not safe in several.
    warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")
    with safe_streams(), safe_environment():
        code = _code(sys.argv[1:] if arguments is None else arguments)
    sys.exit(code)


def _code(arguments: Sequence[str]) -> int:
    """Run a command line, print what went wrong, and return the exit code."""
    try:
        with plain_system_errors():
            return run(arguments)
    except LehrError as error:
        if not error.told:
            complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("Stopped at once.")
        return 130


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code.

    Raises:
        LehrError: the command failed.
    """
    arguments = in_known_words(arguments, NAMES)
    if asks_for_help(arguments) or " ".join(arguments) in OVERVIEWS:
        show_help(arguments, app)
        return 0
    try:
        options = as_options(arguments, app)
        with shell_spelling():
            result = app(options, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise InputError(describe_refusal(error)) from None
    return result if isinstance(result, int) else 0
