"""Checkpoints that name what runs, in every form in which a pickle can name and call it."""

from __future__ import annotations

import os
import pickle
from typing import Any

import tests.weights.published.pickles as p

NAMES = """
    os.system os.popen os.execv os.spawnv os.remove os.fork os.kill os.putenv posix.system nt.system pty.spawn
    subprocess.Popen subprocess.run subprocess.call subprocess.check_output subprocess.getoutput commands.getoutput
    builtins.eval builtins.exec builtins.compile builtins.__import__ builtins.getattr builtins.setattr builtins.open
    builtins.breakpoint builtins.input builtins.map builtins.filter builtins.vars builtins.globals builtins.print
    importlib.import_module importlib.reload imp.load_source runpy.run_path runpy._run_code pkgutil.resolve_name
    pickle.loads _pickle.loads cloudpickle.loads dill.loads joblib.load marshal.loads shelve.open code.interact
    timeit.timeit cProfile.run pdb.run bdb.Bdb doctest.debug_script trace.Trace pip.main sys.exit sys.settrace
    operator.attrgetter operator.methodcaller operator.itemgetter functools.partial functools.reduce
    copyreg.add_extension types.CodeType types.FunctionType types.MethodType ctypes.CDLL ctypes.string_at mmap.mmap
    signal.alarm threading.Thread multiprocessing.Process asyncio.run atexit.register gc.get_objects socket.socket
    socket.create_connection urllib.request.urlopen http.client.HTTPConnection webbrowser.open smtplib.SMTP
    shutil.rmtree shutil.copy tempfile.mkdtemp io.open io.FileIO _io.FileIO pathlib.Path.unlink pathlib.Path.touch
    torch.load torch.hub.load torch.jit.load torch.save torch.storage._load_from_bytes torch.serialization.load
    torch.utils.cpp_extension.load torch.ops.load_library torch.distributed.init_process_group
    torch._dynamo.optimize numpy.load numpy.fromfile numpy.memmap numpy.save numpy.testing._private.utils.runstring
    numpy.f2py.compile torchvision.models.get_model setuptools.setup __main__.evil lehr.plugins.load
    lehr.runtime.reading.read_file site.main venv.create zipfile.ZipFile tarfile.open sqlite3.connect
""".split()  # noqa: SIM905
"""What runs code or programs, opens files or connections, or ends the process; none of it belongs in a checkpoint."""
CALLED = """
    ultralytics.utils.checks.check_requirements ultralytics.utils.downloads.safe_download
    models.experimental.attempt_load utils.general.check_requirements utils.downloads.attempt_download
    torch.nn.functional.relu yolov5.utils.general.download
""".split()  # noqa: SIM905
"""Functions of modules that checkpoints name, which may be named and not called."""
CHAINS = [
    ("ultralytics.nn.tasks", "os.system"),
    ("ultralytics.nn.tasks", "torch.hub.os.system"),
    ("models.yolo", "sys.modules"),
    ("models.common", "Conv.__init__.__globals__"),
    ("torch", "nn.modules.module.os.system"),
    ("torch.nn.modules.conv", "Conv2d.__init__"),
    ("torch._utils", "torch.os.system"),
    ("torch", "serialization.os.system"),
    ("collections", "OrderedDict.__class__"),
    ("collections", "abc.sys.modules"),
    ("builtins", "object.__subclasses__"),
    ("builtins", "dict.__init__"),
    ("builtins", "getattr.__call__"),
    ("numpy.core.multiarray", "os.system"),
    ("pathlib", "PosixPath.unlink"),
    ("pathlib", "Path.read_text"),
    ("argparse", "Namespace.__init__.__globals__"),
    ("torch.optim.sgd", "SGD.step"),
    ("", "os.system"),
    ("os", ""),
    ("os.", "system"),
    ("models..yolo", "Model"),
    ("models.yolo", "Model\0"),
    ("models.yolo", "Mödel"),
    ("models.yolo", " Model"),
    ("models" + ".x" * 200, "Model"),
]
"""Names that lead to something through something else, or are none."""


def _called(name: str, late: bool = False) -> bytes:
    module, _, own = name.rpartition(".")
    return p.call((p.late_name if late else p.name)(module, own), p.value("touch ran"))


def _in_every_form(name: str) -> dict[str, tuple[bytes, str]]:
    """Files that call a function, one for each form of a file."""
    shown = f"names {name}, "
    legacy = p.legacy(p.program(p.table(model=_called(name))), {})
    return {
        f"{name} in an archive": (p.archive(p.program(p.table(model=_called(name)))), shown),
        f"{name} by protocol 4": (p.archive(p.program(p.list_of(_called(name, late=True)), protocol=4)), shown),
        f"{name} in an old file": (legacy, shown),
        f"{name} alone": (p.program(_called(name)), shown),
    }


class Reduced:
    """An object of which pickle writes what it is given."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return self.parts


class Plain:
    """An object of a class that nobody knows, with a state of any kind."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def __getstate__(self) -> Any:
        return self.state

    def __setstate__(self, state: Any) -> None:
        os.system("touch ran")  # noqa: S605


class WithArguments(Plain):
    """An object that is made with arguments."""

    def __getnewargs__(self) -> Any:
        return ("touch ran",)


class WithNames(Plain):
    """An object that is made with arguments by name."""

    def __getnewargs_ex__(self) -> Any:
        return (), {"x": "touch ran"}


class Late(Plain):
    """An object that answers to the protocol."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return os.system, ("touch ran at last",)


class Words(dict):  # type: ignore[type-arg]
    """A dictionary of a class of its own."""


class Items(list):  # type: ignore[type-arg]
    """A list of a class of its own."""


RUNS = (os.system, ("touch ran",))


def objects() -> dict[str, tuple[Any, str]]:
    """Objects as pickle writes them: `__reduce__`, `__getnewargs__` and `__setstate__` of every kind."""
    return {
        "two parts": (Reduced(*RUNS), "names posix.system"),
        "a state": (Reduced(*RUNS, {"a": 1}), "names posix.system"),
        "a list": (Reduced(*RUNS, None, iter([1])), "names posix.system"),
        "a dictionary": (Reduced(*RUNS, None, None, iter([("a", 1)])), "names posix.system"),
        "a setter": (Reduced(dict, (), {"a": 1}, None, None, os.system), "names posix.system"),
        "a setter that evaluates": (Reduced(list, (), "1", None, None, eval), "names builtins.eval"),
        "a state that runs": (Reduced(dict, (), Reduced(*RUNS)), "names posix.system"),
        "a list that runs": (Reduced(list, (), None, iter([Reduced(*RUNS)])), "names posix.system"),
        "a key that runs": (Reduced(dict, (), None, None, iter([(Reduced(*RUNS), 1)])), "names posix.system"),
        "a value that runs": (Reduced(dict, (), None, None, iter([("a", Reduced(*RUNS))])), "names posix.system"),
        "an argument that runs": (Reduced(set, ([Reduced(*RUNS)],)), "names posix.system"),
        "getattr by name": (Reduced(getattr, (Reduced(__import__, ("os",)), "system")), "names builtins.__import__"),
        "protocols": (Late(None), "names posix.system"),
        "arguments": (WithArguments({"a": 1}), "WithArguments"),
        "arguments by name": (WithNames({"a": 1}), "names"),
        "a dictionary's class": (Words(a=1), "Words"),
        "a list's class": (Items([1]), "Items"),
        **{
            f"__setstate__ of {shown}": (Plain(state), "Plain")
            for shown, state in {
                "a dictionary": {"a": 1},
                "text": "touch ran",
                "a number": 5,
                "a list": [1],
                "slots": (None, {"a": 1}),
                "what runs": Reduced(*RUNS),
            }.items()
        },
    }


KNOWN = p.name("models.yolo", "Model")
SYSTEM = p.name("os", "system")
GETATTR = p.name("builtins", "getattr")
STATES = {
    "an attribute that runs": (p.made(KNOWN, p.table(x=_called("os.system"))), "names os.system"),
    "attributes that run": (p.made(KNOWN, _called("os.system")), "names os.system"),
    "arguments that run": (KNOWN + p.tuple_of(_called("os.system")) + p.NEW, "names os.system"),
    "the state of a list": (p.list_of(p.value(1)) + p.table(x=p.value(1)) + p.BUILD, "attributes"),
    "the state of text": (p.value("x") + p.table(x=p.value(1)) + p.BUILD, "attributes"),
    "the state of a number": (p.value(5) + p.table(x=p.value(1)) + p.BUILD, "attributes"),
    "the state of a class": (KNOWN + p.table(x=p.value(1)) + p.BUILD, "attributes"),
    "the state of a tensor": (p.tensor() + p.table(__class__=p.value(1)) + p.BUILD, "attributes"),
    "two states": (p.made(KNOWN, p.value("x")) + p.table(x=p.value(1)) + p.BUILD, "attributes twice"),
    "a method of text": (p.call(GETATTR, p.value("x"), p.value("forward")), "names builtins.getattr"),
    "a method of a class": (p.call(GETATTR, KNOWN, p.value("forward")), "names builtins.getattr"),
    "a method of a module": (p.call(GETATTR, SYSTEM, p.value("forward")), "names os.system"),
    "another method": (p.call(GETATTR, p.made(KNOWN), p.value("load_state_dict")), "names builtins.getattr"),
    "a class of an object": (p.call(GETATTR, p.made(KNOWN), p.value("__class__")), "names builtins.getattr"),
    "a method of a method": (
        p.call(GETATTR, p.call(GETATTR, p.made(KNOWN), p.value("forward")), p.value("forward")),
        "names builtins.getattr",
    ),
    "a method that is called": (p.call(p.call(GETATTR, p.made(KNOWN), p.value("forward"))), "calls models.yolo"),
    "an object of a function": (p.made(p.name("torch._utils", "_rebuild_tensor_v2")), "calls torch._utils"),
    "an object of a type": (p.made(p.name("builtins", "type")), "calls builtins.type"),
    "an object of text": (p.made(p.value("os.system")), "something that is not a class"),
    "an object without arguments": (KNOWN + p.value("x") + p.NEW, "something that is not a class"),
    "a call of an object": (p.call(p.made(KNOWN), p.value("touch ran")), "not a function"),
    "a call of text": (p.call(p.value("os.system"), p.value("touch ran")), "not a function"),
    "a call of a tensor": (p.call(p.tensor()), "not a function"),
    "a call of a number's type": (p.call(p.name("torch", "float32")), "not a function"),
    "a call without arguments": (KNOWN + p.value("x") + p.CALL, "not a function"),
    "a call of a type": (
        p.call(p.name("builtins", "type"), p.value("x"), p.tuple_of(), p.table()),
        "calls builtins.type",
    ),
    "a call of object": (p.call(p.name("builtins", "object")), "calls builtins.object"),
    "a call of int": (p.call(p.name("builtins", "int"), p.value("9" * 100)), "calls builtins.int"),
    "bytes of another encoding": (p.call(p.name("_codecs", "encode"), p.value("x"), p.value("idna")), "calls _codecs"),
    "bytes that are not text": (
        p.call(p.name("_codecs", "encode"), p.value("é猫"), p.value("latin1")),
        "written as text",
    ),
    "names as tuples": (p.tuple_of(p.value("os"), p.value("system")) + p.value("x") + b"\x93", "damaged"),
    "a source code": (p.tuple_of(p.value("module"), SYSTEM, p.value("f"), p.value("x")) + p.REFER, "names os.system"),
    "a reference that runs": (_called("os.system") + p.REFER, "names os.system"),
    "a namespace that runs": (
        p.made(p.name("argparse", "Namespace"), p.table(x=_called("os.popen"))),
        "names os.popen",
    ),
    "instruction INST": (b"(X\x02\x00\x00\x00idios\nsystem\n", "instruction INST"),
    "instruction OBJ": (b"(" + SYSTEM + p.value("id") + b"o", "names os.system"),
    "instruction OBJ of a class": (b"(" + KNOWN + p.value("id") + b"o", "instruction OBJ"),
    "instruction NEWOBJ_EX": (KNOWN + p.EMPTY + b"}\x92", "instruction NEWOBJ_EX"),
    "instruction EXT1": (b"\x82\x01", "instruction EXT1"),
    "instruction EXT2": (b"\x83\x01\x00", "instruction EXT2"),
    "instruction EXT4": (b"\x84\x01\x00\x00\x00", "instruction EXT4"),
    "instruction PERSID": (b"Pstorage\n", "instruction PERSID"),
    "instruction NEXT_BUFFER": (b"\x97", "instruction NEXT_BUFFER"),
    "instruction READONLY_BUFFER": (b"N\x98", "instruction READONLY_BUFFER"),
    "instruction BYTEARRAY8": (b"\x96" + b"\xff" * 8, "instruction BYTEARRAY8"),
    "instruction LONG4": (b"\x8b\xff\xff\xff\x7f", "instruction LONG4"),
    "instruction LONG": (b"L" + b"9" * 100_000 + b"L\n", "instruction LONG"),
    "instruction INT": (b"I" + b"9" * 100_000 + b"\n", "instruction INT"),
    "instruction FLOAT": (b"F1e999\n", "instruction FLOAT"),
    "instruction STRING": (b"S'x'\n", "instruction STRING"),
    "instruction UNICODE": (b"Vx\n", "instruction UNICODE"),
    "instruction DUP": (p.value(1) + b"2", "instruction DUP"),
    "instruction POP": (p.value(1) + b"0", "instruction POP"),
    "instruction POP_MARK": (b"(1", "instruction POP_MARK"),
    "instruction LIST": (b"(l", "instruction LIST"),
    "instruction DICT": (b"(d", "instruction DICT"),
    "instruction PUT": (b"Np0\n", "instruction PUT"),
    "instruction GET": (b"g0\n", "instruction GET"),
    "no instruction": (b"\xff", "damaged"),
}


def _files() -> dict[str, tuple[bytes, str]]:
    files: dict[str, tuple[bytes, str]] = {}
    for name in NAMES:
        files |= _in_every_form(name)
    for name in CALLED:
        files[f"a call of {name}"] = p.archive(p.program(p.table(model=_called(name)))), f"calls {name}, "
    for module, name in CHAINS:
        for shown, named in (("", p.name), (" by protocol 4", p.late_name)):
            data = p.archive(p.program(p.call(named(module, name), p.value("x")), protocol=4))
            files[f"{module} {name!r}{shown}"[-120:]] = data, "name"
    for protocol in (2, 4):
        for name, (of, reason) in objects().items():
            written = pickle.dumps({"model": of}, protocol)
            files[f"{name} by pickle {protocol}"] = p.archive(written), reason
            files[f"{name} by pickle {protocol} in an old file"] = p.legacy(written, {}), reason
    for name, (steps, reason) in STATES.items():
        files[name] = p.archive(p.program(p.table(model=steps))), reason
    return files


FILES = _files()
