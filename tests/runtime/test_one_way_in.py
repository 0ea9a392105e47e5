"""Foreign bytes come in by one way, `lehr.runtime.reading`; what else opens a file has a reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "lehr"
READERS = {"open", "read_text", "read_bytes", "imread", "fromfile", "safe_open", "memmap"}
READERS |= {"FileIO", "open_code", "loadtxt", "genfromtxt", "load_file", "VideoCapture", "imreadmulti", "read_csv"}
READERS |= {"ZipFile", "TarFile", "iterparse"}
"""Functions and methods that open a file by its name."""
MODULES = {"torch.load", "np.load", "pickle.load", "pickle.loads", "marshal.loads", "joblib.load", "yaml.load"}
MODULES |= {"yaml.unsafe_load", "yaml.full_load", "torch.jit.load", "sqlite3.connect", "Image.open"}
"""Functions that make objects of bytes."""
RUNNERS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "importlib.import_module",
    "os.system",
    "os.popen",
    "runpy.run_path",
}
RUNNERS |= {f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output", "Popen", "getoutput")}
"""Functions that run code or programs that a text names."""
SHORT = {"numpy": "np", "PIL.Image": "Image", "builtins.": ""}
WRITES = "writes a new file, which nobody else knows"
SYSTEM = "reads what the kernel says"
PARTS = "is handed bytes that `reading` has read"
REASONS: dict[tuple[str, str], str] = {
    ("__init__.py", "importlib.import_module"): "modules of its own table",
    ("augment/own_transforms.py", "read_bytes"): "fingerprints code that has just been run",
    ("backends/program_archive.py", "ZipFile"): "writes an archive in memory",
    ("checkpoint/format.py", "open"): WRITES,
    ("data/cache.py", "memmap"): "maps pixels in a folder that is the user's own, checked for its owner",
    ("data/formats/voc_lists.py", "read_text"): "Lehr's own function, over `reading`",
    ("data/formats/voc_names.py", "read_text"): "Lehr's own function, over `reading`",
    ("data/formats/yolo_yaml.py", "read_bytes"): "Lehr's own function, over `reading`",
    ("export/executorch.py", "open"): WRITES,
    ("integrations/coco_folder.py", "open"): WRITES,
    ("prediction/outputs/json_file.py", "open"): "writes to a device that the user named",
    ("prediction/outputs/video_file.py", "open"): WRITES,
    ("prediction/outputs/atomic_text_file.py", "open"): WRITES,
    ("prediction/remote.py", "open"): "asks for an address of http or https that the user named",
    ("prediction/video.py", "open"): "FFmpeg reads an open file, or a camera or an address that the user named",
    ("runtime/shared_block.py", "open"): "maps memory that another process of this run has made, by its own message",
    ("yaml_files.py", "read_bytes"): "Lehr's own function, over `reading`",
    ("data/parcel.py", "pickle"): "takes batches from loading processes that this one started, over its own pipe",
    ("data/parcel.py", "pickle.loads"): "takes batches from loading processes that this one started, over its own pipe",
    ("data/worker_processes.py", "read_text"): SYSTEM,
    ("data/worker_pool.py", "pickle"): "tries whether an error of its own can be sent",
    ("data/worker_pool.py", "pickle.loads"): "tries whether an error of its own can be sent",
    ("data/images/pillow.py", "importlib.import_module"): "Pillow's own modules, by a list of names",
    ("data/scan_index.py", "np.load"): PARTS + ", without pickles",
    ("data/write.py", "open"): WRITES,
    ("evaluation/torchvision_nms.py", "importlib.import_module"): "torchvision, as installed, like its library",
    ("plots/figure.py", "read_text"): "reads back a file that it has written, which nobody else knows",
    ("distributed/folder_store.py", "read_bytes"): "a folder that only this user can open, made for the run",
    ("distributed/launch.py", "open"): "a folder that only this user can open, made for the run",
    ("distributed/launch.py", "read_text"): "a folder that only this user can open, made for the run",
    ("engine/worker.py", "read_text"): "a folder that only this user can open, made for the run",
    ("doctor/build.py", "read_text"): SYSTEM,
    ("doctor/build.py", "subprocess.run"): "asks nvidia-smi, found in PATH",
    ("doctor/packages.py", "importlib.import_module"): "packages of its own table",
    ("weights/safetensors_file.py", "open"): WRITES,
    ("plugins.py", "importlib.import_module"): "code that the user names",
    ("runtime/atomic_write.py", "open"): "flushes a file that it has written",
    ("runtime/child_process.py", "subprocess.Popen"): "starts this interpreter with a module of Lehr's",
    ("runtime/control_groups.py", "read_text"): SYSTEM,
    ("runtime/cpu_name.py", "read_text"): SYSTEM,
    ("runtime/malloc.py", "read_text"): SYSTEM,
    ("runtime/neighbours.py", "read_text"): SYSTEM,
    ("runtime/notebook.py", "importlib.import_module"): "IPython, an installed package",
    ("runtime/standard_streams.py", "open"): "opens the null device",
    ("studies/journal.py", "open"): "makes a lock, which must not be there yet",
    ("studies/sqlite_file.py", "sqlite3.connect"): "looks at the file by `reading` first, and at its tables",
    ("techniques/catalog.py", "importlib.import_module"): "modules of Lehr",
    ("techniques/plan.py", "open"): WRITES,
    ("techniques/precision_support.py", "read_text"): SYSTEM,
}


def openings(text: str) -> set[str]:
    """Names of functions that open files, make objects of bytes or run code, and that a module uses or imports.

    Another name given in importing hides nothing, nor that a function is handed on instead of called.
    """
    found, full = set(), {}
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            full |= {each.asname or each.name.split(".")[0]: each.name for each in node.names if each.asname}
            found |= {each.name for each in node.names if each.name in ("pickle", "marshal", "shelve", "dill")}
        elif isinstance(node, ast.ImportFrom):
            full |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
            found |= {node.module} & {"pickle", "marshal", "shelve"}
    annotations = {id(part) for node in nodes for part in _annotations(node)}
    for node in nodes:
        if (
            not isinstance(node, ast.Name | ast.Attribute)
            or not isinstance(node.ctx, ast.Load)
            or id(node) in annotations
        ):
            continue
        first, dot, rest = _dotted(node).partition(".")
        used = full.get(first, first) + dot + rest
        for long, short in SHORT.items():
            used = used.replace(long, short) if used.startswith(long) else used
        name = used.rpartition(".")[2]
        if used in MODULES | RUNNERS:
            found.add(used)
        elif name in READERS and not (used == name and name in _own(tree)):
            found.add(name)
    return found


def _dotted(node: ast.AST) -> str:
    """A name and its attributes, as they are written; a question mark for what is computed."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _annotations(node: ast.AST) -> list[ast.AST]:
    """Everything in the annotations of a node, which opens nothing."""
    noted = [getattr(node, name, None) for name in ("annotation", "returns")]
    return [part for each in noted if isinstance(each, ast.AST) for part in ast.walk(each)]


def _own(tree: ast.AST) -> set[str]:
    """Names of parameters and variables, which are not functions."""
    return {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


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


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("from torch import load as fetch\nfetch('x')", "torch.load"),
        ("import numpy\nnumpy.load('x')", "np.load"),
        ("import numpy as n\nn.load('x')", "np.load"),
        ("import yaml as y\ny.unsafe_load('x')", "yaml.unsafe_load"),
        ("look = open\nlook('x')", "open"),
        ("list(map(Path.read_text, paths))", "read_text"),
        ("from PIL.Image import open as look\nlook('x')", "Image.open"),
        ("from io import FileIO as Raw\nRaw('x')", "FileIO"),
        ("import zipfile as z\nz.ZipFile('x')", "ZipFile"),
        ("import builtins\nbuiltins.eval('x')", "eval"),
        ("from os import system as say\nsay('x')", "os.system"),
        ("from importlib import import_module as take\ntake('x')", "importlib.import_module"),
        ("from sqlite3 import connect\nconnect('x')", "sqlite3.connect"),
    ],
)
def test_another_name_hides_no_opening(text: str, seen: str) -> None:
    assert openings(text) == {seen}
