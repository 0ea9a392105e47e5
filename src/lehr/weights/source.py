"""A file that weights come from, opened: what it says of itself, the shapes of its tensors, and a way to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lehr.errors import InputError
from lehr.weights.foreign import describe_foreign
from lehr.weights.metadata import FORMAT, WeightsMetadata, parse_metadata
from lehr.weights.tensor_file import DamagedTensors, Header, read_header, read_tensors


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """An opened file of weights.

    Attributes:
        path: the file.
        metadata: its metadata, as text.
        details: those that a model is built of, checked.
        header: what lies where in it.
    """

    path: Path
    metadata: Mapping[str, str]
    details: WeightsMetadata
    header: Header

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of its tensors by name."""
        return {name: tensor.shape for name, tensor in self.header.tensors.items()}

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Read tensors, each into memory of its own.

        Raises:
            InputError: the file has changed since it was opened, or cannot be read.
        """
        try:
            return read_tensors(self.path, self.header, names)
        except DamagedTensors as error:
            raise InputError(f"{self.path}: is damaged ({error}). Copy it again.") from None
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror}).") from None


def open_weights(path: Path) -> WeightsSource:
    """Open a file of weights; its metadata are checked.

    Raises:
        InputError: it is missing, is no safetensors file, is cut off, or its metadata are missing or damaged.
    """
    try:
        header = read_header(path)
    except (DamagedTensors, OSError):
        raise InputError(f"{path}: {describe_foreign(path)}") from None
    if header.metadata.get("format") != FORMAT:
        raise InputError(
            f"{path}: has no Lehr metadata, so model and classes are unknown. Give weights that Lehr saved."
        )
    try:
        return WeightsSource(path, header.metadata, parse_metadata(header.metadata), header)
    except ValueError as error:
        raise damaged_metadata(path, str(error)) from None


def damaged_metadata(path: Path, what: str) -> InputError:
    """The error of a file whose metadata cannot be used.

    Args:
        path: the file.
        what: what is wrong with them.
    """
    return InputError(
        f"{path}: its metadata are damaged, so model and classes are unknown: {what}. Give weights as Lehr saved them."
    )
