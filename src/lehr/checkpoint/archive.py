"""A checkpoint's archive, read without the library that wrote it: stored entries, and a pickle that is not run.

`torch.save` writes a ZIP archive of blocks of numbers and a pickle that refers to them. A pickle is a program. This one
is of a few instructions, which build a dictionary of text and of references to blocks; here they are interpreted step
by step, and anything else is refused before anything is built. The archive's directory must describe the file: an entry
that is compressed, or that shares its bytes with another, would expand a small file.
"""

from __future__ import annotations

import pickletools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from lehr.checkpoint.packing import DTYPES
from lehr.runtime.stored_zip import list_entries

MAX_INSTRUCTIONS = 500_000
"""Instructions of an archive's pickle: some tens are usual."""
PICKLE, ORDER, BLOCKS = "data.pkl", "byteorder", "data/"
REBUILD, ORDERED = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"
STORAGES = {f"torch {name}Storage": dtype for name, dtype in DTYPES.items()}
GLOBALS = {*STORAGES, REBUILD, ORDERED}
"""All names allowed in the pickle."""


class NotPlain(ValueError):
    """A pickle that would do more than build text and references to blocks."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Reference of a pickle to a block of numbers.

    Attributes:
        key: the block's name.
        dtype: type of the numbers.
        count: how many.
    """

    key: str
    dtype: torch.dtype
    count: int


def read_archive(data: bytearray, end: int) -> dict[str, Any]:
    """Read what `torch.save` wrote of a dictionary of text and lists of 1-D tensors.

    Args:
        data: the file; the tensors that are returned are in it.
        end: where the last record of the archive begins.

    Raises:
        NotPlain: the pickle does something else.
        ValueError: the archive is damaged, or was not written so.
    """
    view = memoryview(data)
    listed = list_entries(lambda start, count: bytes(view[start : start + count]), len(data), end)
    entries = {name: view[entry.start : entry.start + entry.length] for name, entry in listed.items()}
    folder = next(iter(entries), "").partition("/")[0]
    order = bytes(entries.get(f"{folder}/{ORDER}", b"")).decode("ascii", "replace")
    if f"{folder}/{PICKLE}" not in entries or order not in ("", sys.byteorder):
        raise ValueError("no archive of this machine's")
    content = _followed(bytes(entries[f"{folder}/{PICKLE}"]))
    used: set[str] = set()

    def block(reference: Any) -> Tensor:
        if not isinstance(reference, Reference) or reference.key in used:
            raise ValueError("a list holds something other than blocks, or a block is used twice")
        used.add(reference.key)
        return _block(entries[f"{folder}/{BLOCKS}{reference.key}"], reference)

    return {
        name: [block(each) for each in part] if isinstance(part, list) else _of_type(part, str)
        for name, part in content.items()
    }


def _block(raw: memoryview, reference: Reference) -> Tensor:
    if len(raw) != reference.count * reference.dtype.itemsize:
        raise ValueError("a block is not as long as it should be")
    if reference.count == 0:
        return torch.empty(0, dtype=reference.dtype)
    if reference.dtype is torch.bool:  # any byte other than 0 and 1 is invalid
        return torch.frombuffer(raw, dtype=torch.uint8) != 0
    return torch.frombuffer(raw, dtype=reference.dtype)


MARK = object()


def _followed(program: bytes) -> dict[str, Any]:
    """Interpret a pickle of text, numbers, lists, dictionaries and references to blocks.

    Raises:
        NotPlain: it would do anything else.
        ValueError: it is damaged.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        instructions = [
            (code.name, argument) for code, argument, _ in islice(pickletools.genops(program), MAX_INSTRUCTIONS)
        ]
        for name, argument in instructions:  # code first, since that matters most
            if name == "GLOBAL" and argument not in GLOBALS:
                raise NotPlain(argument)
        for name, argument in instructions[:-1]:
            _step(name, argument, stack, memo)
    except (IndexError, KeyError, TypeError):
        raise ValueError("the pickle is damaged") from None
    if instructions[-1][0] != "STOP" or len(stack) != 1 or type(stack[0]) is not dict:
        raise ValueError("the pickle does not build a dictionary")
    content: dict[str, Any] = stack[0]
    return content


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """Follow one instruction of a pickle."""
    if name in VALUES:
        stack.append(VALUES[name](argument))
    elif name in ("PROTO", "FRAME"):
        pass
    elif name in ("BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name in TUPLES:
        first = len(stack) - TUPLES[name]
        stack[first:] = [tuple(stack[first:])]
    elif name == "TUPLE":
        stack.append(tuple(_after_mark(stack)))
    elif name in ("GLOBAL", "STACK_GLOBAL"):
        if name == "STACK_GLOBAL":
            argument = f"{stack.pop(-2)} {stack.pop()}"
        if argument not in GLOBALS:
            raise NotPlain(argument)
        stack.append(_Global(argument))
    elif name == "BINPERSID":
        stack.append(_reference(*stack.pop()))
    elif name == "REDUCE":
        stack.append(_reduced(stack.pop(-2), stack.pop()))
    elif name in ("APPEND", "APPENDS"):
        values = [stack.pop()] if name == "APPEND" else _after_mark(stack)
        _of_type(stack[-1], list).extend(values)
    elif name in ("SETITEM", "SETITEMS"):
        pairs = [stack.pop(-2), stack.pop()] if name == "SETITEM" else _after_mark(stack)
        target = _of_type(stack[-1], dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[_of_type(key, str)] = value
    else:
        raise NotPlain(name)


@dataclass(frozen=True, slots=True)
class _Global:
    """Placeholder for a name in a pickle, which is never looked up."""

    name: str


VALUES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2"), lambda x: x),
    "LONG1": lambda x: x,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "NONE": lambda _: None,
    "MARK": lambda _: MARK,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _of_type(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError("the pickle is damaged")
    return value


def _after_mark(stack: list[Any]) -> list[Any]:
    """Take what lies above the last mark from the stack, and the mark."""
    place = next(place for place in range(len(stack) - 1, -2, -1) if place < 0 or stack[place] is MARK)
    if place < 0:
        raise ValueError("the pickle is damaged")
    values = stack[place + 1 :]
    del stack[place:]
    return values


def _reference(kind: Any, storage: Any, key: Any, device: Any, count: Any) -> Reference:
    if kind != "storage" or not isinstance(storage, _Global) or device != "cpu":
        raise ValueError("a block is not of the CPU")
    return Reference(_of_type(key, str), STORAGES[storage.name], _of_type(count, int))


def _reduced(function: Any, arguments: Any) -> Any:
    """The result of the two calls that are known: an empty dictionary, and a tensor that is a whole block."""
    if function == _Global(ORDERED) and arguments == ():
        return {}
    if function != _Global(REBUILD):
        raise NotPlain("a call")
    block, offset, shape, strides = arguments[:4]
    if not isinstance(block, Reference) or offset != 0 or shape != (block.count,) or strides != (1,):
        raise ValueError("a tensor is not a whole block")
    return block
