"""Every command line of the documents is run, shown by a test that is named, or marked with what it needs."""

from __future__ import annotations

import json
import re
import shutil
import signal
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from lehr.models.build import build_model
from tests.commands import lehr
from tests.conftest import Once, make_squares
from tests.document_commands import (
    MARKS,
    OTHERS,
    ROOT,
    SAME,
    SCRIPTS,
    Line,
    all_lines,
    command_lines,
    mark_of,
    owned,
    small,
)

LINES = all_lines()
EXITS = {"diff": 1}
"""Exit codes of commands whose answer is one: that runs differ."""


def test_lines_are_found_joined_and_made_small() -> None:
    text = (
        "```console\n$ lehr train --data x.yaml \\\n    --epochs 100  # long\noutput\n```\n"
        "```sh\nset -e\nlehr train\n```\n```\npip install x\nnot a command\n```\n```python\nlehr = 1\n```\n"
        "1. so:\n   ```console\n   $ lehr diff a b\n   ```\n"
    )
    lines = list(command_lines(text))
    assert [line.text for line in lines] == [
        "lehr train --data x.yaml --epochs 100",
        "set -e",
        "pip install x",
        "lehr diff a b",
    ]
    assert [line.script for line in lines] == [False, True, False, False]
    assert small(lines[0])[:5] == ("train", "--data", "x.yaml", "--epochs", "1") and "--width" in small(lines[0])
    assert "--width" not in small(Line("", "lehr train --weights w.pt"))


@pytest.mark.parametrize(
    "line", [each for each in LINES if each.script or each.program != "lehr"], ids=lambda line: line.text[:40]
)
def test_lines_of_other_programs_are_known_and_name_what_is_there(line: Line) -> None:
    if line.script or line.program in OTHERS:
        assert mark_of(line), f"{line.page}: say in SCRIPTS or OTHERS why this is not run: {line.text}"
        return
    words = line.words
    if line.program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1].partition("=")[0] in targets
    elif line.program == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        named = {name for word in words for extras in re.findall(r"\[([\w,-]+)\]", word) for name in extras.split(",")}
        assert named <= set(project["optional-dependencies"])
        assert all((ROOT / word).exists() for word in words if word.endswith(".txt") or word.startswith("./"))
    elif Path(line.program).name == "python":
        if words[1:3] == ["-m", "pytest"]:
            assert all((ROOT / word).exists() for word in words[3:] if "/" in word)
            return
        path = f"{words[2].replace('.', '/')}.py" if words[1] == "-m" else words[1]
        source = (ROOT / path).read_text(encoding="utf-8")
        own = words[: words.index("--")] if "--" in words else words
        assert all(word in source for word in own if word.startswith("--")), "an option that the program has not"
    else:
        pytest.fail(f"{line.page}: a program that this test does not know; see tests/document_commands.py: {line.text}")


def test_no_mark_is_left_over_and_tests_that_are_named_show_what_they_are_to() -> None:
    texts = [line.text for line in LINES if not line.script and line.program == "lehr"]
    assert not [pattern for pattern in MARKS if not any(re.search(pattern, text) for text in texts)]
    firsts = [line.text for line in LINES if line.script]
    assert not [start for start in SCRIPTS if not any(text.startswith(start) for text in firsts)]
    for why in (*MARKS.values(), *SCRIPTS.values()):
        if why.startswith("tests/"):
            path, _, words = why.partition(": ")
            source = (ROOT / path).read_text(encoding="utf-8")
            assert words and all(word in source for word in words.split()), why


@pytest.fixture(scope="module")
def workspace(once: Once) -> Path:
    """What the documents speak of, small: data sets, photographs, weights of several trainers, runs."""
    return once("documents", _make_workspace)


def _make_workspace(folder: Path) -> None:
    from lehr.errors import Stopped
    from tests.engine.runs import on, run
    from tests.weights.published.published_files import with_statistics, write_published

    data = make_squares(folder, {"train": 4, "val": 2, "test": 2})
    data.write_text(data.read_text() + "test: images/test\n")
    for name in ("my.yaml", "old.yaml", "YOUR.yaml"):
        shutil.copy(data, folder / name)
    for place in ("photos", "new-photos", "folder"):
        shutil.copytree(folder / "images" / "train", folder / place)
    for label in (folder / "labels" / "train").glob("*.txt"):
        shutil.copy(label, folder / "photos")
    (folder / "photos" / "classes.txt").write_text("small\nlarge\n")
    shutil.copy(folder / "images" / "val" / "0.jpg", folder / "photo.jpg")
    (folder / "shots").mkdir()
    from lehr.data.images import read_image, write_image

    write_image(folder / "shots" / "a.png", read_image(folder / "photo.jpg"))
    write_video(folder / "video.mp4")
    images = [{"id": 7 + number, "file_name": f"{number}.jpg", "width": 64, "height": 64} for number in range(2)]
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(("small", "large"))]
    (folder / "annotations").mkdir()
    listing = json.dumps({"images": images, "annotations": [], "categories": categories})
    (folder / "annotations" / "instances_val.json").write_text(listing)
    (folder / "hyp.scratch-low.yaml").write_text("lr0: 0.01\nlrf: 0.01\nmomentum: 0.937\nmosaic: 1.0\nbox: 0.05\n")

    small_run = {"epochs": 3, "batch": 2, "digests": True, "close_mosaic": 0}
    run(data, folder / "runs", "train-2", **{**small_run, "epochs": 1, "seed": 1})

    def stop(event: object) -> None:
        if event.epoch == 1:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGTERM)

    with on("on_train_epoch_end", stop), pytest.raises(Stopped):
        run(data, folder / "runs", "train", **small_run)
    torch.manual_seed(0)
    for variant in ("yolov8n", "yolov5s"):
        model = with_statistics(build_model(variant, ("small", "large"), 64, width=0.125))
        write_published(folder / f"{variant}.pt", model)
    for name, same in SAME.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / same, folder / name)


def write_video(path: Path) -> None:
    """Write four frames of 64 x 64 pixels."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(4):
            pixels = np.full((64, 64, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("page", list(owned()))
def test_commands_of_a_page_do_what_they_are_given(page: str, workspace: Path, tmp_path: Path) -> None:
    shutil.copytree(workspace, tmp_path / "here")
    for words in owned()[page]:
        lehr(*words, cwd=tmp_path / "here", code=EXITS.get(words[0], 0))
