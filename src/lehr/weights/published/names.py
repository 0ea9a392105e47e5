"""Names that a checkpoint of a published trainer may use, and what stands for each; all others are refused.

No name is ever looked up: a class becomes a record (`StandIn`), a container a plain one, and the few functions that
make tensors and numbers have twins here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch

from lehr.errors import shown
from lehr.runtime.plain_text import one_line
from lehr.weights.published.stand_in import Name, Refused, StandIn

ALIASES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Modules by the names that they had before."""
CLASSES = re.compile(
    r"(torch\.(nn|optim|cuda\.amp|amp)|models|ultralytics|utils|yolov[35])\.(\w+\.)*([A-Z]\w*|v\d+\w*)", re.ASCII
)
"""Classes of networks, their parts, their losses and optimizers: names begin with a capital (or `v8DetectionLoss`)."""
FUNCTIONS = re.compile(r"(torch\.nn\.functional|models|ultralytics|utils|yolov[35])\.(\w+\.)*[a-z]\w*", re.ASCII)
"""Functions that may be an attribute of a module; they are never called."""
RECORDS = {
    "argparse.Namespace",
    "types.SimpleNamespace",
    "collections.Counter",
    "collections.deque",
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "builtins.range",
    "builtins.xrange",
    "builtins.slice",
    "torch.torch_version.TorchVersion",
    "torch.nn.backends.thnn._get_thnn_function_backend",  # an attribute of modules before torch 1.5
    "easydict.EasyDict",
}
"""Further classes whose objects become records."""
TYPES = {
    *(f"builtins.{name}" for name in ("int", "float", "str", "bool", "complex", "object", "bytes", "type", "long")),
    *("torch.Tensor", "torch._tensor.Tensor", "numpy.ndarray"),
}
"""Classes that may be named, and of which nothing is made."""
PATHS = re.compile(r"pathlib\.(_local\.)?(Pure)?(Posix|Windows)?Path")
DTYPES = {
    f"torch.{str(dtype).partition('.')[2]}": dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
}
STORAGES: dict[str, torch.dtype | None] = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.storage.UntypedStorage": None,
}
"""Memory of tensors, and the type of its numbers; None if the tensor says it."""
TENSORS = {f"torch._utils._rebuild_{name}" for name in ("tensor", "tensor_v2", "tensor_v3")}
PARAMETERS = {f"torch._utils._rebuild_parameter{name}" for name in ("", "_with_state")}
SUBCLASS = "torch._tensor._rebuild_from_type_v2"
NUMPY = re.compile(r"numpy\.(_core|core)\.(multiarray|numeric)\.")
ARRAY, SCALAR, NUMBER_TYPE = "numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar", "numpy.dtype"
ENCODE, SIZE, DEVICE = "_codecs.encode", "torch.Size", "torch.device"
METHOD, METHODS = "builtins.getattr", re.compile(r"(forward|_forward|predict)\w*", re.ASCII)
"""A pickle's name for a method, and methods among attributes: `forward_fuse` of a layer whose BatchNorm is merged."""
DICTIONARIES = {"builtins.dict", "collections.OrderedDict", "collections.defaultdict"}
SEQUENCES: dict[str, Callable[[Any], Any]] = {"builtins.list": list, "builtins.tuple": tuple}
SETS: dict[str, Callable[[Any], Any]] = {"builtins.set": set, "builtins.frozenset": frozenset}
CALLED = {ARRAY, SCALAR, NUMBER_TYPE, ENCODE, SIZE, DEVICE, SUBCLASS, METHOD}
CALLED |= {*TENSORS, *PARAMETERS, *DICTIONARIES, *SEQUENCES, *SETS}
"""Names whose call has a twin here."""

RUNS_PROGRAMS, RUNS_CODE = "which runs programs or changes files", "which runs code of the file's choice"
REASONS = {
    **dict.fromkeys(("os", "posix", "nt", "subprocess", "pty", "popen2", "commands", "platform"), RUNS_PROGRAMS),
    **dict.fromkeys(("shutil", "tempfile", "io", "_io", "fileinput", "pathlib", "glob"), "which reads or writes files"),
    **dict.fromkeys(
        ("socket", "ssl", "urllib", "http", "ftplib", "smtplib", "requests", "webbrowser"), "which connects"
    ),
    **dict.fromkeys(("builtins", "runpy", "importlib", "imp", "pkgutil", "pip", "code", "codeop", "types"), RUNS_CODE),
    **dict.fromkeys(("timeit", "cProfile", "profile", "pdb", "bdb", "doctest", "trace", "sys", "marshal"), RUNS_CODE),
    **dict.fromkeys(("pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve"), "which reads further pickles"),
    **dict.fromkeys(("operator", "_operator", "functools", "_functools", "copyreg"), "which calls what a file names"),
    **dict.fromkeys(("ctypes", "_ctypes", "cffi", "mmap"), "which calls machine code"),
    **dict.fromkeys(("signal", "threading", "multiprocessing", "asyncio", "atexit", "gc"), "which acts on the process"),
}
"""Names that checkpoints misuse, by their first module."""
MAX_NAME = 300
REMEDY = (
    "No such name belongs in a checkpoint of YOLOv3, YOLOv5 or YOLOv8; nothing in the file was run. Take it from "
    "people whom you believe, or let its owner save the weights alone: torch.save(model.state_dict(), 'weights.pt')."
)


def find(module: str, name: str) -> Any:
    """Return what stands for a name: a dtype of torch, or the name itself if it is known.

    Raises:
        Refused: it is not.
    """
    text = f"{ALIASES.get(module, module)}.{name}"
    if NUMPY.match(text):
        text = NUMPY.sub("numpy.core.multiarray.", text)
    if text in DTYPES:
        return DTYPES[text]
    known = text in STORAGES or text in CALLED or text in RECORDS or text in TYPES or PATHS.fullmatch(text)
    if "." not in name and len(text) < MAX_NAME:  # a name through another object could be anything
        known = known or CLASSES.fullmatch(text) or FUNCTIONS.fullmatch(text)
    if not known:
        raise unknown(text)
    return Name(text)


def is_class(name: str) -> bool:
    """Return whether objects of a class become records."""
    return name in RECORDS or CLASSES.fullmatch(name) is not None


def is_path(name: str) -> bool:
    """Return whether objects of a class are paths, which become text."""
    return PATHS.fullmatch(name) is not None


def make_record(name: Any, args: Any) -> StandIn:
    """Return the record of an object that a file makes of a class.

    Args:
        name: the class.
        args: arguments of its constructor.

    Raises:
        Refused: it is not a class of which records are made.
    """
    if not isinstance(name, Name) or type(args) is not tuple:
        raise Refused("is damaged: it makes an object of something that is not a class. Copy it again.")
    if not is_class(name.text):
        raise not_called(name.text)
    return StandIn(name.text, args)


def not_called(name: str) -> Refused:
    """The error of a file that calls what it may name, but not call."""
    return Refused(f"calls {readable(name)}, which a checkpoint has no reason to do. {REMEDY}")


def readable(text: str) -> str:
    """A name of a file for a message: one line, cut short."""
    return one_line(text if len(text) <= 100 else f"{text[:100]}...")


def unknown(text: str) -> Refused:
    """The error of a file that uses a name that no checkpoint needs."""
    reason = REASONS.get(text.partition(".")[0], "which is unknown here")
    return Refused(f"names {readable(text)}, {reason}. {REMEDY}")


def shown_value(value: Any) -> str:
    """A value of a file for a message: numbers and text, and short lists of them; of others the type."""
    plain = (str, int, float, bool, bytes, type(None))
    if type(value) in plain or (type(value) in (tuple, list) and all(type(part) in plain for part in value[:100])):
        return one_line(shown(value[:100] if type(value) in (tuple, list) else value))
    return value.text if isinstance(value, Name) else type(value).__name__
