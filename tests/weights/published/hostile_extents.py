"""Checkpoints that would take much of little: deep, endless, or large beyond any memory."""

from __future__ import annotations

import struct
from collections.abc import Callable

import tests.weights.published.pickles as p

from lehr.weights.published.program import MAX_INSTRUCTIONS

DEEP, BROAD = 20_000, 450_000
SLOT = b"r\xff\x00\x00\x00"
FETCH = b"j\xff\x00\x00\x00"
NESTED, LARGE, ITSELF, INSTRUCTIONS = "levels deep", "parts", "holds itself", "instructions"
MODEL = p.name("models.yolo", "Model")
ENDLESS, CUT = b"\xff" * 7 + b"\x3f", "cut off"


def _doubled(start: bytes, step: bytes, times: int = 60) -> bytes:
    """A part that holds a part twice, that holds a part twice, and so on."""
    return start + step * times


def _repeated(step: bytes, times: int) -> bytes:
    """A list of what a step makes, many times."""
    return b"](" + step * times + b"e"


TWICE = SLOT + FETCH + b"\x86"  # what lies on top, and once more the same
LISTED = SLOT + b"]" + FETCH + b"a" + FETCH + b"a\x86"  # and a list of it twice
PROGRAMS: dict[str, tuple[Callable[[], bytes], str]] = {
    "marks": (lambda: b"(" * DEEP, "damaged"),
    "marks without end": (lambda: b"(" * (MAX_INSTRUCTIONS + 1), INSTRUCTIONS),
    "tuples in tuples": (lambda: p.EMPTY + b"\x85" * DEEP, NESTED),
    "lists in lists": (lambda: b"]" * DEEP + b"a" * (DEEP - 1), NESTED),
    "dictionaries in dictionaries": (lambda: b"}K\x01" * DEEP + b"}" + b"s" * DEEP, NESTED),
    "objects in objects": (lambda: (MODEL + b"(") * 2_000 + b"t\x81" * 2_000, NESTED),
    "201 lists": (lambda: b"]" * 201 + b"a" * 200, NESTED),
    "a list that holds itself": (lambda: b"]" + SLOT + FETCH + b"a", ITSELF),
    "a dictionary that holds itself": (lambda: b"}" + SLOT + p.value("a") + FETCH + b"s", ITSELF),
    "an object that holds itself": (lambda: p.made(MODEL) + SLOT + FETCH + p.BUILD, ITSELF),
    "an object that lists itself": (lambda: p.made(MODEL) + SLOT + FETCH + b"a", ITSELF),
    "a tuple that holds itself": (lambda: b"]" + SLOT + FETCH + b"\x85a", ITSELF),
    "attributes that hold their object": (lambda: p.made(MODEL) + SLOT + p.table(x=FETCH) + p.BUILD, ITSELF),
    "two lists that hold each other": (lambda: b"]" + SLOT + b"]" + FETCH + b"aa", ITSELF),
    "tuples that double": (lambda: _doubled(p.EMPTY, TWICE), LARGE),
    "lists that double": (lambda: _doubled(b"]", LISTED), LARGE),
    "tuples that double without end": (lambda: _doubled(p.EMPTY, TWICE, 50_000), LARGE),
    "objects that double": (lambda: _doubled(b")", SLOT + MODEL + FETCH + b"\x81\x86"), LARGE),
    "a list of a long list": (lambda: b"](" + b"N" * 10_000 + b"e" + SLOT + _repeated(FETCH, 10_000) + b"\x86", LARGE),
    "keys that double": (lambda: b"}" + _doubled(p.EMPTY, TWICE, 30) + b"Ns", "not a short text"),
    "a set of tuples that double": (lambda: b"\x8f(" + _doubled(p.EMPTY, TWICE, 30) + b"\x90", "not a short text"),
    "a set of lists": (lambda: p.call(p.name("builtins", "set"), p.list_of(b"]")), "not a short text"),
    "keys of objects": (lambda: b"}" + p.made(MODEL) + b"Ns", "not a short text"),
    "keys of tensors": (lambda: b"}" + p.tensor() + b"Ns", "not a short text"),
    "keys of huge numbers": (lambda: b"}\x8a\xff" + b"\x7f" * 255 + b"Ns", "not a short text"),
    "keys of long text": (lambda: b"}X" + struct.pack("<I", 20_000) + b"x" * 20_000 + b"Ns", "not a short text"),
    "a frozen set of lists": (lambda: b"(]\x91", "not a short text"),
    "a list copied again and again": (
        lambda: (
            p.list_of(*[b"N"] * 10_000) + b"\x85" + SLOT + _repeated(p.name("builtins", "tuple") + FETCH + b"R", 5_000)
        ),
        "copies more",
    ),
    "a set copied again and again": (
        lambda: (
            p.value(list(range(10_000))) + b"\x85" + SLOT + _repeated(p.name("builtins", "set") + FETCH + b"R", 5_000)
        ),
        "copies more",
    ),
    "a dictionary copied again and again": (
        lambda: (
            p.value(dict.fromkeys(range(9999), 1))
            + b"\x85"
            + SLOT
            + _repeated(p.name("collections", "OrderedDict") + FETCH + b"R", 5_000)
        ),
        "copies more",
    ),
    "bytes made again and again": (
        lambda: (
            p.tuple_of(p.value("x" * 100_000), p.value("latin1"))
            + SLOT
            + _repeated(p.name("_codecs", "encode") + FETCH + b"R", 5_000)
        ),
        "copies more",
    ),
    "paths made again and again": (
        lambda: p.value(("x" * 100_000,)) + SLOT + _repeated(p.name("pathlib", "PosixPath") + FETCH + b"R", 5_000),
        "copies more",
    ),
    "attributes given again and again": (
        lambda: p.made(MODEL, p.value({str(i): 1 for i in range(10_000)})) + (b"}b") * 5_000,
        "copies more",
    ),
    "sets without end": (lambda: b"(" + b"\x8f" * BROAD + b"t", "copies more"),
    "names without end": (lambda: b"(" + b"".join(p.name("models.a", f"A{i}") for i in range(3_000)) + b"t", "names"),
    "tensors without end": (lambda: _many_tensors(), "more tensors"),
    "instructions without end": (lambda: b"](" + b"N" * (MAX_INSTRUCTIONS + 1) + b"e", INSTRUCTIONS),
    "a memory without end": (
        lambda: b"]" + b"".join(b"r" + struct.pack("<I", i) for i in range(MAX_INSTRUCTIONS)),
        INSTRUCTIONS,
    ),
    "dictionaries without end": (lambda: b"(" + b"}" * (MAX_INSTRUCTIONS - 50) + b"tN", "damaged"),
    "bytes of 2**62": (lambda: b"\x8e" + ENDLESS, CUT),
    "text of 2**62": (lambda: b"\x8d" + ENDLESS, CUT),
    "bytes of 2**32": (lambda: b"B\xff\xff\xff\xff", CUT),
    "text of 2**32": (lambda: b"X\xff\xff\xff\xff", CUT),
    "old text of 2**31": (lambda: b"T\xff\xff\xff\x7f", CUT),
    "short text that is cut off": (lambda: b"\x8c\xffab", CUT),
    "a number that is cut off": (lambda: b"\x8a\xffab", CUT),
    "text that is none": (lambda: b"X\x02\x00\x00\x00\xff\xfe", "damaged"),
    "a name without end": (lambda: b"c" + b"a" * 100_000, "name"),
    "a stack that is empty": (lambda: b"", "damaged"),
    "a stack of two": (lambda: b"NN", "damaged"),
    "a mark that is left": (lambda: b"(N", "damaged"),
    "no mark": (lambda: b"Nt", "cut off|damaged"),
    "a mark that is taken": (lambda: b"N(\x85", "damaged"),
    "nothing in memory": (lambda: b"h\x07", "damaged"),
    "an odd dictionary": (lambda: b"}(Nu", "damaged"),
    "entries of a list": (lambda: b"](NNu", "damaged"),
    "entries of text": (lambda: p.value("x") + b"Na", "damaged"),
    "entries of a tuple": (lambda: p.EMPTY + b"(Ne", "damaged"),
    "an object of both kinds of entries": (lambda: p.made(MODEL) + b"(Ne(NNu", "damaged"),
    "a later protocol": (lambda: b"\x80\x63N", "later kind"),
}


def _many_tensors() -> bytes:
    """The same arguments given to the function that makes tensors, again and again."""
    arguments = p.tuple_of(p.block(), *map(p.value, (0, (), (), False)), b"N")
    again = p.name("torch._utils", "_rebuild_tensor_v2") + b"r\xfe\x00\x00\x00"
    return b"](" + arguments + SLOT + again + (b"j\xfe\x00\x00\x00" + FETCH + b"R") * 60_000 + b"e"


OLD = (
    "tuples in tuples",
    "tuples that double",
    "bytes of 2**62",
    "a list that holds itself",
    "paths made again and again",
)
"""Those that are written in the old form, too."""


def _files() -> dict[str, tuple[Callable[[], bytes], str]]:
    files: dict[str, tuple[Callable[[], bytes], str]] = {}
    for name, (steps, reason) in PROGRAMS.items():
        files[name] = (lambda steps=steps: p.archive(p.program(steps(), protocol=4))), reason  # type: ignore[misc]
    for name in OLD:
        steps, reason = PROGRAMS[name]
        files[f"{name} in an old file"] = (lambda steps=steps: p.legacy(p.program(steps(), protocol=4), {})), reason  # type: ignore[misc]
    return files


FILES = _files()
