"""README.md and docs/first-steps.md followed by copy and paste alone, in a fresh clone with an environment of its own.

Training on own data is cut down to two epochs, since the reader's data are eight images, and `make test`, which every
landing runs, is skipped. The rest is done as it stands, installations too, which takes minutes and a package index.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.document_commands import ROOT
from tests.pages_as_scripts import as_script, make_reader_s_files, steps

REPLACED = {
    r"^make test\b.*": "true",
    r"(epochs[ =])100": r"\g<1>2",
    r"^(lehr val --weights runs/detect/.*)": r"mkdir -p runs && cp -r theirs/runs/* runs/\n\1",
}
LEFT = {
    "README.md": ("runs/train/best.onnx", "runs/mine/best.onnx", "runs/mine/best.onnx.certificate.json"),
    "docs/first-steps.md": ("runs/first/best.onnx", "runs/fruit/best.onnx", "runs/fruit/report.html"),
}
"""What is there in the end."""


def environment(home: Path) -> dict[str, str]:
    """Variables of a shell that knows of no environment of Python's, with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or "proxy" in name.lower()}
    venv = str(Path(os.environ.get("VIRTUAL_ENV", "/nowhere")) / "bin")
    path = [each for each in os.environ["PATH"].split(os.pathsep) if each != venv and ".venv" not in each]
    return {**kept, "PATH": os.pathsep.join(path), "HOME": str(home), "LANG": "C.UTF-8"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_pages_that_are_followed_end_in_an_exported_detector(tmp_path: Path) -> None:
    clone, home = tmp_path / "lehr", tmp_path / "home"
    home.mkdir()
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs a clone of the repository")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    make_reader_s_files(clone)
    for page, left in LEFT.items():
        script = as_script(steps((clone / page).read_text(encoding="utf-8")), REPLACED)
        done = subprocess.run(["bash", "-c", script], cwd=clone, env=environment(home), text=True, capture_output=True)
        (tmp_path / f"{Path(page).stem}.log").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert not [name for name in left if not (clone / name).exists()]
