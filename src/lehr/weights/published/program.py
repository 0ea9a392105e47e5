"""A checkpoint's pickle, followed instruction by instruction; nothing that it names is looked up or called.

A pickle is a program for a machine with a stack. Here is that machine, with the instructions that checkpoints need and
bounds of its own: for each length that the file states, for the number of instructions, and for how deep and how large
the result would be if everything in it were written out.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from typing import Any

from lehr.weights.published import names
from lehr.weights.published.calls import Calls, checked_key
from lehr.weights.published.stand_in import Name, Refused, StandIn
from lehr.weights.published.tensors import Storages

MAX_INSTRUCTIONS = 1_000_000
"""Of a pickle; checkpoints of the largest published networks have some 200,000."""
MAX_PROTOCOL, MAX_NAMES = 5, 2_000
STOP = ord(".")
INSTRUCTIONS = {ord(each.code): each.name for each in pickletools.opcodes}
CUT_OFF = "is cut off or damaged: its pickle ends before it says so. Copy it again."
DAMAGED = "is damaged: its pickle makes no sense. Copy it again."


class Program:
    """A pickle, to be followed.

    Args:
        data: begins with it.
        storages: blocks of numbers that it refers to.
        start: its first byte in the data.
    """

    def __init__(self, data: bytes, storages: Storages, start: int = 0) -> None:
        self.data, self.at = data, start
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages, self.calls = storages, Calls(storages)
        self._names: dict[tuple[str, str], Any] = {}

    def follow(self) -> Any:
        """Return what the pickle builds; `at` is behind it then.

        Raises:
            Refused: it does something else than checkpoints do, or is damaged.
        """
        data = self.data
        try:
            for _ in range(MAX_INSTRUCTIONS):
                code = data[self.at]
                self.at += 1
                step = STEPS.get(code)
                if step is None:
                    return self._ended(code)
                step(self)
        except (IndexError, struct.error):
            raise Refused(CUT_OFF if self.at >= len(data) - 8 else DAMAGED) from None
        except (KeyError, UnicodeDecodeError):
            raise Refused(DAMAGED) from None
        raise Refused(f"has a pickle of more than {MAX_INSTRUCTIONS:,} instructions, as no checkpoint has.")

    def _ended(self, code: int) -> Any:
        """Return the result where the instruction is the last; refuse any other that is not followed."""
        if code != STOP:
            raise Refused(
                f"uses the pickle instruction {INSTRUCTIONS[code]}, which no checkpoint needs. {names.REMEDY}"
                if code in INSTRUCTIONS
                else DAMAGED
            )
        if len(self.stack) != 1 or self.marks:
            raise Refused(DAMAGED)
        return self.stack[0]

    def find(self, module: str, name: str) -> Any:
        """Return what stands for a name.

        Raises:
            Refused: it is not known, or the pickle uses more names than any.
        """
        key = module, name
        if key not in self._names:
            if len(self._names) >= MAX_NAMES:
                raise Refused(f"uses more than {MAX_NAMES:,} names, as no checkpoint does.")
            self._names[key] = names.find(module, name)
        return self._names[key]

    def number(self, size: int) -> int:
        """Read an unsigned number of `size` bytes."""
        end = self.at + size
        if end > len(self.data):
            raise Refused(CUT_OFF)
        value = int.from_bytes(self.data[self.at : end], "little")
        self.at = end
        return value

    def bytes_of(self, length: int) -> bytes:
        """Read bytes, as many as the file says that there are, if they are there."""
        end = self.at + length
        if end > len(self.data):
            raise Refused(CUT_OFF)
        value = self.data[self.at : end]
        self.at = end
        return value

    def line(self) -> str:
        """Read a name up to the end of its line."""
        end = self.data.find(b"\n", self.at, self.at + names.MAX_NAME)
        if end < 0:
            raise Refused("is damaged, or has a name that is longer than any. Copy it again.")
        text = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return text

    def pop(self) -> Any:
        """Take the top of the stack, which is above the last mark."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise Refused(DAMAGED)
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """Take all that is above the last mark, and the mark."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self) -> Any:
        """Look at the top of the stack."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise Refused(DAMAGED)
        return self.stack[-1]


def _push(value: Callable[[Program], Any]) -> Callable[[Program], None]:
    """An instruction that puts a value on the stack."""

    def step(program: Program) -> None:
        program.stack.append(value(program))

    return step


def _text(size: int) -> Callable[[Program], None]:
    """An instruction that puts text on the stack, behind its length of `size` bytes."""

    def step(program: Program) -> None:
        data = program.bytes_of(program.number(size))
        program.stack.append(data.decode("utf-8", "surrogatepass"))

    return step


def _int4(program: Program) -> int:
    return int.from_bytes(program.bytes_of(4), "little", signed=True)


def _float8(program: Program) -> float:
    value: float = struct.unpack(">d", program.bytes_of(8))[0]
    return value


def _protocol(program: Program) -> None:
    if program.number(1) > MAX_PROTOCOL:
        raise Refused("is a pickle of a later kind than is known here.")


def _put(size: int) -> Callable[[Program], None]:
    """An instruction that remembers the top of the stack under a number of `size` bytes."""

    def step(program: Program) -> None:
        program.memo[program.number(size)] = program.top()

    return step


def _memoize(program: Program) -> None:
    program.memo[len(program.memo)] = program.top()


def _tuple(count: int) -> Callable[[Program], None]:
    """An instruction that makes a tuple of the `count` uppermost values."""

    def step(program: Program) -> None:
        values = [program.pop() for _ in range(count)]
        program.stack.append(tuple(reversed(values)))

    return step


def _append(program: Program) -> None:
    _extend(program, [program.pop()])


def _extend(program: Program, values: list[Any]) -> None:
    target = program.top()
    if isinstance(target, StandIn):
        target.items = [] if target.items is None else target.items
        target = target.items
    if type(target) is not list:
        raise Refused(DAMAGED)
    target.extend(values)


def _set_item(program: Program) -> None:
    value, key = program.pop(), program.pop()
    _set_items(program, [key, value])


def _set_items(program: Program, values: list[Any]) -> None:
    target = program.top()
    if isinstance(target, StandIn):
        target.items = {} if target.items is None else target.items
        target = target.items
    if type(target) is not dict or len(values) % 2:
        raise Refused(DAMAGED)
    for place in range(0, len(values), 2):
        target[checked_key(values[place])] = values[place + 1]


def _add_items(program: Program) -> None:
    values, target = program.pop_to_mark(), program.top()
    if type(target) is not set:
        raise Refused(DAMAGED)
    target.update(checked_key(value) for value in values)


def _global(program: Program) -> None:
    module = program.line()
    program.stack.append(program.find(module, program.line()))


def _stack_global(program: Program) -> None:
    name, module = program.pop(), program.pop()
    if type(module) is not str or type(name) is not str:
        raise Refused(DAMAGED)
    program.stack.append(program.find(module, name))


def _reduce(program: Program) -> None:
    args, function = program.pop(), program.pop()
    program.stack.append(program.calls.call(function, args))


def _new_object(program: Program) -> None:
    args, kind = program.pop(), program.pop()
    program.stack.append(names.make_record(kind, args))


def _build(program: Program) -> None:
    state = program.pop()
    program.calls.build(program.top(), state)


def _refer(program: Program) -> None:
    program.stack.append(program.storages.refer(program.pop()))


def _skip(size: int) -> Callable[[Program], None]:
    """An instruction whose argument of `size` bytes says nothing that is needed."""

    def step(program: Program) -> None:
        program.bytes_of(size)

    return step


STEPS: dict[int, Callable[[Program], None]] = {
    ord(code): step
    for code, step in {
        "\x80": _protocol,
        "\x95": _skip(8),  # how long a frame is: bytes are read as they come
        "(": lambda program: program.marks.append(len(program.stack)),
        "}": _push(lambda _: {}),
        "]": _push(lambda _: []),
        ")": _push(lambda _: ()),
        "\x8f": _push(lambda program: program.calls.call(Name("builtins.set"), ())),
        "N": _push(lambda _: None),
        "\x88": _push(lambda _: True),
        "\x89": _push(lambda _: False),
        "K": _push(lambda program: program.number(1)),
        "M": _push(lambda program: program.number(2)),
        "J": _push(_int4),
        "\x8a": _push(lambda program: int.from_bytes(program.bytes_of(program.number(1)), "little", signed=True)),
        "G": _push(_float8),
        "X": _text(4),
        "\x8c": _text(1),
        "\x8d": _text(8),
        "U": _text(1),
        "T": _text(4),
        "C": _push(lambda program: program.bytes_of(program.number(1))),
        "B": _push(lambda program: program.bytes_of(program.number(4))),
        "\x8e": _push(lambda program: program.bytes_of(program.number(8))),
        "q": _put(1),
        "r": _put(4),
        "\x94": _memoize,
        "h": _push(lambda program: program.memo[program.number(1)]),
        "j": _push(lambda program: program.memo[program.number(4)]),
        "\x85": _tuple(1),
        "\x86": _tuple(2),
        "\x87": _tuple(3),
        "t": _push(lambda program: tuple(program.pop_to_mark())),
        "a": _append,
        "e": lambda program: _extend(program, program.pop_to_mark()),
        "s": _set_item,
        "u": lambda program: _set_items(program, program.pop_to_mark()),
        "\x90": _add_items,
        "\x91": _push(lambda program: program.calls.call(Name("builtins.frozenset"), (program.pop_to_mark(),))),
        "c": _global,
        "\x93": _stack_global,
        "R": _reduce,
        "\x81": _new_object,
        "b": _build,
        "Q": _refer,
    }.items()
}
"""Actions of the instructions; those that are missing are refused by name."""
