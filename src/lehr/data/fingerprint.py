"""Fingerprint of a data set, by which a resumed run knows that its data are unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from lehr.sample import Sample


def fingerprint(names: Sequence[str], *splits: Sequence[Sample]) -> str:
    """Hash class names, images (by file name and size) and objects, in their order, wherever the files lie.

    Args:
        names: the class names.
        splits: the samples of each split.
    """
    digest = hashlib.blake2b(repr(tuple(names)).encode(), digest_size=16)
    for samples in splits:
        digest.update(f"{len(samples)} images\n".encode())
        for sample in samples:
            digest.update(f"{sample.path.name} {sample.width} {sample.height} {len(sample.boxes)}\n".encode())
            digest.update(np.ascontiguousarray(sample.boxes).tobytes())
            digest.update(np.ascontiguousarray(sample.classes).tobytes())
    return digest.hexdigest()
