"""Command lines as users of other trainers begin them: `detect train ...`, `mode=train task=detect ...`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from lehr.errors import InputError

TASK = "detect"
"""The one task of Lehr, which need not be said."""
OTHER_TASKS = frozenset({"segment", "pose", "classify", "obb"})


def in_known_words(arguments: Sequence[str], commands: Collection[str]) -> list[str]:
    """Write the beginning of a command line as Lehr has it: the command alone, without the task.

    Args:
        arguments: as typed, without the program's name.
        commands: names of the program's commands.

    Raises:
        InputError: a task that Lehr does not do is asked for.
    """
    words = list(arguments)
    if words[:1] == ["yolo"]:
        words = words[1:]
    _refuse_other_tasks(words, commands)
    if len(words) > 1 and words[0] == TASK and "=" not in words[1] and not words[1].startswith("-"):
        words = words[1:]
    if len(words) > 1 and words[0] in commands and words[1] == TASK and not Path(TASK).exists():
        words = [words[0], *words[2:]]
    words = [word for word in words if word.lstrip("-") != f"task={TASK}"]
    mode = next((word for word in words if word.startswith("mode=")), None)
    if mode is None:
        return words
    named = mode.removeprefix("mode=")
    rest = [word for word in words if word != mode]
    if words[0] in commands:
        return rest if named == words[0] else words
    return [named, *rest]


def _refuse_other_tasks(words: Sequence[str], commands: Collection[str]) -> None:
    """Refuse a task that is named first, behind the command, or as an option.

    Raises:
        InputError: one is.
    """
    first = words[: 2 if words[:1] and words[0] in commands else 1]
    named = [word for word in first if word in OTHER_TASKS and not Path(word).exists()]
    named += [word.partition("=")[2] for word in words if word.lstrip("-").startswith("task=")]
    for task in named:
        if task in OTHER_TASKS:
            raise InputError(f"{task}: Lehr detects objects with upright boxes; it does not {_verb(task)}.")


def _verb(task: str) -> str:
    return {"pose": "estimate poses", "obb": "find rotated boxes"}.get(task, task)
