"""Digests of tensors: those of their bytes, whatever memory, padding and groups they lie in."""

from __future__ import annotations

import pytest
import torch

from lehr.runtime import tensor_digest
from lehr.runtime.tensor_digest import WeightDigests, folded, image_digests, object_digests

M = 2**64
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def slow(words: list[int]) -> int:
    """The digest of words of 64 bits, in whole numbers of any size."""
    total = 0
    for position, word in enumerate(words, 1):
        mixed = (word ^ (position * GOLDEN % M)) * FIRST % M
        mixed ^= mixed >> 32
        total += mixed * SECOND
    total %= M
    return (total ^ (total >> 32)) & 0xFFFFFFFF


def test_images_objects_and_weights_equal_whole_numbers() -> None:
    images = torch.randint(0, 256, (3, 3, 4, 6), dtype=torch.uint8, generator=torch.manual_seed(0))
    rows = images.permute(0, 2, 3, 1).reshape(3, -1).numpy()
    expected = [slow([int.from_bytes(row[i : i + 8].tobytes(), "little") for i in range(0, 72, 8)]) for row in rows]
    assert folded(image_digests(images).numpy()).tolist() == expected
    boxes, classes = torch.rand(2, 3, 4), torch.tensor([[1, 0, 2], [4, -1, -1]])
    for row, count in enumerate((3, 1)):
        parts = [
            [*(v % M for v in box.view(torch.int32).tolist()), kind]
            for box, kind in zip(boxes[row][:count], classes[row].tolist(), strict=False)
        ]
        words = [word for part in parts for word in part]
        assert folded(object_digests(boxes, classes).numpy())[row] == slow(words)
    weights = WeightDigests({"a": torch.tensor([1.5, -2.0]), "n": torch.tensor(3), "b": torch.tensor([[0.25]])})
    assert weights.names == ("a", "b")
    one, two, odd = (value % 2**32 for value in torch.tensor([1.5, -2.0, 0.25]).view(torch.int32).tolist())
    assert folded(weights().numpy()).tolist() == [slow([one + two * 2**32]), slow([odd])]


def test_memory_format_padding_and_size_of_groups_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    there = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(image_digests(images), image_digests(there))
    whole, own = image_digests(images), object_digests(torch.ones(1, 1, 4), torch.zeros(1, 1, dtype=torch.long))
    tensors = {name: torch.randn(size) for name, size in (("a", 3), ("b", 700), ("c", 1), ("d", 0))}
    weights, some = WeightDigests(tensors)(), list(tensors.values())
    assert torch.equal(tensor_digest._of_several(some, tensor_digest._ends(some)), weights)  # as a GPU does it
    monkeypatch.setattr(tensor_digest, "CACHED", 400)
    assert torch.equal(image_digests(images), whole)
    assert torch.equal(WeightDigests(tensors)(), weights)
    padded = torch.zeros(1, 5, 4), torch.full((1, 5), -1)
    padded[0][:, 0], padded[1][:, 0] = 1, 0
    assert torch.equal(object_digests(*padded), own)
    assert object_digests(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.long)).tolist() == [0, 0]


def test_a_single_bit_and_a_swap_are_seen() -> None:
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    before = image_digests(images)
    for channel, y, x, bit in ((0, 0, 0, 1), (2, 31, 31, 128), (1, 7, 9, 16)):
        changed = images.clone()
        changed[0, channel, y, x] ^= bit
        assert not torch.equal(image_digests(changed), before)
    weights = torch.randn(1000)
    tensors = WeightDigests({"w": weights, "v": torch.zeros(3)})
    first = folded(tensors().numpy())
    weights[[3, 5]] = -weights[[3, 5]]  # two sign bits
    second = folded(tensors().numpy())
    assert first[0] != second[0] and first[1] == second[1]
    weights[[3, 5]] = -weights[[3, 5]]
    weights[[3, 5]] = weights[[5, 3]]
    assert folded(tensors().numpy())[0] != first[0]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_has_the_digests_of_the_host() -> None:
    images = torch.randint(0, 256, (5, 3, 64, 96), dtype=torch.uint8)
    assert torch.equal(image_digests(images.cuda()).cpu(), image_digests(images))
    boxes, classes = torch.rand(5, 7, 4), torch.randint(-1, 3, (5, 7))
    assert torch.equal(object_digests(boxes.cuda(), classes.cuda()).cpu(), object_digests(boxes, classes))
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.Linear(4, 5))
    here = WeightDigests(model.state_dict())
    expected = folded(here().numpy())
    there = WeightDigests(model.cuda().to(memory_format=torch.channels_last).state_dict())
    assert (folded(there().cpu().numpy()) == expected).all()
