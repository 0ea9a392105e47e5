"""Foreign bytes come in by one way, `lehr.runtime.reading`; what else opens a file has a reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "lehr"
READERS = {"open", "read_text", "read_bytes", "imread", "fromfile", "safe_open", "memmap"}
"""Functions and methods that open a file by its name."""
MODULES = {"torch.load", "np.load", "pickle.load", "pickle.loads", "marshal.loads", "joblib.load", "yaml.load"}
"""Functions that make objects of bytes."""
WRITES = "writes a new file, which nobody else knows"
SYSTEM = "reads what the kernel says"
PARTS = "is handed bytes that `reading` has read"
REASONS: dict[tuple[str, str], str] = {
    ("augment/own_transforms.py", "read_bytes"): "fingerprints code that has just been run",
    ("checkpoint/format.py", "open"): WRITES,
    ("data/cache.py", "memmap"): "maps pixels in a folder that is the user's own, checked for its owner",
    ("data/formats/voc_lists.py", "read_text"): "Lehr's own function, over `reading`",
    ("data/formats/voc_names.py", "read_text"): "Lehr's own function, over `reading`",
    ("data/formats/yolo_yaml.py", "read_bytes"): "Lehr's own function, over `reading`",
    ("yaml_files.py", "read_bytes"): "Lehr's own function, over `reading`",
    ("data/parcel.py", "pickle"): "takes batches from loading processes that this one started, over its own pipe",
    ("data/parcel.py", "pickle.loads"): "takes batches from loading processes that this one started, over its own pipe",
    ("data/worker_pool.py", "pickle"): "tries whether an error of its own can be sent",
    ("data/worker_pool.py", "pickle.loads"): "tries whether an error of its own can be sent",
    ("data/scan_index.py", "np.load"): PARTS + ", without pickles",
    ("data/write.py", "open"): WRITES,
    ("distributed/folder_store.py", "read_bytes"): "a folder that only this user can open, made for the run",
    ("distributed/launch.py", "open"): "a folder that only this user can open, made for the run",
    ("distributed/launch.py", "read_text"): "a folder that only this user can open, made for the run",
    ("engine/worker.py", "read_text"): "a folder that only this user can open, made for the run",
    ("doctor/build.py", "read_text"): SYSTEM,
    ("doctor/machine.py", "read_text"): SYSTEM,
    ("models/weights.py", "open"): WRITES,
    ("runtime/atomic_write.py", "open"): "flushes a file that it has written",
    ("runtime/control_groups.py", "read_text"): SYSTEM,
    ("runtime/malloc.py", "read_text"): SYSTEM,
    ("runtime/standard_streams.py", "open"): "opens the null device",
    ("studies/journal.py", "open"): "makes a lock, which must not be there yet",
    ("techniques/plan.py", "open"): WRITES,
    ("techniques/precision_support.py", "read_text"): SYSTEM,
}


def openings(text: str) -> set[str]:
    """Names of functions that open files, or make objects of bytes, and that a module calls or imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            name = called.rpartition(".")[2]
            if called in (*MODULES, "Image.open"):
                found.add(called)
            elif name in READERS:
                found.add(name)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in ("pickle", "marshal", "shelve", "dill")}
        elif isinstance(node, ast.ImportFrom) and node.module in ("pickle", "marshal", "shelve"):
            found.add(node.module)
    return found


MODULES_OF_LEHR = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("module", [name for name in MODULES_OF_LEHR if name != "runtime/reading.py"])
def test_nothing_else_opens_foreign_files(module: str) -> None:
    found = openings((SOURCE / module).read_text(encoding="utf-8"))
    without_reason = {name for name in found if (module, name) not in REASONS}
    assert not without_reason, f"{module}: {without_reason}; read by lehr.runtime.reading, or give a reason here"


def test_reasons_are_of_modules_that_are_there() -> None:
    assert {module for module, _ in REASONS} <= set(MODULES_OF_LEHR)
    assert all(reason for reason in REASONS.values())


def test_openings_are_seen() -> None:
    text = "import pickle\nfrom marshal import loads\nPath('x').open()\nopen('x')\ncv2.imread('x')\ntorch.load('x')\n"
    text += "np.fromfile('x')\nImage.open('x')\nsafe_open('x')\npath.read_text()\npath.read_bytes()\nos.open('x', 0)\n"
    seen = {"pickle", "marshal", "open", "imread", "torch.load", "fromfile", "Image.open", "safe_open"}
    assert openings(text) == seen | {"read_text", "read_bytes"}
