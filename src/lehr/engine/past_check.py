"""Comparison of a rebuilt batch with the digests that its run recorded."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lehr.checkpoint.digest_file import open_digests
from lehr.engine.past_batches import PastBatch, PastBatches
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.runtime.tensor_digest import folded, image_digests, object_digests


@dataclass(frozen=True, slots=True)
class DigestCheck:
    """Comparison of a batch with the digests of its run.

    Attributes:
        compared: number of images with digests: with several processes, those of the first.
        images: whether they are the same images, in the same order.
        pixels: rows whose pixels differ.
        objects: rows whose objects differ.
    """

    compared: int
    images: bool
    pixels: tuple[int, ...]
    objects: tuple[int, ...]

    @property
    def equal(self) -> bool:
        """True if everything compared is equal."""
        return self.images and not self.pixels and not self.objects


def check_digests(past: PastBatches, made: PastBatch) -> DigestCheck | None:
    """Compare a batch with the digests that its run recorded; None if that step has none.

    Raises:
        InputError: the file of digests is damaged.
    """
    file = open_digests(past.folder)
    record = None if file is None else file.at(made.place.step)
    if record is None:
        return None
    count, batch = int(record["count"]), made.batch
    own = torch.stack((image_digests(batch.images), object_digests(batch.boxes, batch.classes))).cpu().numpy()
    if batch.indices[:count].tolist() != record["index"][:count].tolist():
        return DigestCheck(count, False, (), ())
    pixels, objects = (
        tuple((folded(values[:count]) != record[name][:count]).nonzero()[0].tolist())
        for values, name in zip(own, ("pixels", "objects"), strict=True)
    )
    return DigestCheck(count, True, pixels, objects)


def describe_check(past: PastBatches, made: PastBatch, check: DigestCheck) -> str:
    """Describe the result of a comparison with a run's digests in one sentence."""
    if check.equal:
        part = (
            ""
            if check.compared == len(made.batch)
            else f" (of {counted(check.compared, 'image')}, those of the first process)"
        )
        return f"Equal to the trained batch (digests match){part}."
    if not check.images:
        return "Differs from the trained batch (digests): it had other images. The options or the data have changed."
    rows = sorted({*check.pixels, *check.objects})
    named = ", ".join(
        f"{row + 1}. {one_line(str(past.samples[int(made.batch.indices[row])].path))}" for row in rows[:5]
    )
    what = "pixels" if check.pixels else "objects"
    return (
        f"Differs from the trained batch (digests): {len(rows)} of {check.compared} images have other {what} "
        f"({named}{', ...' if len(rows) > 5 else ''}). Image files have changed, or are decoded differently here."
    )
