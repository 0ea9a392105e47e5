"""`docs/moving-over.md`: what its tables say of Lehr holds, its commands and its Python work as they stand there."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lehr.cli.predict import predict
from lehr.cli.val import val
from lehr.config import build_config
from lehr.errors import InputError
from lehr.hyperparameters import PRESETS, WITHOUT_EFFECT
from lehr.options.other_names import ABSENT, RENAMED, describe_other_command, describe_other_name
from tests.commands import lehr
from tests.pages import GROUP_OF, field, index
from tests.test_documents import options_of

PAGE = Path(__file__).parents[1] / "docs" / "moving-over.md"
COMMANDS = {"lehr val": val, "lehr predict": predict}
OF_THE_COMMAND = {"resume", "hyp"}
"""Options of `lehr train` that are none of a run."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table of options.

    Attributes:
        trainer: the program on the left, e.g. "val.py".
        names: theirs, as there.
        theirs: their default.
        command: the command on the right, e.g. "lehr val".
        name: Lehr's option, or "none".
        default: Lehr's.
        remark: what differs.
    """

    trainer: str
    names: tuple[str, ...]
    theirs: str
    command: str
    name: str
    default: str
    remark: str

    @property
    def plain(self) -> list[str]:
        """Their names with underscores."""
        return [name.lstrip("-").replace("-", "_") for name in self.names]


def rows() -> Iterator[Row]:
    """Every row of the page's tables of options."""
    table = r"^\| `([^`|]+)` \| default \| `(lehr \w+)` \| default \| what differs \|\n\|[-|]+\|\n((?:\|.*\n)+)"
    for trainer, command, body in re.findall(table, PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        for line in body.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 5, line
            names = tuple(re.findall(r"`([^`]+)`", cells[0]))
            yield Row(trainer, names, cells[1], command, cells[2].strip("`"), cells[3], cells[4])


ROWS = list(rows())


def own_default(row: Row) -> str:
    """Lehr's default of an option, as the page writes it."""
    name = row.name.removeprefix("--").replace("-", "_")
    if row.command == "lehr train":
        if name in OF_THE_COMMAND:
            return {"resume": "", "hyp": "none"}[name]
        default = field(name).default
        said = index()["default_of"](field(name))
        return "unset" if default is None and said != "none" and "unset" in str(field(name).description) else said
    signature = inspect.signature(COMMANDS[row.command]).parameters
    if name.startswith("no_"):
        return "off" if signature[name.removeprefix("no_")].default is True else "on"
    value = signature[name].default
    if value is inspect.Parameter.empty:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "unset" if name in ("imgsz", "name") else "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_tables_are_those_of_every_program() -> None:
    programs = {row.trainer for row in ROWS}
    assert programs == {"train.py", "hyp.yaml", "yolo train", "val.py", "yolo val", "detect.py", "yolo predict"}
    assert len(ROWS) > 200


@pytest.mark.parametrize("command", ["lehr train", "lehr val", "lehr predict"])
def test_the_right_columns_are_lehr_s_options_and_defaults(command: str) -> None:
    known = options_of(command.removeprefix("lehr "))
    here = [row for row in ROWS if row.command == command and row.name != "none"]
    assert not {row.name for row in here} - known
    wrong = {f"{row.trainer} {row.name}: {row.default}": own_default(row) for row in here}
    assert not {said: own for said, own in wrong.items() if said.split(": ")[1] != own}


def test_an_old_name_is_refused_with_the_reason_or_the_name_on_the_page() -> None:
    for row in ROWS:
        known = {option.lstrip("-").replace("-", "_") for option in options_of(row.command.removeprefix("lehr "))}
        for name in row.plain:
            if row.trainer == "hyp.yaml" or name in known:
                continue
            said = describe_other_name(name, known)
            assert said is not None, (row.trainer, name)
            if row.name == "none":
                assert row.remark in {ABSENT.get(each) for each in row.plain}, (row.trainer, name)
            else:
                assert row.name in said, (row.trainer, name, said)


def test_the_values_of_the_hyperparameter_file_are_those_of_the_preset() -> None:
    here = {row.names[0]: row.theirs for row in ROWS if row.trainer == "hyp.yaml"}
    for name, value in PRESETS["low"].items():
        assert float(here[name]) == value, name
    assert set(WITHOUT_EFFECT) <= here.keys()
    assert not here.keys() - PRESETS["low"].keys() - {"iou_t", "anchors", "warmup_epochs"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--pretrained", "8"], "There is no --pretrained here: it is --weights."),
        (["train", "--nosave"], "There is no --nosave: checkpoints are always kept"),
        (["train", "--exist-ok"], "a run is never overwritten; choose another --name"),
        (["train", "model=a.pt", "img_size=64"], "a.pt: there is no such file, and Lehr downloads none"),
        (["train", "model=yolov8n", "lrO=0.1"], "Unknown option: --lrO. Did you mean"),
        (["predict", "--weights", "x", "--conf-thres", "0.1", "y"], "y: no such image, folder or glob"),
        (["predict", "--weights", "x", "--source", "y"], "y: no such image, folder or glob"),
        (["predict", "--weights", "x", "--nosave", "y"], "y: no such image, folder or glob"),
        (["val", "--weights", "x", "--data", "y", "--half"], "float32"),
        (["val", "--data", "y", "--weights", "x", "--task=test"], "x: there is no such weights file"),
        (["detect", "--weights", "x"], "There is no command detect. Use `lehr train`, `lehr val` or `lehr predict`."),
        (["detect", "train", "model=yolov8n.pt"], "yolov8n.pt: there is no such file"),
        (["train", "--model", "yolov8n.pt"], "A file of weights is given as --weights yolov8n.pt."),
        (["export", "--weights", "x", "--include", "onnx"], "x: there is no such weights file"),
        (["val", "--weights", "x", "--data", "y", "--int8"], "an option of lehr export"),
    ],
)
def test_commands_as_others_write_them_are_answered_with_lehr_s(words: list[str], said: str, tmp_path: Path) -> None:
    done = lehr(*words, cwd=tmp_path, code=2)
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_files_and_python_answer_alike() -> None:
    with pytest.raises(InputError, match=r"options: there is no batch_size here: it is --batch"):
        build_config({"batch_size": 8})
    with pytest.raises(InputError, match=r"args\.yaml: there is no task: Lehr only detects objects"):
        build_config({"task": "detect"}, "args.yaml")


def test_names_of_no_trainer_are_left_to_the_nearest() -> None:
    assert describe_other_name("--bacth", {"batch"}) is None
    assert describe_other_command(["trian"]) is None and describe_other_command([]) is None
    assert describe_other_command(["photo=1.jpg", "other"]) is None


def test_no_name_of_lehr_s_is_taken_for_another_s() -> None:
    run = set(GROUP_OF)
    assert not (RENAMED.keys() - {"model"}) & run and "model" not in options_of("val")
