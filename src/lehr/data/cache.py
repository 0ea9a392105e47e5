"""Decoded images, kept at training size where every worker can reach them.

`ram`: one block of memory that forked workers share. `disk`: a file in the cache folder, mapped by every process and
reused by later runs. `none`: every image is decoded each time.

Images larger than the training size are kept reduced to it, averaged, so that the later warp never shrinks much.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.augment.letterbox import reduced_size, resize
from lehr.data.images import ImageFault, read_image
from lehr.data.images.decode import VERSION
from lehr.errors import InputError
from lehr.runtime.cache_folder import make_cache_folder
from lehr.runtime.control_groups import memory_limit
from lehr.runtime.ownership import is_own_file
from lehr.runtime.reading import MIB, open_file, read_file
from lehr.sample import Sample

SHARE_OF_MEMORY = 0.7
"""Share of the free memory that the `ram` cache may take."""


class ImageStore:
    """The images of a split at training size.

    Args:
        samples: the split.
        imgsz: longest side kept, pixels.
        pixels: flat uint8 block with all images in a row, or None to decode each time.
        path: the file by which other processes of this machine reach the block; None where they cannot.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        imgsz: int,
        pixels: NDArray[np.uint8] | None = None,
        path: str | None = None,
    ) -> None:
        self.samples = samples
        self.path = path
        self.imgsz = imgsz
        self._pixels = pixels
        self._sizes = np.array(
            [reduced_size(sample.width, sample.height, imgsz) for sample in samples], np.int64
        ).reshape(-1, 2)
        self._offsets = np.concatenate(([0], np.cumsum(self._sizes.prod(1) * 3)))

    @property
    def nbytes(self) -> int:
        """Bytes that all images take."""
        return int(self._offsets[-1])

    def __call__(self, index: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """An image (h, w, 3), RGB, not to be written to, and width and height of the original.

        Raises:
            ImageFault: the image cannot be decoded (only where it was not cached before).
        """
        sample = self.samples[index]
        if self._pixels is None:
            width, height = self._sizes[index].tolist()
            return resize(read_image(sample.path), width, height), (sample.width, sample.height)
        return self.slot(self._pixels, index), (sample.width, sample.height)

    def unread(self, index: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """An array of an image's shape, without its content, and width and height of the original."""
        width, height = self._sizes[index].tolist()
        sample = self.samples[index]
        return np.broadcast_to(np.uint8(0), (height, width, 3)), (sample.width, sample.height)

    def slot(self, pixels: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """View (h, w, 3) of an image's pixels in a flat block."""
        width, height = self._sizes[index].tolist()
        return pixels[self._offsets[index] : self._offsets[index + 1]].reshape(height, width, 3)

    def fill(self, pixels: NDArray[np.uint8]) -> None:
        """Decode all images into a flat block, on all cores.

        Raises:
            ImageFault: an image cannot be decoded.
        """

        def decode(index: int) -> None:
            width, height = self._sizes[index].tolist()
            self.slot(pixels, index)[:] = resize(read_image(self.samples[index].path), width, height)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(decode, range(len(self.samples))):
                pass


def open_store(
    samples: Sequence[Sample], imgsz: int, cache: str, say: Callable[[str], None], shared: bool = False
) -> ImageStore:
    """The store of a split, filled.

    Args:
        samples: the split.
        imgsz: longest side kept, pixels.
        cache: ram, disk or none; ram becomes none, aloud, where the memory does not suffice.
        say: told what is done.
        shared: other processes of this machine will map it.

    Raises:
        ImageFault: an image cannot be decoded.
        InputError: the cache file cannot be written.
    """
    store = ImageStore(samples, imgsz)
    if cache == "none" or not samples:
        return store
    if cache == "disk":
        path = _cached_file(store, say)
        return ImageStore(samples, imgsz, np.memmap(path, np.uint8, "r"), str(path))
    free = free_memory()
    if store.nbytes > SHARE_OF_MEMORY * free:
        say(
            f"--cache ram: {len(samples)} images need {store.nbytes / 2**30:.1f} GiB of {free / 2**30:.1f} GiB free; "
            "they are decoded each time instead. --cache disk keeps them in a file."
        )
        return store
    block, shared_path = _block(max(store.nbytes, 1), shared)
    pixels = np.frombuffer(block, np.uint8)
    store.fill(pixels)
    return ImageStore(samples, imgsz, pixels, shared_path)


def map_store(samples: Sequence[Sample], imgsz: int, cache: str, path: str | None) -> ImageStore:
    """The store of a split that another process of this machine has filled.

    Args:
        samples: the split, as that process has it.
        imgsz: longest side kept, pixels.
        cache: ram, disk or none.
        path: the file by which its block is reached; None where there is none.
    """
    if path is None or cache == "none" or not samples:
        return ImageStore(samples, imgsz)
    with open_file(path) as file:
        block = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return ImageStore(samples, imgsz, np.frombuffer(block, np.uint8), path)


def _block(size: int, shared: bool) -> tuple[mmap.mmap, str | None]:
    """A block of memory, bytes; and where other processes find it, if they are to and the system can do it.

    It goes with the last process that maps it, however that ends, and needs no room in /dev/shm.
    """
    if not shared or not hasattr(os, "memfd_create"):
        return mmap.mmap(-1, size), None
    handle = os.memfd_create("lehr-images")  # stays open as long as this process, for those that come later
    os.truncate(handle, size)
    return mmap.mmap(handle, size), f"/proc/{os.getpid()}/fd/{handle}"


def free_memory() -> int:
    """Bytes of memory that a process could still take, of the machine's or of what its container has."""
    try:
        lines = read_file("/proc/meminfo", MIB).decode("ascii", "replace").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = 8 * 2**30  # no figure to be had: a modest machine
    limit = memory_limit()
    return free if limit is None else min(free, limit[1])


def _cached_file(store: ImageStore, say: Callable[[str], None]) -> Path:
    """The file with all images of a split, written where it is missing."""
    digest = hashlib.blake2b(f"decoding {VERSION}\n".encode(), digest_size=12)
    for sample in store.samples:
        stat = sample.path.stat()
        digest.update(
            f"{sample.path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{store.imgsz}\n".encode(errors="surrogatepass")
        )
    path = make_cache_folder("images") / f"{digest.hexdigest()}.pixels"
    try:
        if not is_own_file(path) or path.stat().st_size != store.nbytes:
            _write_file(store, path)
            say(f"Images cached in {path} ({store.nbytes / 2**20:.0f} MiB).")
        return path
    except ImageFault:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}). Use --cache ram or set LEHR_CACHE.") from None


def _write_file(store: ImageStore, path: Path) -> None:
    handle, name = tempfile.mkstemp(prefix=".pixels-", dir=path.parent)
    try:
        os.truncate(handle, store.nbytes)
        pixels = np.memmap(name, np.uint8, "r+")
        store.fill(pixels)
        pixels.flush()
        Path(name).replace(path)
    finally:
        os.close(handle)
        Path(name).unlink(missing_ok=True)
