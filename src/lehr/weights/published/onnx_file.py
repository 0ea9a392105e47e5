"""Reader of ONNX files, bounded and on its own: protobuf's wire format, of which five kinds of message are looked at.

The `onnx` package would be a dependency for this alone, follows data into other files, and puts no bound on either.
Here no other file is opened, nothing is computed, and no more memory is taken than the file has bytes and its tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.runtime.reading import GIB, TooLarge, read_writable
from lehr.weights.published.stand_in import Refused

MAX_FILE, MAX_FIELDS, MAX_DIMENSIONS, MAX_NAME, MAX_TEXT = 2 * GIB, 500_000, 8, 1000, 2**20
"""Bytes of a file, which protobuf bounds likewise; fields that are looked at, of which YOLOv8x has some 20,000; sides
of a tensor; bytes of a name, and of an entry of the metadata."""
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
"""Wire types."""
FLOAT, HALF = 1, 10
"""Types of numbers that weights have."""
TYPES = {2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 11: "float64", 16: "bfloat16"}
"""Other types, for messages."""
CONV, CONSTANT = "Conv", "Constant"
REMEDY = "Give the checkpoint (.pt) that it was exported from."
DAMAGED = "is a damaged or cut off ONNX file. Copy it again."


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as stored in a file.

    Attributes:
        shape: its sides.
        kind: number of its type.
        data: its numbers, little-endian.
    """

    shape: tuple[int, ...]
    kind: int
    data: memoryview

    def read(self, name: str) -> Tensor:
        """Copy it.

        Args:
            name: for messages.

        Raises:
            Refused: it is neither float32 nor float16, or has more or fewer numbers than its shape.
        """
        if self.kind not in (FLOAT, HALF):
            raise Refused(
                f"is an ONNX export that holds {shown(name)} as {TYPES.get(self.kind, f'type {self.kind}')}, where "
                f"weights are float32 or float16. {REMEDY}"
            )
        dtype = np.dtype("<f4" if self.kind == FLOAT else "<f2")
        if math.prod(self.shape) * dtype.itemsize != len(self.data):
            raise Refused(
                f"is damaged: {shown(name)} of shape {list(self.shape)} has {len(self.data)} bytes. Copy it again."
            )
        return torch.from_numpy(np.frombuffer(self.data, dtype).astype(dtype.newbyteorder("="))).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution of a graph.

    Attributes:
        inputs: names of its input, weight and bias.
        numbers: its settings by name, e.g. "strides".
        auto_pad: whether its padding follows from the image.
    """

    inputs: tuple[str, ...]
    numbers: dict[str, tuple[int, ...]]
    auto_pad: bool


@dataclass(slots=True)
class OnnxFile:
    """Content of an ONNX file, as far as weights need it.

    Attributes:
        tensors: initializers, and the outcomes of `Constant` nodes, by name.
        convolutions: in the order of the graph.
        operators: names of all operators.
        metadata: text by name.
        input_shape: sides of the first input; 0 if one is dynamic.
    """

    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    convolutions: list[Convolution] = field(default_factory=list)
    operators: set[str] = field(default_factory=set)
    metadata: dict[str, str] = field(default_factory=dict)
    input_shape: tuple[int, ...] = ()


def read_onnx_file(path: Path) -> OnnxFile:
    """Read an ONNX file; the numbers of its tensors stay where they are until they are asked for.

    Raises:
        InputError: it cannot be read.
        Refused: it is damaged, keeps tensors in other files, or goes beyond a bound.
    """
    try:
        return _Reader().model(memoryview(read_writable(path, MAX_FILE)))
    except TooLarge as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    except MemoryError:
        raise InputError(f"{path}: there is too little memory to read it. Close other programs.") from None


def shown(name: str) -> str:
    """A name of a file for a message: one line, cut short."""
    return one_line(name)[:100] or "a tensor without a name"


class _Reader:
    """Follows messages of known kinds to a fixed depth, and counts what it looks at."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def model(self, data: memoryview) -> OnnxFile:
        """Read a ModelProto."""
        file, graphs = OnnxFile(), 0
        for number, value in self._fields(data):
            if number == 7:
                graphs += 1
                self._graph(_message(value), file)
            elif number == 14:
                key, text = self._pair(_message(value))
                file.metadata[key] = text
        if graphs != 1:
            raise Refused(f"is an ONNX export with {counted(graphs, 'graph') if graphs else 'no graph'}. {REMEDY}")
        return file

    def _graph(self, data: memoryview, file: OnnxFile) -> None:
        for number, value in self._fields(data):
            if number == 1:
                self._node(_message(value), file)
            elif number == 5:
                self._add(file, *self._tensor(_message(value)))
            elif number == 11 and not file.input_shape:
                file.input_shape = self._shape(_message(value))

    def _node(self, data: memoryview, file: OnnxFile) -> None:
        inputs, outputs, attributes, operator = [], [], [], ""
        for number, value in self._fields(data):
            if number == 1:
                inputs.append(_text(value))
            elif number == 2:
                outputs.append(_text(value))
            elif number == 4:
                operator = _text(value)
            elif number == 5:
                attributes.append(_message(value))
        file.operators.add(operator)
        if operator == CONV:
            numbers, padded = {}, False
            for each in attributes:
                name, found, text, _ = self._attribute(each)
                numbers[name] = found
                padded = padded or text not in ("", "NOTSET")
            file.convolutions.append(Convolution(tuple(inputs), numbers, padded))
        elif operator == CONSTANT and outputs:
            for each in attributes:
                *_, tensor = self._attribute(each)
                if tensor is not None:
                    self._add(file, outputs[0], tensor)

    def _add(self, file: OnnxFile, name: str, tensor: StoredTensor) -> None:
        if name in file.tensors:
            raise Refused(f"is damaged: it holds {shown(name)} twice. Copy it again.")
        file.tensors[name] = tensor

    def _attribute(self, data: memoryview) -> tuple[str, tuple[int, ...], str, StoredTensor | None]:
        """Name, whole numbers, text and tensor of an AttributeProto; graphs within are not followed."""
        name, numbers, text, tensor = "", [], "", None
        for number, value in self._fields(data):
            if number == 1:
                name = _text(value)
            elif number in (3, 8):
                numbers += self._integers(value)
            elif number == 4:
                text = _text(value)
            elif number == 5:
                _, tensor = self._tensor(_message(value))
        return name, tuple(numbers), text, tensor

    def _tensor(self, data: memoryview) -> tuple[str, StoredTensor]:
        """Name and content of a TensorProto."""
        name, kind, shape, raw, floats, elsewhere = "", 0, [], memoryview(b""), [], None
        for number, value in self._fields(data):
            if number == 1:
                shape += self._integers(value)
            elif number == 2:
                kind = _integer(value)
            elif number == 4:
                floats.append(_message(value))
            elif number == 8:
                name = _text(value)
            elif number == 9:
                raw = _message(value)
            elif number == 13:
                key, text = self._pair(_message(value))
                elsewhere = text if key == "location" else elsewhere or ""
            elif number == 14 and value != 0:
                elsewhere = elsewhere or ""
        if elsewhere is not None:
            raise Refused(
                f"is an ONNX export that keeps {shown(name)} in another file ({shown(elsewhere) if elsewhere else '?'})"
                f", and no other file is opened. {REMEDY}"
            )
        if len(shape) > MAX_DIMENSIONS:
            raise Refused(f"is damaged: {shown(name)} has {len(shape)} sides. Copy it again.")
        if floats and kind == FLOAT:
            raw = floats[0] if len(floats) == 1 else memoryview(b"".join(floats))
        return name, StoredTensor(tuple(shape), kind, raw)

    def _shape(self, data: memoryview) -> tuple[int, ...]:
        """Sides of a ValueInfoProto: type, tensor type, shape, dimensions, value."""
        parts = [data]
        for wanted in (2, 1, 2, 1):
            parts = [_message(value) for part in parts for number, value in self._fields(part) if number == wanted]
        return tuple(
            next((_integer(value) for number, value in self._fields(part) if number == 1), 0) for part in parts
        )

    def _pair(self, data: memoryview) -> tuple[str, str]:
        """Key and value of a StringStringEntryProto."""
        found = {number: _text(value, MAX_TEXT) for number, value in self._fields(data) if number in (1, 2)}
        return found.get(1, ""), found.get(2, "")

    def _integers(self, value: int | memoryview) -> list[int]:
        """Whole numbers, one or packed."""
        if isinstance(value, int):
            return [value]
        numbers, at = [], 0
        while at < len(value):
            self._count()
            number, at = _varint(value, at)
            numbers.append(number)
        return numbers

    def _fields(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Numbers and values of the fields of a message: a whole number, or bytes."""
        at, end = 0, len(data)
        while at < end:
            self._count()
            key, at = _varint(data, at)
            kind = key & 7
            if kind == VARINT:
                value, at = _varint(data, at)
                yield key >> 3, value
                continue
            if kind == BYTES:
                size, at = _varint(data, at)
            elif kind in (EIGHT, FOUR):
                size = 8 if kind == EIGHT else 4
            else:
                raise Refused(DAMAGED)
            if size > end - at:
                raise Refused(DAMAGED)
            yield key >> 3, data[at : at + size]
            at += size

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Refused(f"is an ONNX file of more than {MAX_FIELDS:,} fields, more than a detector has. {REMEDY}")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, 10 bytes at most, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise Refused(DAMAGED)


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise Refused(DAMAGED)
    return value


def _integer(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise Refused(DAMAGED)
    return value


def _text(value: int | memoryview, longest: int = MAX_NAME) -> str:
    data = _message(value)
    if len(data) > longest:
        raise Refused(f"is an ONNX file with a text of {len(data)} bytes, more than a detector has. {REMEDY}")
    return bytes(data).decode(errors="replace")
