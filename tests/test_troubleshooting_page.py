"""docs/troubleshooting.md quotes what Lehr prints: each message is caused here and compared."""

from __future__ import annotations

import errno
import inspect
import math
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lehr.callbacks.outcome import end_lines
from lehr.config import build_config
from lehr.data.batch import Batch
from lehr.data.parcel import describe_no_start
from lehr.data.worker_processes import describe_lost_worker
from lehr.engine import divergence, out_of_memory
from lehr.errors import InputError
from lehr.export.formats import TORCH
from lehr.export.target import check_target
from lehr.techniques.non_finite import StepStatus, describe
from tests.commands import lehr
from tests.conftest import make_squares
from tests.document_commands import BLOCK, ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = [
    line.strip()
    for block in BLOCK.finditer(PAGE)
    if not block["language"]
    for line in block["text"].splitlines()
    if line.strip() and "stopped early" not in line  # which takes epochs: looked up in the code below
]
SMALL = "--width 0.125 --epochs 1 --imgsz 64 --batch 2 --device cpu"
COMMANDS = f"""
train --data data.yaml --device 0
val --data data.yaml --weights yolov8s.pt
train --data data.yaml --model yolov8n.pt
val --data data.yaml --weights bad.pt
val --data data.yaml --weights yolo11n.pt
train --data data.yaml --name train
train --data data.yaml {SMALL} --project /proc/runs
train --data nothing.yaml
train --data f.yaml {SMALL}
train --data unlabelled/data.yaml {SMALL}
train --data wrong/data.yaml {SMALL}
train --data d.yaml {SMALL}
val --data e.yaml --weights runs/train/best.safetensors
train --data broken/data.yaml {SMALL}
train --data data.yaml --batch 30 --processes 4 --device cpu
train --resume
train --resume runs/train
train --resume runs/train --imgsz 128 --epochs 3
train --resume runs/train/last.safetensors
train --resume runs/train --epochs 3 --data other/data.yaml
"""
"""All but the first that succeeds are refused."""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What Lehr prints of every trouble that can be had at once, with single blanks."""
    folder = tmp_path_factory.mktemp("troubles")
    for name in (".", "other", "unlabelled", "wrong", "broken"):
        make_squares(folder / name, {"train": 4 if name != "other" else 6, "val": 2})
    shutil.rmtree(folder / "unlabelled" / "labels" / "train")
    (folder / "wrong" / "labels" / "train" / "1.txt").write_text("7 0.5 0.5 0.2 0.2\n")
    (folder / "broken" / "images" / "train" / "0.jpg").write_bytes(b"no image")
    text = (folder / "data.yaml").read_text()
    (folder / "d.yaml").write_text(text + "nc: 5\n")
    (folder / "e.yaml").write_text(text.replace("small", "cat").replace("large", "dog"))
    (folder / "f.yaml").write_text(text.replace("images/val", "images/valid"))
    (folder / "bad.pt").write_bytes(b"PK\x03\x04" + b"x" * 300)
    shapes = {"model.23.cv3.0.0.0.conv.weight": (8, 1, 3, 3), "model.23.dfl.conv.weight": (1, 16, 1, 1)}
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, folder / "yolo11n.pt")
    trained = lehr("train", "--data", "data.yaml", *SMALL.split(), cwd=folder)
    done = [
        trained,
        *(lehr(*words.split(), cwd=folder, code=code_of(words)) for words in COMMANDS.strip().splitlines()),
    ]
    return " ".join(" ".join((*(each.stdout + each.stderr for each in done), *others(folder))).split())


def code_of(words: str) -> int:
    """Exit code of a command: a finished run is not an error."""
    return 0 if words == "train --resume runs/train" else 2


def others(folder: Path) -> Iterator[str]:
    """Messages of what no command can cause here."""
    yield describe_lost_worker(4711, -signal.SIGBUS)
    yield describe_no_start(8, OSError(errno.EMFILE, "Too many open files"))
    status = StepStatus(step=24, images=[0], losses=[math.nan, 1.0], norm=None, finite=False, scale=None)
    yield f"Optimizer step skipped: {describe(status, ('box', 'cls'), 10)}."
    (folder / "best.pt2").touch()
    with pytest.raises(InputError) as refused:
        check_target(folder / "best.pt2", TORCH)
    yield str(refused.value).replace(str(folder), "runs/train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(out_of_memory, "batch_that_fits", lambda *_: 41)
        patch.setattr(out_of_memory, "release", lambda device: None)
        batch = Batch.__new__(Batch)  # only handed on
        config = build_config({"data": "data.yaml", "batch": 64, "imgsz": 640})
        yield out_of_memory.shortage(config, torch.device("cuda", 0), batch, lambda _: None, "")


FOLDERS = r"(?:/data/|\b(?:unlabelled|wrong|broken|other)/)"
"""Folders of the test, and of the page, in whose place readers have their own."""


def plain(text: str) -> str:
    """A message without the folders of the test and the reason why a folder cannot be created."""
    text = re.sub(rf"{FOLDERS}|/proc/", "", text.removeprefix("lehr: "))
    text = re.sub(r"mAP is 0 in (the only epoch|all \d+ epochs)", "mAP is 0", text)
    return re.sub(r"cannot be created \([^)]*\)", "cannot be created", text)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_page_is_what_lehr_prints(message: str, printed: str) -> None:
    assert plain(message) in plain(printed)


def test_messages_are_found_and_those_in_the_text_are_in_the_code() -> None:
    assert len(MESSAGES) > 20
    source = inspect.getsource(end_lines)
    assert "No better result for {counted(" in source and ": stopped early (--patience)." in source
    words = "Check these images and their labels, or restart with a smaller --lr0 or a longer --warmup-epochs"
    code = re.sub(r'"\s+f?"', "", Path(divergence.__file__).read_text(encoding="utf-8"))
    assert words in PAGE and words in code
