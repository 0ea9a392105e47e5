"""Python processes started from this one, which import nothing from the folder in which they work.

`python -m` looks for every module in the working folder first. That is often one that somebody else filled, a data set
or a run, and a file `yaml.py` in it would be run. So all of Lehr's processes are started here. What this process can
import they can, too, such as the modules next to a script that calls Lehr, but only where nothing else has the name.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from lehr.runtime.environment import preserve_environment

SAFE_PATH, PYTHON_PATH, OWN_FOLDERS = "PYTHONSAFEPATH", "PYTHONPATH", "LEHR_MODULES"


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter, without its working folder among the modules.

    Args:
        module: its full name.
        arguments: of it.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def start_module(module: str, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
    """Start a module in a separate process.

    Args:
        module: its full name.
        arguments: of it.
        options: of `subprocess.Popen`, but for its environment.
    """
    return subprocess.Popen(module_command(module, *arguments), env={**os.environ, **_safe_variables()}, **options)


@contextlib.contextmanager
def safe_environment() -> Iterator[None]:
    """Set the environment of this process so that what others start from it imports safely; put it back at the end."""
    with preserve_environment((SAFE_PATH, PYTHON_PATH, OWN_FOLDERS)):
        os.environ.update(_safe_variables())
        yield


def find_own_modules() -> None:
    """Let this process import what the one that started it could, after all that it can import itself."""
    folders = filter(None, os.environ.get(OWN_FOLDERS, "").split(os.pathsep))
    sys.path += [folder for folder in folders if folder not in sys.path]


def _safe_variables() -> dict[str, str]:
    """Variables by which a Python process, and those that it starts in turn, import safely.

    An empty part of PYTHONPATH, as `:/my/modules` has it, is the working folder too.
    """
    folders = [os.path.abspath(folder) for folder in sys.path if folder]  # noqa: PTH100 (whatever is in the list)
    variables = {SAFE_PATH: "1", OWN_FOLDERS: os.pathsep.join(folders)}
    if PYTHON_PATH in os.environ:
        variables[PYTHON_PATH] = os.pathsep.join(filter(None, os.environ[PYTHON_PATH].split(os.pathsep)))
    return variables
