"""Images at training size, or their files, cached where every worker can reach them.

`ram`: decoded, in one block of memory that forked workers share. `disk`: decoded, in a file in the cache folder, mapped
by every process and reused by later runs. `encoded`: as files, in shared memory; `none`: on the disk. In the last two
modes every image is decoded each time, or taken from a ring of recently decoded ones.

Images larger than the training size are kept reduced to it, averaged, so that the later warp never shrinks much.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.augment.letterbox import reduced_size, resize
from lehr.data.decoded_ring import DecodedRing, map_ring
from lehr.data.encoded_files import EncodedFiles, file_sizes, keep_encoded, map_encoded
from lehr.data.images import ImageFault, read_image
from lehr.data.images.decode import VERSION
from lehr.errors import InputError
from lehr.runtime.cache_folder import make_cache_folder
from lehr.runtime.control_groups import memory_limit
from lehr.runtime.counted import counted
from lehr.runtime.ownership import is_own_file
from lehr.runtime.reading import MIB, read_file
from lehr.runtime.shared_block import map_block, shared_block
from lehr.sample import Sample

SHARE_OF_MEMORY = 0.7
"""Share of the free memory that decoded images, or their files, may take."""
RING_SHARE, SMALLEST_RING = 0.15, 8
"""Share of the free memory that a ring of decoded images may take, and the fewest images that it is worth."""
MEASURED, MEASURED_SECONDS = 8, 0.5
"""Images decoded to measure the cost, and the time limit for it."""


class ImageStore:
    """The images of a split at training size.

    Args:
        samples: the split.
        imgsz: longest side kept, pixels.
        pixels: flat uint8 block with all images in a row, or None to decode each time.
        path: the file by which other processes of this machine reach the block; None if they cannot.
        encoded: the image files in memory; None to read them from the disk.
        ring: images that were decoded last; None for none.
        scaled: decode JPEG files much larger than the training size at reduced scale.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        imgsz: int,
        pixels: NDArray[np.uint8] | None = None,
        path: str | None = None,
        encoded: EncodedFiles | None = None,
        ring: DecodedRing | None = None,
        scaled: bool = False,
    ) -> None:
        self.samples = samples
        self.path = path
        self.imgsz = imgsz
        self.encoded = encoded
        self.ring = ring
        self.scaled = scaled
        self._pixels = pixels
        self._sizes = np.array(
            [reduced_size(sample.width, sample.height, imgsz) for sample in samples], np.int64
        ).reshape(-1, 2)
        self._offsets = np.concatenate(([0], np.cumsum(self._sizes.prod(1) * 3)))

    def __getstate__(self) -> dict[str, Any]:
        """State for a process that is not forked, which does not share memory by forking."""
        return self.__dict__ | {"encoded": None, "ring": None}

    @property
    def is_decoded(self) -> bool:
        """True if all images are cached decoded."""
        return self._pixels is not None

    def keeps_file(self, index: int) -> bool:
        """Return whether an image's file is in memory."""
        return self.encoded is not None and self.encoded(index) is not None

    @property
    def nbytes(self) -> int:
        """Bytes that all images take."""
        return int(self._offsets[-1])

    @property
    def largest(self) -> int:
        """Bytes of the largest image."""
        return int(np.diff(self._offsets).max(initial=1))

    @property
    def place(self) -> dict[str, Any]:
        """Location of this store for other processes of this machine, for `map_store`."""
        ring = None if self.ring is None else (self.ring.path, self.ring.slots)
        return {"pixels": self.path, "encoded": self.encoded and self.encoded.path, "ring": ring}

    def __call__(self, index: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """An image (h, w, 3), RGB, not to be written to, and width and height of the original.

        Use it before `release` is called.

        Raises:
            ImageFault: the image cannot be decoded (only where it was not cached before).
        """
        sample = self.samples[index]
        size = sample.width, sample.height
        if self._pixels is not None:
            return self.slot(self._pixels, index), size
        if self.ring is None:
            return self._decoded(index), size
        width, height = self._sizes[index].tolist()

        def fill(out: NDArray[np.uint8]) -> None:
            out[:] = self._decoded(index)

        return self.ring(index, (height, width, 3), fill), size

    def in_epoch(self, seed: int, epoch: int) -> ImageStore:
        """The images as an epoch shows them: whole ones are the same in each."""
        return self

    def release(self) -> None:
        """Release the requested images."""
        if self.ring is not None:
            self.ring.release()

    def unread(self, index: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """An array of an image's shape, without its content, and width and height of the original."""
        width, height = self._sizes[index].tolist()
        sample = self.samples[index]
        return np.broadcast_to(np.uint8(0), (height, width, 3)), (sample.width, sample.height)

    def slot(self, pixels: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """Return a view (h, w, 3) of an image's pixels in a flat block."""
        width, height = self._sizes[index].tolist()
        return pixels[self._offsets[index] : self._offsets[index + 1]].reshape(height, width, 3)

    def fill(self, pixels: NDArray[np.uint8]) -> None:
        """Decode all images into a flat block, on all cores.

        Raises:
            ImageFault: an image cannot be decoded.
        """

        def decode(index: int) -> None:
            self.slot(pixels, index)[:] = self._decoded(index)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(decode, range(len(self.samples))):
                pass

    def decode_seconds(self) -> float | None:
        """Measure the seconds that an image takes to be read and decoded, on average; None if none can be decoded."""
        spent, count = 0.0, 0
        for index in np.linspace(0, len(self.samples) - 1, min(MEASURED, len(self.samples))).astype(int).tolist():
            started = time.perf_counter()
            try:
                self._decoded(index)
            except ImageFault:
                continue
            spent, count = spent + time.perf_counter() - started, count + 1
            if spent > MEASURED_SECONDS:
                break
        return spent / count if count else None

    def _decoded(self, index: int) -> NDArray[np.uint8]:
        width, height = self._sizes[index].tolist()
        path, data = self.samples[index].path, None if self.encoded is None else self.encoded(index)
        plain = data is None and not self.scaled
        image = read_image(path) if plain else read_image(path, data, (width, height) if self.scaled else None)
        return resize(image, width, height)


def fits_decoded(samples: Sequence[Sample], imgsz: int, cache: str) -> bool:
    """Return whether all images of a split will be kept decoded.

    Args:
        samples: the split.
        imgsz: longest side kept, pixels.
        cache: ram, encoded, disk or none.
    """
    if cache == "ram":
        return ImageStore(samples, imgsz).nbytes <= SHARE_OF_MEMORY * free_memory()
    return cache == "disk"


def ring_room(samples: Sequence[Sample], imgsz: int) -> int:
    """Return how many images of a split a ring may keep decoded.

    Args:
        samples: the split.
        imgsz: longest side kept, pixels.
    """
    return min(len(samples), int(RING_SHARE * free_memory()) // ImageStore(samples, imgsz).largest)


def open_store(
    samples: Sequence[Sample],
    imgsz: int,
    cache: str,
    say: Callable[[str], None],
    shared: bool = False,
    ring: int = 0,
    scaled: bool = False,
    smallest: int | None = None,
) -> ImageStore:
    """The store of a split, filled.

    Args:
        samples: the split.
        imgsz: longest side kept, pixels.
        cache: ram, encoded, disk or none. If memory is insufficient, ram falls back to encoded, and encoded to none,
            with a message.
        say: reports what is done.
        shared: other processes of this machine will map it.
        ring: maximum number of recently decoded images to keep, if not all are.
        scaled: decode JPEG files much larger than the training size at reduced scale.
        smallest: the smallest useful ring; None for 8.

    Raises:
        ImageFault: an image cannot be decoded.
        InputError: the cache file cannot be written.
    """
    store = ImageStore(samples, imgsz, scaled=scaled)
    if not samples:
        return store
    if cache == "disk":
        path = _cached_file(store, say)
        return ImageStore(samples, imgsz, np.memmap(path, np.uint8, "r"), str(path), scaled=scaled)
    free = free_memory()
    if cache == "ram" and store.nbytes <= SHARE_OF_MEMORY * free:
        block = shared_block(max(store.nbytes, 1), "lehr-images", shared)
        pixels = np.frombuffer(block.memory, np.uint8)
        store.fill(pixels)
        return ImageStore(samples, imgsz, pixels, block.path, scaled=scaled)
    return _decoding_store(store, cache, free, say, shared, ring, smallest)


def _decoding_store(
    store: ImageStore,
    cache: str,
    free: int,
    say: Callable[[str], None],
    shared: bool,
    ring: int,
    smallest: int | None = None,
) -> ImageStore:
    """Build a store that decodes each time, from files in memory if they fit.

    Args:
        store: of the split, empty.
        cache: ram, encoded or none.
        free: bytes of memory.
        say: reports what is done, and what it costs.
        shared: other processes of this machine will map it.
        ring: images that were decoded last and are kept at most.
        smallest: the smallest useful ring; None for 8.
    """
    count, sizes = counted(len(store.samples), "image"), [] if cache == "none" else file_sizes(store.samples)
    if cache != "none" and sum(sizes) <= SHARE_OF_MEMORY * free:
        with contextlib.suppress(OSError):  # continue without what the system does not provide
            store.encoded = keep_encoded(store.samples, sizes, shared)
    slots = min(ring, ring_room(store.samples, store.imgsz))
    if slots >= (SMALLEST_RING if smallest is None else smallest):
        with contextlib.suppress(OSError):
            store.ring = DecodedRing(len(store.samples), slots, store.largest)
    each = store.decode_seconds()
    cost = "" if each is None else f", about {each * 1e3:.1f} ms per image or {1 / each:,.0f} images/s per core"
    needs = f"decoded, they need {_gib(store.nbytes)} of {_gib(free)} GiB free"
    if cache == "none":
        say(f"--cache none: {count} are read and decoded on demand{cost}.")
    elif store.encoded is not None:
        why = f"{needs}; " if cache == "ram" else ""
        kept = f"their files, {_gib(store.encoded.nbytes)} GiB, are kept in memory"
        say(f"--cache {cache}: {count}: {why}{kept} and decoded on demand{cost}.")
    else:
        say(
            f"--cache {cache}: {count}: {needs}, their files {_gib(sum(sizes))} GiB; they are read and decoded on "
            f"demand{cost}. --cache disk keeps them decoded in a file."
        )
    return store


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f}"


def map_store(samples: Sequence[Sample], imgsz: int, place: dict[str, Any], scaled: bool = False) -> ImageStore:
    """Open the store of a split that another process of this machine has filled.

    Args:
        samples: the split, as that process has it.
        imgsz: longest side kept, pixels.
        place: location reported by that store.
        scaled: as in that store.
    """
    store = ImageStore(samples, imgsz, scaled=scaled)
    if (path := place["pixels"]) is not None:
        return ImageStore(samples, imgsz, np.frombuffer(map_block(path).memory, np.uint8), path)
    if (path := place["encoded"]) is not None:
        store.encoded = map_encoded(path, len(samples))
    if place["ring"] is not None and place["ring"][0] is not None:
        store.ring = map_ring(place["ring"][0], len(samples), place["ring"][1], store.largest)
    return store


def free_memory() -> int:
    """Free memory in bytes, of the machine or its container."""
    try:
        lines = read_file("/proc/meminfo", MIB).decode("ascii", "replace").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = 8 * 2**30  # unknown: assume a modest machine
    limit = memory_limit()
    return free if limit is None else min(free, limit[1])


def _cached_file(store: ImageStore, say: Callable[[str], None]) -> Path:
    """The file with all images of a split, written if it is missing."""
    scaled = " scaled" if store.scaled else ""
    digest = hashlib.blake2b(f"decoding {VERSION}{scaled}\n".encode(), digest_size=12)
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
