"""Near copies are found whatever was done to them, and different photographs of one kind of scene are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lehr.data.audit.copy_findings import near_copy_findings
from lehr.data.audit.findings import FindingKind, class_findings, small_findings
from lehr.data.audit.near_copies import find_near_copies
from lehr.data.audit.perceptual_hash import MAX_DISTANCE, SIDE, image_hashes, near_pairs
from lehr.sample import Dataset, Sample

Image = NDArray[np.uint8]


def cells(seed: int, width: int = 320, height: int = 240) -> Image:
    """A photograph of one kind of scene: discs of like size on a bright ground that darkens towards its edge."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    ground = 210 - 40 * np.hypot(x / width - 0.5, y / height - 0.5)
    image = np.repeat(ground[:, :, None], 3, 2).astype(np.uint8)
    for _ in range(25):
        at = int(rng.integers(width)), int(rng.integers(height))
        cv2.circle(image, at, int(rng.integers(14, 22)), (150, 120, int(rng.integers(150, 190))), -1, cv2.LINE_AA)
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def recoded(image: Image) -> Image:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1), np.uint8)


def brighter(image: Image) -> Image:
    return np.clip(image * 1.1 + 15, 0, 255).astype(np.uint8)


def moved(image: Image, x: int = 12, y: int = -8) -> Image:
    """The next frame of a video: the camera has moved and turned a little, and one thing on its own."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 2.0, 1.03)
    matrix[:, 2] += x, y
    frame = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    cv2.circle(frame, (100 + 2 * x, 90), 16, (90, 60, 120), -1)
    return np.asarray(frame, np.uint8)


CHANGES: dict[str, Callable[[Image], Image]] = {
    "recoded": recoded,
    "resized": lambda image: np.asarray(cv2.resize(image, (150, 110), interpolation=cv2.INTER_AREA), np.uint8),
    "brighter": brighter,
    "cropped": lambda image: image[10:228, 20:300],
    "moved": moved,
}


def samples_of(folder: Path, images: dict[str, Image]) -> list[Sample]:
    result = []
    for name, image in images.items():
        cv2.imwrite(str(folder / f"{name}.png"), image)
        height, width = image.shape[:2]
        no_boxes = np.zeros((0, 4), np.float32)
        result.append(Sample(folder / f"{name}.png", width, height, no_boxes, np.zeros(0, np.int64)))
    return result


def test_copies_are_found_and_different_photographs_are_not(tmp_path: Path) -> None:
    images = {f"scene{seed}": cells(seed) for seed in range(30)}
    images |= {f"scene{seed}-{name}": change(cells(seed)) for seed, (name, change) in enumerate(CHANGES.items())}
    samples = samples_of(tmp_path, images)
    found = find_near_copies(samples, [0] * 30 + [1] * len(CHANGES))
    groups = {frozenset(samples[index].path.stem for index in group) for group in found.groups}
    assert groups == {frozenset((f"scene{seed}", f"scene{seed}-{name}")) for seed, name in enumerate(CHANGES)}
    assert all(0.8 <= score <= 1 for _, _, score in found.links) and not found.unread


def test_a_leak_names_the_training_image_and_a_copy_the_later_one(tmp_path: Path) -> None:
    samples = samples_of(tmp_path, {"a": cells(1), "b": recoded(cells(1)), "c": cells(2), "d": cells(3), "e": cells(3)})
    a, b, c, d, e = samples
    findings, unread = near_copy_findings(Dataset("x", ("n",), {"train": [a, c, d, e], "val": [b]}))
    leak, copy = findings
    assert (leak.kind, leak.image, leak.others, leak.split, leak.skip) == (
        FindingKind.LEAK, a.path, (b.path,), "train", True,
    )  # fmt: skip
    assert (copy.kind, copy.image, copy.others, copy.score, copy.skip) == (
        FindingKind.COPY, e.path, (d.path,), 1.0, True,
    )  # fmt: skip
    assert "val image b.png" in leak.reason and "same file" in copy.reason and unread == []


def test_flat_and_broken_images_are_copies_of_none(tmp_path: Path) -> None:
    flat = {f"flat{level}": np.full((60, 80, 3), level, np.uint8) for level in (0, 100, 200)}
    samples = samples_of(tmp_path, flat | {"broken": cells(0)})
    samples[-1].path.write_bytes(b"no image")
    found = find_near_copies(samples, [0, 1, 0, 1])
    assert (found.groups, found.unread) == ([], [3])


def test_all_pairs_are_compared_in_blocks_as_they_are_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, (1, 70)).astype(np.uint64)
    near = base ^ (np.uint64(1) << rng.integers(0, 63, (1, 70)).astype(np.uint64))
    hashes = np.concatenate((np.concatenate((base, base ^ np.uint64(7)), 1), np.concatenate((near, near), 1)))
    splits = np.arange(140) % 2
    expected = {}
    for i in range(140):
        for j in range(140):
            bits = min(int(hashes[w, i] ^ hashes[0, j]).bit_count() for w in range(2))
            if i != j and bits <= MAX_DISTANCE:
                key = min(i, j), max(i, j)
                expected[key] = min(bits, expected.get(key, 64))
    monkeypatch.setattr("lehr.data.audit.perceptual_hash.BLOCK", 1000)
    assert {(low, high): bits for low, high, bits in near_pairs(hashes, splits)} == expected


def test_of_many_frames_of_a_fixed_camera_each_is_compared_with_few() -> None:
    thumbnails = np.repeat(cv2.resize(cells(0), (SIDE, SIDE))[None, :, :, 0], 500, 0)
    assert len(near_pairs(image_hashes(thumbnails), np.arange(500) % 2)) <= 500 * 12


def test_classes_and_sizes_that_training_cannot_use_are_named() -> None:
    def sample(name: str, class_id: int, side: float) -> Sample:
        boxes = np.array([[0, 0, side, side]], np.float32)
        return Sample(Path(name), 1280, 960, boxes, np.array([class_id], np.int64))

    splits = {"train": [sample("a", 0, 100), sample("b", 1, 10)], "val": [sample("c", 0, 100), sample("d", 2, 100)]}
    dataset = Dataset("x", ("both", "train only", "val only"), splits)
    only_val, only_train = class_findings(dataset)
    assert (only_val.image.name, only_val.split, only_val.score) == ("d", "val", 1.0)
    assert "val only has no object in train (1 in val)" in only_val.reason
    assert (only_train.image.name, only_train.score) == ("b", 0.5)
    (small,) = small_findings(dataset, 640)
    assert small.image.name == "b" and small.box == (0, 0, 10, 10) and small.score == pytest.approx(1 - 5 / 8)
    assert "1 of 1 object is below 8x8 pixels at --imgsz 640" in small.reason
    assert "from --imgsz 1024 on" in small.reason
    assert small_findings(dataset, 1280) == []
