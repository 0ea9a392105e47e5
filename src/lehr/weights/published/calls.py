"""The calls that a checkpoint's pickle may make, each done by a twin: containers, tensors, and numbers of NumPy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from lehr.weights.published import names
from lehr.weights.published.stand_in import Name, Refused, StandIn
from lehr.weights.published.tensors import MAX_DIMENSIONS, MAX_SIDE, Storages

NUMBERS = re.compile(r"[<>=|]?([fiu][1248]|b1|\?)")
"""Types of NumPy that are read: plain numbers of one to eight bytes."""
MAX_COPIED = 4_000_000
"""Parts of containers, and bytes, that calls copy; else a short program could fill the memory by repeating one call."""
MAX_KEY, MAX_KEY_LENGTH = 2**53, 10_000
"""Bounds of numbers and text as keys; others could be chosen so that a dictionary of them takes hours."""
SET_PARTS = 10
"""Parts that each entry of a set, and an empty one, count for, by their memory."""
ARRAY = "numpy.ndarray"


class Calls:
    """Answers to a pickle's calls.

    Args:
        storages: the blocks of numbers that tensors are made of.
    """

    def __init__(self, storages: Storages) -> None:
        self._storages, self._left = storages, MAX_COPIED

    def call(self, function: Any, args: Any) -> Any:
        """Answer a call.

        Args:
            function: a known name.
            args: its arguments.

        Raises:
            Refused: it is not among those that a checkpoint makes, or its arguments are not.
        """
        if not isinstance(function, Name) or type(args) is not tuple:
            raise Refused("is damaged: it calls something that is not a function. Copy it again.")
        name = function.text
        if name in names.TENSORS or name in names.PARAMETERS or name == names.SUBCLASS:
            return self._tensor(name, args)
        if name in names.DICTIONARIES:
            return self._dictionary(name, args)
        if name in names.SEQUENCES or name in names.SETS:
            return self._collection(name, args)
        if names.is_path(name):
            return self._path(args)
        if name == names.ENCODE:
            return self._encoded(args)
        if name == names.SIZE:
            return self._size(args)
        if name == names.DEVICE:
            return ":".join(str(part) for part in self._short(args, (str, int)))
        if name == names.NUMBER_TYPE:
            return StandIn(name, (_number_type(args[0] if args else None),))
        if name == names.SCALAR:
            return _scalar(args)
        if name == names.METHOD:
            return _method(args)
        if name == names.ARRAY:
            if len(args) != 3 or args[0] != Name(ARRAY):
                raise names.not_called(name)
            return StandIn(ARRAY)
        return names.make_record(function, args)

    def build(self, target: Any, state: Any) -> None:
        """Give an object its state, as data.

        Raises:
            Refused: it is an object that has none, or has one already.
        """
        if type(target) is dict:  # attributes of an OrderedDict, such as those of `state_dict`
            return
        if not isinstance(target, StandIn):
            raise Refused("is damaged: it gives attributes to something that has none. Copy it again.")
        if target.name == names.NUMBER_TYPE:
            _set_byte_order(target, state)
        elif target.name == ARRAY:
            target.state = self._array(state)
        elif target.state is None:
            target.state = state
        elif type(target.state) is dict and type(state) is dict:
            self.copies(len(target.state) + len(state))
            target.state = {**target.state, **state}
        else:
            raise Refused("is damaged: an object gets attributes twice. Copy it again.")

    def copies(self, count: int) -> None:
        """Count parts that are copied, or made of nothing.

        Raises:
            Refused: they are more than any checkpoint has.
        """
        self._left -= count
        if self._left < 0:
            raise Refused(f"copies more than {MAX_COPIED:,} parts of what it holds, as no checkpoint does.")

    def _tensor(self, name: str, args: tuple[Any, ...]) -> Any:
        """A tensor, whose gradient, hooks and attributes nobody needs."""
        if name == names.SUBCLASS:
            if len(args) != 4 or not isinstance(args[0], Name) or args[0].text not in names.TENSORS:
                raise names.not_called(name)
            return self._tensor(args[0].text, args[2] if type(args[2]) is tuple else ())
        if name in names.PARAMETERS:
            if not args or not isinstance(args[0], torch.Tensor):
                raise Refused("is damaged: a parameter is not a tensor. Copy it again.")
            return args[0]
        if not 4 <= len(args) <= 8:
            raise Refused("is damaged: a tensor has no shape. Copy it again.")
        dtype = None
        if name.endswith("v3"):
            dtype = args[6] if len(args) > 6 else None
            if not isinstance(dtype, torch.dtype):
                raise Refused("keeps numbers of a type that is unknown here.")
        part, offset, shape, strides = args[:4]
        return self._storages.rebuild(part, offset, shape, strides, dtype)

    def _dictionary(self, name: str, args: tuple[Any, ...]) -> dict[Any, Any]:
        if name == "collections.defaultdict":
            args = args[1:]
        if not args:
            return {}
        if len(args) != 1 or type(args[0]) not in (dict, list, tuple):
            raise Refused("is damaged: a dictionary is made of something else than pairs. Copy it again.")
        pairs = args[0]
        self.copies(2 * len(pairs))
        if type(pairs) is dict:  # its keys were checked when it was filled
            return dict(pairs)
        if not all(type(pair) in (tuple, list) and len(pair) == 2 for pair in pairs):
            raise Refused("is damaged: a dictionary is made of something else than pairs. Copy it again.")
        return {checked_key(key): value for key, value in pairs}

    def _collection(self, name: str, args: tuple[Any, ...]) -> Any:
        if len(args) > 1 or (args and type(args[0]) not in (list, tuple, set, frozenset, dict)):
            raise Refused("is damaged: a list or set is made of something that is none. Copy it again.")
        parts: Iterable[Any] = args[0] if args else ()
        self.copies((len(args[0]) if args else 0) * (SET_PARTS if name in names.SETS else 1) + SET_PARTS)
        if name in names.SEQUENCES:
            return names.SEQUENCES[name](parts)
        return names.SETS[name](map(checked_key, parts))

    def _short(self, args: tuple[Any, ...], kinds: tuple[type, ...]) -> tuple[Any, ...]:
        """Arguments of given types, a few of them.

        Raises:
            Refused: they are others, or many.
        """
        if len(args) > 100 or not all(type(part) in kinds for part in args):
            raise Refused("is damaged: a path, size or device is of something else than text and numbers.")
        self.copies(sum(len(part) if type(part) is str else 1 for part in args))
        return args

    def _path(self, args: tuple[Any, ...]) -> str:
        parts = self._short(args, (str,))
        return "/".join(part.rstrip("/") if part != "/" else "" for part in parts) or "/".join(parts)

    def _encoded(self, args: tuple[Any, ...]) -> bytes:
        """Bytes, which old pickles write as text."""
        if len(args) != 2 or type(args[0]) is not str or args[1] != "latin1":
            raise names.not_called(names.ENCODE)
        self.copies(len(args[0]))
        try:
            return args[0].encode("latin1")
        except UnicodeEncodeError:
            raise Refused("is damaged: bytes are written as text that is none. Copy it again.") from None

    def _size(self, args: tuple[Any, ...]) -> tuple[int, ...]:
        parts = args[0] if len(args) == 1 and type(args[0]) in (tuple, list) else None
        if parts is None:
            raise Refused("is damaged: a size is of something else than numbers. Copy it again.")
        return self._short(tuple(parts[:101]), (int,))

    def _array(self, state: Any) -> np.ndarray[Any, Any]:
        """An array of NumPy, of plain numbers."""
        if type(state) is not tuple or len(state) != 5 or not isinstance(state[2], StandIn):
            raise Refused("is damaged: an array of NumPy is described in another way. Copy it again.")
        _, shape, kind, fortran, data = state
        dtype = _dtype(kind)
        sizes = self._size((shape,))
        count = math.prod(sizes)
        if len(sizes) > MAX_DIMENSIONS or not all(0 <= side < MAX_SIDE for side in sizes):
            raise Refused("is damaged: an array of NumPy has no such shape. Copy it again.")
        if type(data) is not bytes or count * dtype.itemsize != len(data):
            raise Refused("is damaged: an array of NumPy is not as long as its shape says. Copy it again.")
        self.copies(len(data))
        numbers = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
        return numbers.reshape(sizes[::-1]).T if fortran is True else numbers.reshape(sizes)


def checked_key(key: Any) -> Any:
    """A key of a dictionary, or entry of a set: text or a number, which nobody can choose to take hours.

    Raises:
        Refused: it is something else.
    """
    kind = type(key)
    if kind is str or kind is bytes:
        if len(key) <= MAX_KEY_LENGTH:
            return key
    elif key is None or kind is float or (kind in (int, bool) and abs(key) < MAX_KEY):
        return key
    raise Refused(
        f"has a dictionary or set with a key that is not a short text and no number ({names.shown_value(key)})."
    )


def _method(args: tuple[Any, ...]) -> Name:
    """The name of a method that a module has as an attribute; of nothing else is an attribute looked up."""
    known = len(args) == 2 and type(args[0]) is StandIn and type(args[1]) is str and len(args[1]) < names.MAX_NAME
    if not known or not names.CLASSES.fullmatch(args[0].name) or not names.METHODS.fullmatch(args[1]):
        raise names.unknown(names.METHOD)
    return Name(f"{args[0].name}.{args[1]}")


def _number_type(text: Any) -> str:
    if type(text) is not str or not NUMBERS.fullmatch(text):
        raise Refused(f"holds numbers of NumPy of a type that is not read ({names.shown_value(text)}).")
    return text


def _set_byte_order(target: StandIn, state: Any) -> None:
    """Note the order of a NumPy type's bytes: the second part of what it keeps."""
    if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "=", "|"):
        raise Refused("is damaged: a type of NumPy has no order of bytes. Copy it again.")
    target.state = state[1]


def _dtype(kind: Any) -> np.dtype[Any]:
    if not isinstance(kind, StandIn) or kind.name != names.NUMBER_TYPE:
        raise Refused("is damaged: a number of NumPy has no type. Copy it again.")
    dtype: np.dtype[Any] = np.dtype(kind.args[0])
    return dtype.newbyteorder(kind.state) if kind.state in ("<", ">") else dtype


def _scalar(args: tuple[Any, ...]) -> int | float | bool:
    """A number of NumPy as one of Python."""
    if len(args) != 2 or type(args[1]) is not bytes:
        raise Refused("is damaged: a number of NumPy is described in another way. Copy it again.")
    dtype = _dtype(args[0])
    if len(args[1]) != dtype.itemsize:
        raise Refused("is damaged: a number of NumPy is not as long as its type says. Copy it again.")
    number: int | float | bool = np.frombuffer(args[1], dtype)[0].item()
    return number
