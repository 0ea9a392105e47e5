"""Class weights, image weights and class-frequency biases against their formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lehr.models.build import build_model
from lehr.sample import Sample
from lehr.techniques.class_weights import class_counts, class_weights
from lehr.techniques.frequency_bias import class_shares, start_from_frequencies
from lehr.techniques.image_weights import image_weights


def sample(*classes: int) -> Sample:
    boxes = np.tile(np.array([[0, 0, 8, 8]], np.float32), (len(classes), 1))
    return Sample(Path("a.png"), 64, 64, boxes, np.array(classes, np.int64))


SAMPLES = [sample(0, 0, 0), sample(0, 1), sample(), sample(0, 0, 2)]


def test_objects_are_counted_by_class() -> None:
    assert class_counts(SAMPLES, 4) == [6, 1, 1, 0]


def test_class_weights_are_the_inverse_frequency_and_one_on_average_over_the_objects() -> None:
    counts = [100, 25, 4, 0]
    full, mild = class_weights(counts), class_weights(counts, 0.5)
    assert full[1] / full[0] == pytest.approx(4) and full[2] / full[0] == pytest.approx(25)
    assert mild[1] / mild[0] == pytest.approx(2) and mild[2] / mild[0] == pytest.approx(5)
    for weights in (full, mild):
        assert np.average(weights, weights=np.maximum(counts, 1)) == pytest.approx(1)
        assert weights[3] == max(weights)
    assert class_weights(counts, 0) == pytest.approx([1] * 4)


def test_images_weigh_by_rarity_and_by_how_badly_their_classes_are_found() -> None:
    each = np.array(class_weights([6, 1, 1]))
    found = image_weights(SAMPLES, (0.0, 0.0, 0.0))
    raw = np.array([3 * each[0], each[0] + each[1], 0, 2 * each[0] + each[2]])
    raw[2] = raw[0]  # background as the least of the others
    np.testing.assert_allclose(found, raw / raw.sum())
    known = image_weights(SAMPLES, (0.9, 0.5, 0.0))
    factor = (1 - np.array([0.9, 0.5, 0.0])) ** 2
    raw = np.array([3 * each[0] * factor[0], each[0] * factor[0] + each[1] * factor[1], 0, 0.0])
    raw[3] = 2 * each[0] * factor[0] + each[2] * factor[2]
    raw[2] = raw[0]
    np.testing.assert_allclose(known, raw / raw.sum())
    assert known[3] > found[3]


def test_biases_start_at_the_shares_of_the_classes() -> None:
    counts = [80, 15, 5]
    assert class_shares(counts) == pytest.approx([0.8, 0.15, 0.05])
    assert class_shares([0, 1]) == [0.5, 0.5]
    anchored = build_model("yolov5n", ("a", "b", "c"), width=0.125)
    start_from_frequencies(anchored, counts)
    for conv in anchored.head.m:  # type: ignore[union-attr]
        rows = conv.bias.detach().view(3, 8)
        torch.testing.assert_close(rows[:, 5:], torch.log(torch.tensor([[0.8, 0.15, 0.05]])).repeat(3, 1))
    free = build_model("yolov8n", ("a", "b", "c"), width=0.125)
    start_from_frequencies(free, counts)
    for branch, stride in zip(free.head.cv3, (8, 16, 32), strict=True):  # type: ignore[arg-type]
        expected = torch.log(5 * torch.tensor([0.8, 0.15, 0.05]) / (640 / stride) ** 2)
        torch.testing.assert_close(branch[-1].bias.detach(), expected)


def test_biases_start_alike_without_frequencies() -> None:
    model = build_model("yolov5n", ("a", "b", "c"), width=0.125)
    for conv, stride in zip(model.head.m, (8, 16, 32), strict=True):  # type: ignore[arg-type]
        rows = conv.bias.detach().view(3, 8)
        assert rows[:, 4].tolist() == pytest.approx([np.log(8 / (640 / stride) ** 2)] * 3, rel=1e-6)
        assert rows[:, 5:].flatten().tolist() == pytest.approx([np.log(0.6 / (3 - 0.99999))] * 9, rel=1e-5)
