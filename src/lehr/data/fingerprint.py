"""Fingerprint of a data set, by which a resumed run knows that its data are unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from lehr.sample import Sample


def fingerprint(names: Sequence[str], *splits: Sequence[Sample]) -> str:
    """Hash class names, images (by file name and size) and objects, in their order, wherever the files are.

    What an evaluation ignores has a separate fingerprint: runs from before it was read can resume.

    Args:
        names: the class names.
        splits: the samples of each split.
    """
    digest = hashlib.blake2b(repr(tuple(names)).encode(), digest_size=16)
    for samples in splits:
        digest.update(f"{len(samples)} images\n".encode())
        for sample in samples:
            digest.update(
                f"{sample.path.name} {sample.width} {sample.height} {len(sample.boxes)}\n".encode(
                    errors="surrogatepass"
                )
            )
            digest.update(np.ascontiguousarray(sample.boxes).tobytes())
            digest.update(np.ascontiguousarray(sample.classes).tobytes())
    return digest.hexdigest()


def ignored_fingerprint(*splits: Sequence[Sample]) -> str | None:
    """Hash what an evaluation ignores: which objects are difficult, and ignored regions; None if there is nothing.

    Args:
        splits: the samples of each split.
    """
    digest, found = hashlib.blake2b(digest_size=16), False
    for samples in splits:
        for index, sample in enumerate(samples):
            if sample.difficult is None and not len(sample.ignored.classes):
                continue
            found = True
            digest.update(f"{index} {len(sample.ignored.classes)}\n".encode())
            if sample.difficult is not None:
                digest.update(sample.difficult.tobytes())
            for column in (sample.ignored.boxes, sample.ignored.classes, sample.ignored.crowd):
                digest.update(np.ascontiguousarray(column).tobytes())
        digest.update(b"end\n")
    return digest.hexdigest() if found else None
