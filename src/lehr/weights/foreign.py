"""Files that are given as weights and are none of Lehr's: what each is, by its first bytes, and what to do instead."""

from __future__ import annotations

from pathlib import Path

from lehr.runtime.reading import open_file, read_start
from lehr.weights.best_of_run import BEST_WEIGHTS, LAST_WEIGHTS

ENDING, STATE = ".safetensors", ".ckpt"
"""Endings of weights, and of the state of a run."""
PICKLED = (".pt", ".pth")
"""Endings of checkpoints of other trainers."""
EXPORT, EXPORT_TAGS = ".onnx", b'\x08\x12\x1a"(2:Br'
"""Ending of ONNX exports, and the bytes that begin one: keys of the fields of its outermost message."""
EXPORTED = {
    ".engine": "a TensorRT engine",
    ".trt": "a TensorRT engine",
    ".torchscript": "a TorchScript export",
    ".tflite": "a TensorFlow Lite export",
    ".pb": "a TensorFlow graph",
    ".h5": "a Keras file",
    ".keras": "a Keras file",
    ".mlmodel": "a Core ML export",
    ".mlpackage": "a Core ML export",
    ".weights": "a file of Darknet weights",
    ".cfg": "a model's description",
    ".yaml": "a YAML file",
    ".yml": "a YAML file",
    ".json": "a JSON file",
    ".csv": "a table",
}
"""Other endings that are given as weights."""
HEAD, TAIL = 512, 2**16
"""Bytes at the ends of a file that are looked at."""


def is_pickled(path: Path) -> bool:
    """Return whether a file is what torch or a pickle writes, by its first bytes; False if there is none."""
    try:
        with open_file(path) as file:
            head = file.read(HEAD)
            file.seek(max(0, file.seek(0, 2) - TAIL))
            tail = file.read()
    except OSError:
        return False
    return _is_pickled(head) and not _is_state(head, tail)


def is_exported(path: Path) -> bool:
    """Return whether a file is an ONNX export, by its ending and its first byte; False if there is none."""
    if path.suffix.lower() != EXPORT:
        return False
    try:
        return _is_exported(path, read_start(path, 1))
    except OSError:
        return False


def describe_foreign(path: Path) -> str:
    """Say what a file is that cannot be read as weights, and what to give instead; nothing in it is run.

    Args:
        path: what was given; may be missing, or a folder.

    Returns:
        A message without the file's name, e.g. "is empty. Copy it again."
    """
    try:
        if path.is_dir():
            return f"is a folder. {_offer(path)}"
        if not path.exists():
            return _missing(path)
        with open_file(path) as file:
            head = file.read(HEAD)
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            tail = file.read()
    except OSError as error:
        return f"cannot be read ({error.strerror}). Check the path and its permissions."
    return _by_content(path, head, tail)


def _by_content(path: Path, head: bytes, tail: bytes) -> str:
    """Describe a file by its ends and its name."""
    text = head.lstrip()
    if not head:
        return "is empty. Copy it again."
    if head.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS in place of the file. Fetch the file: git lfs pull."
    if text[:1] == b"<":
        return "is a web page and no weights file. Download the file itself, not the page about it."
    if _is_state(head, tail):
        return f"is the state of a run, which resumes the run: lehr train --resume {path}. {_offer(path.parent)}"
    if _is_pickled(head):
        return f"is a checkpoint of PyTorch ({path.suffix or 'pickle'}). {_pickled()}"
    if head.startswith(b"\x89HDF"):
        return f"is a Keras file. {_own()}"
    if path.suffix.lower() == EXPORT and not _is_exported(path, head):
        return "is not an ONNX export, though it is named like one. Copy it again."
    if path.suffix.lower() == EXPORT:
        return f"is an ONNX export. {_pickled()}"
    if path.suffix.lower() in EXPORTED:
        return f"is {EXPORTED[path.suffix.lower()]} and no weights of Lehr's. {_own()}"
    if path.suffix.lower() == ENDING and head[8:9] == b"{":
        return "is damaged or cut off. Copy it again."
    shown = head[:16].split(b"\n")[0]
    start = (
        f"it begins with {shown.decode()!r}" if shown.isascii() and shown.decode().isprintable() else "unknown bytes"
    )
    return f"is not a weights file of any kind ({start}). {_own()}"


def _is_pickled(head: bytes) -> bool:
    return head.startswith(b"PK\x03\x04") or head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def _is_exported(path: Path, head: bytes) -> bool:
    return path.suffix.lower() == EXPORT and head[:1] != b"" and head[0] in EXPORT_TAGS


def _is_state(head: bytes, tail: bytes) -> bool:
    return b'{"format": "lehr-' in tail and head.startswith(b"PK")


def _missing(path: Path) -> str:
    """Describe a path at which nothing is."""
    if path.is_symlink():
        return f"is a link to {path.readlink()}, which does not exist. Restore it."
    if path.suffix.lower() in (*PICKLED, EXPORT):
        return (
            "there is no such file, and Lehr downloads none. Give a file that you have, or train without: --model "
            "yolov8n."
        )
    beside = _offer(path.parent, "") if path.parent.is_dir() else ""
    return f"there is no such weights file. {beside or 'Give a .safetensors file, e.g. runs/train/best.safetensors.'}"


def _pickled() -> str:
    return (
        "Lehr reads the .safetensors files that it writes, and checkpoints of YOLOv5, YOLOv8 and YOLOv3-SPP (.pt, or "
        "exported as .onnx), of which nothing runs. Give such a file; to train without weights, name a model, e.g. "
        "--model yolov8n."
    )


def _own() -> str:
    return "Give a .safetensors file that Lehr wrote, e.g. runs/train/best.safetensors."


def _offer(folder: Path, otherwise: str | None = None) -> str:
    """Name the weights that are in a run's folder, or any; else how weights are named in general."""
    found = [folder / name for name in (BEST_WEIGHTS, LAST_WEIGHTS) if (folder / name).is_file()]
    found = found or sorted(folder.glob(f"*{ENDING}"))[:2]
    if found:
        return f"Weights are in {' and '.join(map(str, found))}."
    return _own() if otherwise is None else otherwise
