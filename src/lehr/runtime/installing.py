"""Commands that install missing packages: one place, since they depend on where Lehr itself comes from.

Lehr is in no package registry, so its extras are installed from the folder that it was cloned into.
"""

from __future__ import annotations


def pip_install(extra: str) -> str:
    """Return the command that installs an extra of Lehr, to be run in the folder of the clone.

    Args:
        extra: its name in pyproject.toml, e.g. "plots".

    Examples:
        >>> pip_install("plots")
        "pip install '.[plots]'"
    """
    return f"pip install '.[{extra}]'"


def how_to_install(extra: str) -> str:
    """Return the sentence that says how an extra of Lehr is installed.

    Args:
        extra: its name in pyproject.toml, e.g. "plots".
    """
    return f"Run {pip_install(extra)} in the folder of your clone of Lehr."
