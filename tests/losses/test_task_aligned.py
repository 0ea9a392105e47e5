"""Assignment and loss agree with a slow version that handles one object and one point at a time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.losses import oracle
from tests.without_effect import said_of

from lehr.config import build_config
from lehr.errors import InputError
from lehr.losses import task_aligned_assigner as assign_module
from lehr.losses.focal import FocalFactor
from lehr.losses.label_smoothing import smoothed
from lehr.losses.task_aligned import TaskAlignedLoss, distribution_focal_loss
from lehr.losses.task_aligned_assigner import assign
from lehr.models.dfl_head import DFLPrediction, anchor_points, boxes_from_distances, expected_distances
from lehr.options import LossOptions
from lehr.techniques.class_weights import class_weights

ROOT = Path(__file__).parents[2]

CLASSES = 3
SIDE = 64


def random_case(seed: int, counts: list[int]) -> tuple[DFLPrediction, list[np.ndarray], list[np.ndarray]]:
    """Random objects, and predictions that more or less find one of them at each point."""
    rng = np.random.default_rng(seed)
    points, strides = anchor_points([(8, 8), (4, 4), (2, 2)], (8, 16, 32), torch.device("cpu"))
    distances = rng.normal(0, 1, (len(counts), len(points), 4, 16))
    logits = torch.from_numpy(rng.normal(-1, 2, (len(counts), len(points), CLASSES)))
    boxes, classes = [], []
    for image, count in enumerate(counts):
        corner = rng.uniform(0, SIDE - 12, (count, 2))
        size = rng.uniform(3, 40, (count, 2))
        boxes.append(np.concatenate((corner, np.minimum(corner + size, SIDE)), 1))
        classes.append(rng.integers(0, CLASSES, count))
        if count == 0:
            continue
        aim = boxes[-1][rng.integers(0, count, len(points))]
        wanted = np.concatenate((points.numpy() - aim[:, :2], aim[:, 2:] - points.numpy()), 1) / strides.numpy()
        nearest = np.clip(wanted, 0, 14).round().astype(int)
        np.put_along_axis(distances[image], nearest[..., None], 6.0, -1)
    flat = torch.from_numpy(distances.reshape(len(counts), len(points), 64))
    return DFLPrediction(flat, logits, points, strides), boxes, classes


def pad(
    boxes: list[np.ndarray], classes: list[np.ndarray], extra: int = 1, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    most = max(len(each) for each in classes) + extra
    padded = torch.zeros(len(boxes), most, 4, dtype=dtype)
    numbers = torch.full((len(boxes), most), -1)
    for i, (some, own) in enumerate(zip(boxes, classes, strict=True)):
        padded[i, : len(own)] = torch.from_numpy(some)
        numbers[i, : len(own)] = torch.from_numpy(own)
    return padded, numbers


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 6), min_size=1, max_size=3))
def test_assignment_agrees_with_the_slow_version(seed: int, counts: list[int]) -> None:
    prediction, boxes, classes = random_case(seed, counts)
    predicted = boxes_from_distances(
        expected_distances(prediction.distances), prediction.points.double(), prediction.strides.double()
    )
    scores = prediction.logits.sigmoid()
    ours = assign(scores, predicted, prediction.points, *pad(boxes, classes))

    for i in range(len(counts)):
        slow = oracle.assign_image(
            scores[i].numpy(), predicted[i].numpy(), prediction.points.double().numpy(), boxes[i], classes[i]
        )
        np.testing.assert_array_equal(ours.positive[i].numpy(), slow.objects >= 0)
        np.testing.assert_array_equal(ours.objects[i][ours.positive[i]].numpy(), slow.objects[slow.objects >= 0])
        np.testing.assert_allclose(ours.weights[i].numpy(), slow.weights, rtol=1e-6, atol=1e-12)


TOOD = {"tal_topk": 13, "tal_alpha": 1.0, "tal_beta": 6.0}


@settings(max_examples=25)
@given(
    st.integers(0, 10_000),
    st.sampled_from([TOOD, {"tal_topk": 1}, {"tal_alpha": 0.0, "tal_beta": 2.0}, {"tal_topk": 100, "tal_alpha": 3.0}]),
)
def test_top_k_and_both_exponents_are_those_of_the_slow_version(seed: int, given: dict[str, float]) -> None:
    prediction, boxes, classes = random_case(seed, [6])
    predicted = boxes_from_distances(
        expected_distances(prediction.distances), prediction.points.double(), prediction.strides.double()
    )
    scores, points = prediction.logits.sigmoid(), prediction.points.double().numpy()
    named = {name.removeprefix("tal_"): value for name, value in given.items()}
    ours = assign(scores, predicted, prediction.points, *pad(boxes, classes), **named)  # type: ignore[arg-type]
    slow = oracle.assign_image(scores[0].numpy(), predicted[0].numpy(), points, boxes[0], classes[0], **named)  # type: ignore[arg-type]
    np.testing.assert_array_equal(torch.where(ours.positive[0], ours.objects[0], -1).numpy(), slow.objects)
    np.testing.assert_allclose(ours.weights[0].numpy(), slow.weights, rtol=1e-6, atol=1e-12)


def test_the_options_of_the_assignment_reach_it() -> None:
    gains = {"box": 7.5, "cls": 0.5}
    usual = TaskAlignedLoss.from_options(LossOptions(), gains, classes=CLASSES, imgsz=SIDE)
    assert usual == TaskAlignedLoss()
    given = TaskAlignedLoss.from_options(LossOptions(**TOOD), gains, classes=CLASSES, imgsz=SIDE)
    assert given == TaskAlignedLoss(**TOOD)
    prediction, boxes, classes = random_case(1, [6, 2])
    arguments = pad(boxes, classes, dtype=torch.float32)
    for other in ({"tal_topk": 2}, {"tal_alpha": 2.0}, {"tal_beta": 2.0}):
        assert not torch.equal(TaskAlignedLoss(**other)(prediction, *arguments), usual(prediction, *arguments))


@pytest.mark.parametrize("given", [{"tal_topk": 0}, {"tal_topk": 2.5}, {"tal_alpha": -1}, {"tal_beta": 0}])
def test_settings_that_assign_nothing_sensible_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"--{next(iter(given)).replace('_', '-')} is {next(iter(given.values()))}"):
        build_config(given)


def test_families_with_anchors_say_that_they_do_not_assign_so() -> None:
    (note,) = said_of(model="yolov5n", tal_topk=13)
    assert note.startswith("--tal-topk 13 has no effect:")


def test_the_page_of_label_smoothing_gives_the_targets_of_the_code() -> None:
    """Its formula and example: the target score of the point scales the share of every class."""
    page = (ROOT / "docs" / "techniques" / "label-smoothing.md").read_text()
    found = re.search(r"score of ([\d.]+) and [sS] of ([\d.]+)[^:]*: ([\d.]+) for its class, ([\d.]+) for", page)
    assert found is not None
    score, share, own, other = (float(number) for number in found.groups())
    targets = torch.tensor([score, 0.0, 0.0])
    assert smoothed(targets, share, score).tolist() == pytest.approx([own, other, other])
    assert torch.equal(smoothed(torch.zeros(3), share, 0.0), torch.zeros(3))  # background
    prediction, boxes, classes = random_case(9, [4, 0, 3])
    seen = []

    def remember(logits: torch.Tensor, targets: torch.Tensor, *_: object) -> torch.Tensor:
        seen.append(targets)
        return logits * 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lehr.losses.task_aligned.binary_loss", remember)
        for smoothing in (0.0, share):
            TaskAlignedLoss(smoothing=smoothing)(prediction, *pad(boxes, classes, dtype=torch.float32))
    plain, pulled = seen
    torch.testing.assert_close(pulled, plain * (1 - share) + plain.amax(-1, keepdim=True) * share / 2)


def test_the_loss_agrees_with_the_slow_version() -> None:
    for seed, counts in enumerate([[3, 0, 5], [1], [8, 2]]):
        prediction, boxes, classes = random_case(seed, counts)
        ours = TaskAlignedLoss(7.5, 0.5, 1.5)(prediction, *pad(boxes, classes, dtype=torch.float32))
        slow = oracle.loss(
            prediction.distances.numpy(),
            prediction.logits.numpy(),
            prediction.points.double().numpy(),
            prediction.strides.double().numpy(),
            boxes,
            classes,
            (7.5, 0.5, 1.5),
        )
        np.testing.assert_allclose(ours.numpy(), slow, rtol=2e-5)


@pytest.mark.parametrize(
    "variation", [{"smoothing": 0.1}, {"gamma": 1.5}, {"cls_pw": 0.6}, {"smoothing": 0.2, "gamma": 0.8, "cls_pw": 1.4}]
)
def test_variations_of_the_class_loss_agree_with_the_slow_version(variation: dict[str, float]) -> None:
    prediction, boxes, classes = random_case(9, [4, 0, 3])
    weights = np.array([0.5, 2.0, 1.0])[:CLASSES]
    given = {name: value for name, value in variation.items() if name != "gamma"}
    factor = FocalFactor(variation["gamma"]) if "gamma" in variation else None
    ours = TaskAlignedLoss(**given, factor=factor, class_weights=torch.from_numpy(weights).float())
    slow = oracle.loss(
        prediction.distances.numpy(),
        prediction.logits.numpy(),
        prediction.points.double().numpy(),
        prediction.strides.double().numpy(),
        boxes,
        classes,
        (7.5, 0.5, 1.5),
        class_weights=weights,
        **variation,
    )
    found = ours(prediction, *pad(boxes, classes, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, slow, rtol=2e-5)


def test_class_weights_keep_the_size_of_the_loss_where_classes_are_found_alike() -> None:
    """Each object is given every label in turn, as often as the label occurs, and all classes have the same score."""
    prediction, boxes, _ = random_case(5, [40])
    prediction.logits[:] = prediction.logits[..., :1]
    labels = np.repeat([0, 1, 2], [37, 2, 1])
    weights = torch.tensor(class_weights([37, 2, 1]))
    plain, weighted = torch.zeros(3), torch.zeros(3)
    for turn in range(40):
        objects = pad(boxes, [np.roll(labels, turn)], dtype=torch.float32)
        plain += TaskAlignedLoss()(prediction, *objects)
        weighted += TaskAlignedLoss(class_weights=weights)(prediction, *objects)
    torch.testing.assert_close(weighted, plain, rtol=1e-5, atol=0)


def test_gradients_agree_with_finite_differences_of_the_slow_version() -> None:
    prediction, boxes, classes = random_case(4, [3])
    logits = prediction.logits.clone().requires_grad_()
    ours = TaskAlignedLoss()(
        DFLPrediction(prediction.distances, logits, prediction.points, prediction.strides),
        *pad(boxes, classes, dtype=torch.float32),
    )
    torch.autograd.backward(ours.sum())
    assert logits.grad is not None
    predicted = boxes_from_distances(
        expected_distances(prediction.distances), prediction.points.double(), prediction.strides.double()
    )
    # The targets carry no gradient, so the class loss is differentiated with the targets held fixed.
    targets = oracle.assign_image(
        prediction.logits[0].sigmoid().numpy(),
        predicted[0].numpy(),
        prediction.points.double().numpy(),
        boxes[0],
        classes[0],
    )
    wanted = np.zeros((len(prediction.points), CLASSES))
    for point, number in enumerate(targets.objects):
        if number >= 0:
            wanted[point, classes[0][number]] = targets.weights[point]
    expected = (oracle.sigmoid(prediction.logits[0].numpy()) - wanted) / max(wanted.sum(), 1) * 0.5
    np.testing.assert_allclose(logits.grad[0].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_both_ways_to_measure_give_the_same_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, boxes, classes = random_case(11, [5, 3])
    predicted = boxes_from_distances(expected_distances(prediction.distances), prediction.points, prediction.strides)
    arguments = (prediction.logits.sigmoid(), predicted, prediction.points, *pad(boxes, classes))
    sparse = assign(*arguments)
    monkeypatch.setattr(assign_module, "_measure_candidates", assign_module._measure_all)
    dense = assign(*arguments)

    assert torch.equal(sparse.objects, dense.objects) and torch.equal(sparse.positive, dense.positive)
    torch.testing.assert_close(sparse.weights, dense.weights)


def test_a_batch_without_objects_has_only_a_class_loss_and_finite_gradients() -> None:
    prediction, _, _ = random_case(2, [0, 0])
    distances = prediction.distances.clone().requires_grad_()
    empty = DFLPrediction(distances, prediction.logits, prediction.points, prediction.strides)
    for objects in (0, 2):
        loss = TaskAlignedLoss()(empty, torch.zeros(2, objects, 4), torch.full((2, objects), -1))
        torch.autograd.backward(loss.sum())
        assert loss[0] == 0 and loss[2] == 0 and loss[1] > 0
        assert distances.grad is not None and torch.isfinite(distances.grad).all()


def test_padding_changes_nothing() -> None:
    prediction, boxes, classes = random_case(5, [4, 2])
    few = TaskAlignedLoss()(prediction, *pad(boxes, classes, 0, torch.float32))
    many = TaskAlignedLoss()(prediction, *pad(boxes, classes, 30, torch.float32))
    torch.testing.assert_close(few, many)


def test_distribution_focal_loss_is_least_at_the_true_distance() -> None:
    distances = torch.tensor([[2.25, 0.0, 7.5, 14.99]])
    right = torch.full((1, 4, 16), -20.0)
    for side, (low, share) in enumerate([(2, 0.25), (0, 0.0), (7, 0.5), (14, 0.99)]):
        right[0, side, low] = float(np.log(max(1 - share, 1e-9)))
        right[0, side, low + 1] = float(np.log(max(share, 1e-9)))
    entropy = np.mean([-(s * np.log(max(s, 1e-9)) + (1 - s) * np.log(max(1 - s, 1e-9))) for s in (0.25, 0, 0.5, 0.99)])
    assert float(distribution_focal_loss(right, distances)) == pytest.approx(entropy, abs=1e-4)
    wrong = right.roll(1, dims=-1)
    assert float(distribution_focal_loss(wrong, distances)) > entropy + 1


def test_an_object_smaller_than_a_cell_finds_candidates_when_its_sides_are_taken_as_longer() -> None:
    points, _ = anchor_points([(8, 8)], (8,), torch.device("cpu"))
    tiny = torch.tensor([[[30.0, 30.0, 34.0, 33.0]]])  # between the centres at 28 and 36
    predicted = tiny.expand(1, len(points), 4)
    scores = torch.full((1, len(points), 1), 0.5)
    arguments = (scores, predicted, points, tiny, torch.zeros(1, 1, dtype=torch.int64))
    assert not assign(*arguments).positive.any()
    found = assign(*arguments, least_side=16).positive[0]
    inside = ((points - torch.tensor([32.0, 31.5])).abs() < 8).all(-1)
    assert torch.equal(found, inside) and int(found.sum()) == 4


def test_longer_objects_keep_their_candidates() -> None:
    prediction, boxes, classes = random_case(3, [4])
    large = [np.concatenate((b[:, :2], b[:, :2] + np.maximum(b[:, 2:] - b[:, :2], 16)), 1) for b in boxes]
    arguments = pad(large, classes, dtype=torch.float32)
    torch.testing.assert_close(
        TaskAlignedLoss(least_side=16)(prediction, *arguments), TaskAlignedLoss()(prediction, *arguments)
    )


@given(st.integers(0, 10_000), st.lists(st.integers(0, 12), min_size=1, max_size=4), st.sampled_from([0.0, 16.0]))
@settings(max_examples=40)
def test_looking_at_the_data_changes_nothing(seed: int, counts: list[int], least_side: float) -> None:
    """What a CPU picks out is what an accelerator computes with fixed shapes, contested points included."""
    if max(counts) == 0:
        return
    prediction, boxes, classes = random_case(seed, counts)
    padded, numbers = pad(boxes, classes, dtype=torch.float32)
    loss = TaskAlignedLoss(least_side=least_side, class_weights=torch.tensor([0.5, 2.0, 1.0]))
    picked = loss(prediction, padded, numbers)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("task_aligned_assigner", "task_aligned"):
            patch.setattr(f"lehr.losses.{module}.supports_dynamic_shapes", lambda device: False)
        dense = loss(prediction, padded, numbers)
    torch.testing.assert_close(picked, dense, rtol=1e-5, atol=1e-6)
