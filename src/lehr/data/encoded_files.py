"""Encoded image files, kept in memory that all loading processes share, if their pixels do not fit.

One block holds the files one after another, made before the processes that load are forked: each reads it where it is,
and none has a copy. Later changes on the disk have no effect.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lehr.data.images import read_image
from lehr.data.images.files import LARGE
from lehr.runtime.reading import TooLarge, read_file
from lehr.runtime.shared_block import SharedBlock, map_block, shared_block
from lehr.sample import Sample

PLACE = 16
"""Bytes of the table for each file: its offset and its length."""
TOGETHER = 256
"""Files that a thread looks at in a row."""


class EncodedFiles:
    """The files of a split in one block of memory.

    Args:
        block: a table of offsets and lengths, int64 (files, 2), then the files; one of no bytes is not kept.
        files: how many there are.
    """

    def __init__(self, block: SharedBlock, files: int) -> None:
        self.path = block.path
        self._memory = block.memory
        self._table = np.frombuffer(block.memory, np.int64, files * 2).reshape(files, 2)

    @property
    def nbytes(self) -> int:
        """Bytes of all files."""
        return int(self._table[:, 1].sum())

    def __call__(self, index: int) -> bytes | None:
        """A file's content; None if it is not kept, and is to be read from the disk."""
        start, length = self._table[index].tolist()
        return self._memory[start : start + length] if length else None


def file_sizes(samples: Sequence[Sample]) -> list[int]:
    """Bytes of each image file; 0 for one that is missing, or too large to be kept.

    Args:
        samples: the split.
    """

    def size(sample: Sample) -> int:
        try:
            found = sample.path.stat().st_size
        except OSError:
            return 0
        return found if found <= LARGE else 0

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(size, samples, chunksize=TOGETHER))


def keep_encoded(samples: Sequence[Sample], sizes: Sequence[int], shared: bool = False) -> EncodedFiles:
    """Read the files of a split into a block of memory.

    A file that has become larger than it was is not kept: it is read whenever it is asked for.

    Args:
        samples: the split.
        sizes: of the files, bytes.
        shared: processes that are not children of this one will map it.

    Raises:
        ImageFault: a file cannot be read.
        OSError: the system does not give the memory.
    """
    starts = np.cumsum([PLACE * len(samples), *sizes])
    block = shared_block(int(starts[-1]), "lehr-files", shared)
    table = np.frombuffer(block.memory, np.int64, len(samples) * 2).reshape(-1, 2)

    def read(index: int) -> None:
        sample, size, start = samples[index], sizes[index], int(starts[index])
        try:
            data = read_file(sample.path, size or LARGE)
        except TooLarge:
            return
        except OSError:
            read_image(sample.path)  # says what is the matter; else it is read each time
            return
        if len(data) <= size:
            block.memory[start : start + len(data)] = data
            table[index] = start, len(data)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(read, range(len(samples))):
            pass
    return EncodedFiles(block, len(samples))


def map_encoded(path: str, files: int) -> EncodedFiles:
    """The files of a split that another process of this machine keeps.

    Args:
        path: of their block.
        files: how many there are.
    """
    return EncodedFiles(map_block(path), files)
