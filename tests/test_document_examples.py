"""Every Python example of the documents and of public docstrings runs, or says what it needs."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil.document import Document
from sybil.parsers.markdown import CodeBlockParser

from lehr import Detector
from tests.conftest import Once
from tests.document_commands import PAGES, ROOT
from tests.document_workspace import make_workspace

NEEDS: dict[str, dict[str, str]] = {
    "docs/ecosystem.md": {
        "import datasets": "tests/integrations/test_hugging_face.py: from_datasets to_datasets",
        "detector = Detector.load": "tests/integrations/test_hub.py: push_to_hub",
        "from lehr.integrations.fiftyone": "tests/integrations/test_fiftyone.py: to_fiftyone from_fiftyone",
    },
    "docs/deploying.md": {
        "from lehr import Detector": 'tests/export/test_deploying_page.py: PROGRAMS Detector("best.onnx")',
        "import json\n\nimport cv2": "tests/export/test_deploying_page.py: PROGRAMS best.onnx",
        "import json\n\nimport openvino": "tests/export/test_deploying_page.py: PROGRAMS best_openvino",
    },
    "docs/first-steps.md": {"from lehr import Detector": "tests/test_readmes.py: first-steps.md exec(step,"},
    "docs/techniques/augmentations-by-name.md": {
        "# module my_package.rain": "needs albumentations, a package that Lehr does not bring",
    },
    "CONTRIBUTING.md": {
        '"""Gradient centralization': "shows the form of a technique that is not there",
        "centralize: Annotated": "a line of that technique's option",
        "# TrainStep.__init__": "lines of that technique's call",
        "# examples/lehr-example/src/lehr_example/family": "tests/examples/test_lehr_example.py: toy-s",
        "# examples/lehr-example/src/lehr_example/quarter": "tests/examples/test_lehr_example.py: quarter-turns",
    },
}
"""Why examples of a page are not run, by how they begin: what they need, or `TEST: words that stand in it`."""
GIVEN = {
    "docs/ecosystem.md": """
        from lehr import Detections, Detector
        detector = Detector("runs/train/best.safetensors")
    """,
}
"""What an example takes for granted."""
SMALL = {"imgsz": 64, "batch": 2, "device": "cpu", "epochs": 1, "report": False, "verbose": False}
"""Options of a training in an example, in the place of its own."""
SOURCES = sorted(path for path in (ROOT / "src" / "lehr").rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


def examples(page: Path) -> Iterator[tuple[str, int]]:
    """Python blocks of a page, with the line that each begins in."""
    document = Document(page.read_text(encoding="utf-8"), str(page))
    for region in sorted(CodeBlockParser("python")(document), key=lambda region: region.start):
        yield textwrap.dedent(str(region.parsed)), document.text.count("\n", 0, region.start) + 2


EXAMPLES = {page.relative_to(ROOT).as_posix(): found for page in PAGES if (found := list(examples(page)))}


@pytest.fixture
def small(once: Once, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the documents as the working folder, where detectors train for a moment on four images."""
    folder = tmp_path / "here"
    shutil.copytree(once("documents", make_workspace), folder)
    monkeypatch.chdir(folder)
    train, val = Detector.train, Detector.val

    def train_small(self: Detector, *arguments: Any, **options: Any) -> Any:
        size = {} if self._weights is not None or "resume" in options else {"width": 0.125}
        data = "data.yaml" if options.get("data", "shapes") == "shapes" else options["data"]
        return train(self, *arguments, **{**options, **size, **SMALL, "data": data})

    def val_small(self: Detector, data: Any = "shapes", *arguments: Any, **options: Any) -> Any:
        return val(self, "data.yaml" if data == "shapes" else data, *arguments, **options)

    monkeypatch.setattr(Detector, "train", train_small)
    monkeypatch.setattr(Detector, "val", val_small)
    return folder


def mark_of(page: str, example: str) -> str | None:
    """Why an example is not run; None where it is."""
    return next((why for start, why in NEEDS.get(page, {}).items() if example.startswith(start)), None)


@pytest.mark.parametrize("page", list(EXAMPLES))
def test_examples_of_a_page_run_one_after_the_other(page: str, small: Path) -> None:
    given: dict[str, Any] = {}
    exec(textwrap.dedent(GIVEN.get(page, "")), given)
    for example, line in EXAMPLES[page]:
        if mark_of(page, example) is None:
            exec(compile("\n" * (line - 1) + example, os.fspath(ROOT / page), "exec"), given)


def test_no_mark_is_left_over_and_tests_that_are_named_show_what_they_are_to() -> None:
    for page, marks in NEEDS.items():
        for start, why in marks.items():
            assert any(example.startswith(start) for example, _ in EXAMPLES.get(page, [])), f"{page}: {start}"
            if why.startswith("tests/"):
                path, _, words = why.partition(": ")
                source = (ROOT / path).read_text(encoding="utf-8")
                assert words and all(word in source for word in words.split()), why


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "src").as_posix())
def test_examples_of_docstrings_run_and_none_is_skipped(path: Path, small: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "doctest: +SKIP" not in text, "an example that cannot run is not an example"
    assert not re.search(r"^ *Example:\n", text, re.MULTILINE), "the reference shows examples below `Examples:`"
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    found = [test for test in doctest.DocTestFinder().find(module, name) if test.examples]
    assert found, "its examples stand where nobody finds them"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    said: list[str] = []
    for test in found:
        runner.run(test, out=said.append)
    assert not said, "".join(said)


def test_examples_are_found_with_their_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n```python\na = 1\n```\n\n1. so\n\n   ```python\n   b = 2\n   c = 3\n   ```\n\n```toml\nd = 4\n```\n"
    )
    assert list(examples(page)) == [("a = 1\n", 4), ("b = 2\nc = 3\n", 10)]
