"""Description of a data set format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lehr.sample import Dataset


@dataclass(frozen=True, slots=True)
class DataFormat:
    """A format of data sets.

    Attributes:
        name: as `--data NAME:SOURCE` says it, where a source could be of several formats.
        recognises: reasons to take a source, as `--data` names it, for this format, e.g. "it holds data.yaml"; none if
            it is not. Must be quick, and must not raise.
        read: reads a source; the seed splits it where it comes without splits. Raises InputError, naming the file and
            the remedy, if there is nothing to read.
        misses: what a source that is near to this format lacks, as a sentence with the remedy, e.g. "obj.data names no
            'valid': split the images with `lehr data split`."; None if it is not near. Asked only when no format takes
            the source; must not raise.
    """

    name: str
    recognises: Callable[[str], Sequence[str]]
    read: Callable[[str, int], Dataset]
    misses: Callable[[str], str | None] = lambda source: None
