"""Checkpoints whose tensors and numbers are not what they say: of wrong sizes, types and places."""

from __future__ import annotations

from typing import Any

import tests.weights.published.pickles as p

MANY = 2**62
NO_SHAPE, BEYOND, KEY = "no such shape", "reaches beyond its numbers", "block of numbers"
TENSORS: dict[str, tuple[dict[str, Any], str]] = {
    "a negative side": ({"shape": (-1,)}, NO_SHAPE),
    "a side too long": ({"shape": (5,)}, BEYOND),
    "sides too many": ({"shape": (1,) * 9, "strides": (1,) * 9}, NO_SHAPE),
    "a huge side": ({"shape": (MANY,)}, NO_SHAPE),
    "sides whose product overflows": ({"shape": (2**33, 2**33), "strides": (0, 0)}, "many times more tensors"),
    "a side of truth": ({"shape": (True,)}, NO_SHAPE),
    "a side of a fraction": ({"shape": (4.0,)}, NO_SHAPE),
    "a side of text": ({"shape": ("4",)}, NO_SHAPE),
    "sides of text": ({"shape": "4"}, NO_SHAPE),
    "sides in a dictionary": ({"shape": {4: 1}}, NO_SHAPE),
    "no sides": ({"shape": None}, NO_SHAPE),
    "sides without strides": ({"shape": (2, 2)}, NO_SHAPE),
    "a negative stride": ({"strides": (-1,)}, NO_SHAPE),
    "a stride too long": ({"strides": (2,)}, BEYOND),
    "a huge stride": ({"strides": (MANY,)}, NO_SHAPE),
    "strides that overflow": ({"shape": (2**31, 2**33), "strides": (2**39, 2**39)}, BEYOND),
    "an offset too far": ({"offset": 1}, BEYOND),
    "an offset behind nothing": ({"offset": 5, "shape": (0,)}, BEYOND),
    "a negative offset": ({"offset": -1}, BEYOND),
    "a huge offset": ({"offset": MANY}, BEYOND),
    "an offset of text": ({"offset": "0"}, NO_SHAPE),
    "a number written out a milliard times": ({"shape": (10**9,), "strides": (0,)}, "many times more tensors"),
}
BLOCKS: dict[str, tuple[bytes, str]] = {
    "more numbers than there are": (p.block(count=5), "must have 20"),
    "fewer numbers than there are": (p.block(count=3), "must have 12"),
    "a huge number of numbers": (p.block(count=2**39), KEY),
    "more numbers than any": (p.block(count=MANY), KEY),
    "a negative number of numbers": (p.block(count=-4), KEY),
    "numbers of a type of another length": (p.block(kind=("torch", "DoubleStorage")), "must have 32"),
    "numbers of an unknown type": (p.block(kind=("torch", "QUInt8Storage")), "names torch.QUInt8Storage"),
    "numbers of a class": (p.block(kind=("models.yolo", "Model")), "type that is unknown"),
    "numbers of a function": (p.block(kind=("os", "system")), "names os.system"),
    "numbers without a type": (p.block(count=16, kind=("torch.storage", "UntypedStorage")), "another type"),
    "numbers that are missing": (p.block(key="1"), "is missing"),
    "numbers out of the archive": (p.block(key="../../etc/passwd"), "is missing"),
    "numbers without a name": (p.block(key=0), KEY),  # type: ignore[arg-type]
    "a tensor of text": (p.value("0"), "not a block of numbers"),
    "a tensor of a tensor": (p.tensor(), "not a block of numbers"),
    "a tensor of nothing": (b"N", "not a block of numbers"),
}
REFERENCES = {
    "a reference to text": p.value("storage"),
    "a reference to nothing": p.tuple_of(),
    "a reference of one part": p.tuple_of(p.value("storage")),
    "a reference of four parts": p.tuple_of(*map(p.value, ("storage", "x", "0", "cpu"))),
    "a reference of another kind": p.tuple_of(*map(p.value, ("file", "x", "0", "cpu", 4))),
    "a reference to a file": p.tuple_of(*map(p.value, ("open", "/etc/passwd"))),
    "a reference to source code": p.tuple_of(*map(p.value, ("module", "x", "f.py", "import os"))),
}
REBUILT = "torch._utils"
SUBCLASS = p.name("torch._tensor", "_rebuild_from_type_v2")
HOOKS = p.name("collections", "OrderedDict") + p.EMPTY + p.CALL


def _rebuilt(name: str, *parts: bytes) -> bytes:
    return p.call(p.name(REBUILT, name), *parts)


def _untyped(dtype: bytes, count: int = 16) -> bytes:
    of = p.block(count=count, kind=("torch.storage", "UntypedStorage"))
    return _rebuilt("_rebuild_tensor_v3", of, *map(p.value, (0, (4,), (1,), False)), HOOKS, dtype)


CALLS: dict[str, tuple[bytes, str]] = {
    "a tensor without parts": (_rebuilt("_rebuild_tensor_v2"), "has no shape"),
    "a tensor of too many parts": (_rebuilt("_rebuild_tensor_v2", *[b"N"] * 99), "has no shape"),
    "a parameter of text": (_rebuilt("_rebuild_parameter", p.value("x"), b"\x88", HOOKS), "not a tensor"),
    "a parameter of nothing": (_rebuilt("_rebuild_parameter"), "not a tensor"),
    "a parameter of a class": (_rebuilt("_rebuild_parameter", p.name("models.yolo", "Model")), "not a tensor"),
    "a tensor of no type": (_untyped(b"N"), "type that is unknown"),
    "a tensor of a type of text": (_untyped(p.value("float32")), "type that is unknown"),
    "a tensor of a longer type": (_untyped(p.name("torch", "float64")), BEYOND),
    "truth values without a type": (_untyped(p.name("torch", "bool")), "another type"),
    "a tensor of a quantized type": (_untyped(p.name("torch", "quint8")), "names torch.quint8"),
    "a sparse tensor": (_rebuilt("_rebuild_sparse_tensor", b"N", b"N"), "_rebuild_sparse_tensor"),
    "a quantized tensor": (_rebuilt("_rebuild_qtensor", b"N"), "_rebuild_qtensor"),
    "a tensor of NumPy": (_rebuilt("_rebuild_device_tensor_from_numpy", b"N"), "_rebuild_device_tensor"),
    "a wrapper": (_rebuilt("_rebuild_wrapper_subclass", b"N"), "_rebuild_wrapper_subclass"),
    "a tensor without memory": (_rebuilt("_rebuild_meta_tensor_no_storage", b"N"), "_rebuild_meta_tensor"),
    "a tensor by a function": (
        p.call(SUBCLASS, p.name("os", "system"), b"N", p.tuple_of(), b"N"),
        "names os.system",
    ),
    "a tensor by a class": (
        p.call(
            p.name("torch._tensor", "_rebuild_from_type_v2"), p.name("models.yolo", "Model"), b"N", p.tuple_of(), b"N"
        ),
        "calls torch._tensor",
    ),
    "a tensor by itself": (
        p.call(
            p.name("torch._tensor", "_rebuild_from_type_v2"), *[p.name("torch._tensor", "_rebuild_from_type_v2")] * 4
        ),
        "calls torch._tensor",
    ),
    "a storage of bytes": (p.call(p.name("torch.storage", "_load_from_bytes"), p.value("x")), "_load_from_bytes"),
    "a storage that is called": (p.call(p.name("torch", "FloatStorage"), p.value(10**12)), "calls torch.FloatStorage"),
    "a tensor that is called": (p.call(p.name("torch", "Tensor"), p.value(10**12)), "calls torch.Tensor"),
    "zeros": (p.call(p.name("torch", "zeros"), p.value(10**12)), "names torch.zeros"),
    "a size of text": (p.call(p.name("torch", "Size"), p.value(["x"])), "something else"),
    "a size of itself": (p.call(p.name("torch", "Size"), p.value(4)), "something else"),
    "a size without end": (p.call(p.name("torch", "Size"), p.value([1] * 10_000)), "something else"),
    "a device of a table": (p.call(p.name("torch", "device"), p.table()), "something else"),
    "a path of numbers": (p.call(p.name("pathlib", "PosixPath"), p.value(5)), "something else"),
    "a path without end": (p.call(p.name("pathlib", "PosixPath"), *[p.value("a")] * 1000), "something else"),
    "a dictionary of text": (p.call(p.name("collections", "OrderedDict"), p.value("ab")), "than pairs"),
    "a dictionary of threes": (p.call(p.name("collections", "OrderedDict"), p.value([[1, 2, 3]])), "than pairs"),
    "a list of a number": (p.call(p.name("builtins", "list"), p.value(10**9)), "made of something"),
    "bytes by number": (p.call(p.name("builtins", "bytes"), p.value(10**12)), "calls builtins.bytes"),
    "a bytearray": (p.call(p.name("builtins", "bytearray"), p.value(10**12)), "names builtins.bytearray"),
    "a tensor that is twice there": (p.list_of(*[p.tensor(strides=(0,), shape=(2_000_000,))] * 8), "many times more"),
}


def _type(text: Any, order: Any = "<") -> bytes:
    state = p.BUILD
    return (
        p.call(p.name("numpy", "dtype"), p.value(text), b"\x89", b"\x88")
        + p.value((3, order, None, None, None, -1, -1, 0))
        + state
    )


def _bytes(data: bytes) -> bytes:
    return b"B" + len(data).to_bytes(4, "little") + data


def _array(shape: Any, data: bytes, kind: bytes | None = None, of: bytes | None = None) -> bytes:
    made = p.call(
        p.name("numpy.core.multiarray", "_reconstruct"), of or p.name("numpy", "ndarray"), p.value((0,)), _bytes(b"b")
    )
    return made + p.tuple_of(p.value(1), p.value(shape), kind or _type("f8"), b"\x89", data) + p.BUILD


def _scalar(kind: bytes, data: bytes) -> bytes:
    return p.call(p.name("numpy._core.multiarray", "scalar"), kind, data)


EIGHT = _bytes(bytes(8))
NUMPY: dict[str, tuple[bytes, str]] = {
    "a number that is too short": (_scalar(_type("f8"), _bytes(b"1234")), "not as long"),
    "a number that is too long": (_scalar(_type("f4"), EIGHT), "not as long"),
    "a number without bytes": (_scalar(_type("f8"), p.value(5)), "another way"),
    "a number without a type": (_scalar(p.value("f8"), EIGHT), "no type"),
    "a number of objects": (_scalar(_type("O8", "|"), EIGHT), "type that is not read"),
    "a number of text": (_scalar(_type("U1"), EIGHT), "type that is not read"),
    "a number of a milliard bytes": (_scalar(_type("V1000000000", "|"), EIGHT), "type that is not read"),
    "a number of fields": (_scalar(_type([("a", "f8"), ("b", "O")]), EIGHT), "type that is not read"),
    "a number of dates": (_scalar(_type("M8[ns]"), EIGHT), "type that is not read"),
    "a number of complex parts": (_scalar(_type("c16"), EIGHT), "type that is not read"),
    "a number of commas": (_scalar(_type("f8,f8"), EIGHT), "type that is not read"),
    "a number of no type": (_scalar(_type(None), EIGHT), "type that is not read"),
    "a number of an order of text": (_scalar(_type("f8", "x"), EIGHT), "order of bytes"),
    "a number of an order of numbers": (_scalar(_type("f8", 5), EIGHT), "order of bytes"),
    "an array that is too short": (_array((2,), EIGHT), "not as long"),
    "an array that is too long": (_array((0,), EIGHT), "not as long"),
    "an array of a negative side": (_array((-1,), EIGHT), "array of NumPy"),
    "an array of two negative sides": (_array((-1, -1), EIGHT), "array of NumPy"),
    "an array of huge sides": (_array((MANY, MANY), EIGHT), "array of NumPy"),
    "an array of nothing times all": (_array((0, MANY), _bytes(b"")), "array of NumPy"),
    "an array of text": (_array(("1",), EIGHT), "something else"),
    "an array of a list": (_array((1,), p.value([1])), "not as long"),
    "an array of objects": (_array((1,), EIGHT, _type("O8", "|")), "type that is not read"),
    "an array without a type": (_array((1,), EIGHT, p.value("f8")), "another way"),
    "an array of a class": (_array((1,), EIGHT, of=p.name("models.yolo", "Model")), "_reconstruct"),
    "an array of a function": (_array((1,), EIGHT, of=p.name("os", "system")), "names os.system"),
    "an array of 99 sides": (_array((1,) * 99, EIGHT), "array of NumPy"),
    "an array from a file": (p.call(p.name("numpy.core.multiarray", "fromfile"), p.value("/etc/passwd")), "names"),
    "an array from text": (p.call(p.name("numpy.core.multiarray", "fromstring"), p.value("x")), "names"),
    "an array that is called": (p.call(p.name("numpy", "ndarray"), p.value(10**12)), "calls numpy.ndarray"),
    "a state of random numbers": (p.call(p.name("numpy.random._pickle", "__randomstate_ctor"), p.value("x")), "names"),
}


def _files() -> dict[str, tuple[bytes, str]]:
    steps = {name: (p.tensor(**changed), reason) for name, (changed, reason) in TENSORS.items()}
    steps |= {name: (p.tensor(of), reason) for name, (of, reason) in BLOCKS.items()}
    steps |= {name: (of + p.REFER, "refers to something") for name, of in REFERENCES.items()}
    steps |= CALLS | NUMPY
    other = p.block(count=8, kind=("torch", "HalfStorage"))
    steps["numbers of two types"] = p.list_of(p.tensor(), p.tensor(other)), "twice, in two ways"
    return {name: (p.archive(p.program(p.table(model=step))), reason) for name, (step, reason) in steps.items()}


FILES = _files()
