"""Write the options of training and prediction as typed keywords, for editors and type checkers.

    python tools/train_options.py [--check]

The options are defined once, in `src/lehr/options/` and `src/lehr/prediction/options.py`; a type checker cannot read
them from there, so this script writes them down again (`make options`), and a test fails when that was forgotten:
`src/lehr/train_options.py` and `src/lehr/prediction/keywords.py` hold them as TypedDicts, and
`src/lehr/detector/keywords.pyi` as the keywords of each method, since not every editor reads `Unpack`.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import sys
import types
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from lehr.options import GROUPS
from lehr.prediction.options import PredictOptions

SOURCE = Path(__file__).parents[1] / "src" / "lehr"
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
PREDICT_HEAD = '''\
"""The options of prediction as typed keyword arguments; written by `make options` from lehr/prediction/options.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict


class PredictKeywords(TypedDict, total=False):
    """Options of `Detector.predict` and `Detector.stream`; unset ones have the defaults of `PredictOptions`."""

'''
STUB_HEAD = '''"""The methods whose options are keywords, spelled out; written by `make options`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from lehr.detections import Detections
from lehr.detector.predicting import PredictionBase, Sources
from lehr.detector.training import TrainingBase
from lehr.engine.result import TrainResult

class KeywordMethods(TrainingBase, PredictionBase):
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
    "data": " | Path",
    "batch": ' | Literal["auto"]',
    "device": " | int | Sequence[int | str]",
    "freeze": " | int | Sequence[int | str]",
}
"""Values that validators of single options also take; `amp` and `compile` take booleans as YAML gives them, too."""


def train_options() -> dict[str, tuple[str, str]]:
    """Return the spelling and the help of each option of a run, by name."""
    options = {}
    for group in GROUPS.values():
        for name, field in group.model_fields.items():
            spelling = spelled(field.annotation)
            more = WIDER.get(name, "")
            if more not in spelling:
                spelling += more
            if " | None" in spelling:  # last, as is the custom
                spelling = spelling.replace(" | None", "") + " | None"
            options[name] = spelling, inspect.cleandoc(field.description or "").replace("\n", " ")
    return options


def predict_options() -> dict[str, tuple[str, str]]:
    """Return the spelling and the help of each option of prediction, by name."""
    (body,) = (node for node in ast.parse(inspect.getsource(PredictOptions)).body if isinstance(node, ast.ClassDef))
    options = {}
    for field, text in itertools.pairwise(body.body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            options[ast.unparse(field.target)] = ast.unparse(field.annotation), str(text.value.value)
    return options


def typed_dict(head: str, options: dict[str, tuple[str, str]]) -> str:
    """Return the content of a file with a TypedDict."""
    fields = (f'    {name}: {kind}\n    """{wrapped(text)}"""\n' for name, (kind, text) in options.items())
    return "".join([head, *fields])


def stub() -> str:
    """Return the content of the stub of the methods."""
    defaults = {each.name: each.default for each in dataclasses.fields(PredictOptions)}
    predict = [f"{name}: {kind} = {defaults[name]!r}" for name, (kind, _) in predict_options().items()]
    train = [f"{name}: {kind} = ..." for name, (kind, _) in train_options().items()]
    own = [
        "resume: str | Path | Literal[True] | None = None",
        "callbacks: Sequence[object] = ()",
        "verbose: bool = True",
        "hyp: str | Path | None = None",
    ]
    methods = [
        method("train", ["*", *own, *train], "TrainResult"),
        *(method(name, ["source: Sources", "*", *predict], "list[Detections]") for name in ("predict", "__call__")),
        method("stream", ["source: Sources", "*", *predict], "Iterator[Detections]"),
    ]
    return STUB_HEAD + "".join(methods)


def method(name: str, parameters: list[str], returned: str) -> str:
    """Return a method of the stub."""
    lines = "".join(f"        {each},\n" for each in ["self", *parameters])
    return f"    def {name}(\n{lines}    ) -> {returned}: ...\n"


def written() -> dict[Path, str]:
    """Return the content of each file."""
    return {
        SOURCE / "train_options.py": typed_dict(HEAD, train_options()),
        SOURCE / "prediction" / "keywords.py": typed_dict(PREDICT_HEAD, predict_options()),
        SOURCE / "detector" / "keywords.pyi": stub(),
    }


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
    """Write the files, or say which is out of date."""
    late = [path for path, text in written().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in late:
            sys.stderr.write(f"{path.relative_to(SOURCE.parents[1])} is out of date: run `make options`.\n")
        return 1 if late else 0
    for path in late:
        path.write_text(written()[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
