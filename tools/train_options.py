"""Write `src/lehr/train_options.py`: the options of a run as typed keyword arguments, for editors and type checkers.

    python tools/train_options.py [--check]

The options are defined once, in `src/lehr/options/`; a type checker cannot read them from there, so they are written
down again by this script (`make options`), and a test fails when that was forgotten.
"""

from __future__ import annotations

import inspect
import sys
import types
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from lehr.options import GROUPS

TARGET = Path(__file__).parents[1] / "src" / "lehr" / "train_options.py"
HEAD = '''"""The options of a run as typed keyword arguments; written by `make options` from lehr/options/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict


class TrainOptions(TypedDict, total=False):
    """Options of `Detector.train`: those of `lehr train`, with underscores; unset ones have their defaults."""

    hyp: str | Path | None
    """A YOLOv5 hyperparameter file (hyp.*.yaml), or a preset: low, medium, high, fine-tuning."""
'''
WIDTH = 112


def spelled(annotation: Any) -> str:
    """Spell a type as a caller may give it."""
    if get_origin(annotation) is Literal:
        return f"Literal[{', '.join(repr(each) for each in get_args(annotation))}]".replace("'", '"')
    if get_origin(annotation) is types.UnionType or str(get_origin(annotation)) == "typing.Union":
        return " | ".join(spelled(each) for each in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"Sequence[{spelled(get_args(annotation)[0])}]"
    if annotation is type(None):
        return "None"
    if annotation is Path:
        return "str | Path"
    if annotation is float:
        return "float"
    return str(annotation.__name__)


WIDER = {
    "batch": ' | Literal["auto"]',
    "device": " | int | Sequence[int | str]",
    "freeze": " | int | Sequence[int | str]",
}
"""What validators of single options take besides; `amp` and `compile` take booleans as YAML gives them, too."""


def written() -> str:
    """Return the content of the file."""
    lines = [HEAD]
    for group in GROUPS.values():
        for name, field in group.model_fields.items():
            spelling = spelled(field.annotation)
            more = WIDER.get(name, "")
            if more not in spelling:
                spelling += more
            if " | None" in spelling:  # last, as is the custom
                spelling = spelling.replace(" | None", "") + " | None"
            help_text = inspect.cleandoc(field.description or "").replace("\n", " ")
            lines.append(f'    {name}: {spelling}\n    """{wrapped(help_text)}"""\n')
    return "".join(lines)


def wrapped(text: str) -> str:
    """Break a help text into lines."""
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) + 1 > WIDTH:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n    ".join([*lines, line])


def main() -> int:
    """Write the file, or say that it is out of date."""
    if "--check" not in sys.argv:
        TARGET.write_text(written(), encoding="utf-8")
        return 0
    current = TARGET.read_text(encoding="utf-8") == written()
    if not current:
        sys.stderr.write("src/lehr/train_options.py is out of date: run `make options`.\n")
    return 0 if current else 1


if __name__ == "__main__":
    sys.exit(main())
