"""Assignment by kernels: that of the chain of torch operations, and the lowest of what is equal."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from tests.kernels.interpreted import interpreted
from tests.losses.test_task_aligned import pad, random_case
from torch import Tensor

from lehr.losses import task_aligned_assigner
from lehr.losses.task_aligned_assigner import Assignment, assign
from lehr.models.dfl_head import anchor_points, boxes_from_distances, expected_distances

USUAL: dict[str, Any] = {"topk": 10, "alpha": 0.5, "beta": 6.0, "least_side": 0.0}


@pytest.fixture(scope="module")
def kernel() -> Iterator[ModuleType]:
    with interpreted("assign") as module:
        yield module


@pytest.fixture
def dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_aligned_assigner, "supports_dynamic_shapes", lambda device: False)


def case(seed: int, counts: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Distances, class logits, points, strides, boxes and classes."""
    prediction, boxes, classes = random_case(seed, counts)
    distances, logits = prediction.distances.float().contiguous(), prediction.logits.float().contiguous()
    return distances, logits, prediction.points, prediction.strides, *pad(boxes, classes, dtype=torch.float32)


@pytest.mark.usefixtures("dense")
@pytest.mark.parametrize(
    ("seed", "points_each", "given"),
    [
        (0, 128, {}),
        (1, 16, {"topk": 3, "alpha": 1.0}),
        (2, 16, {"topk": 13, "alpha": 0.0, "beta": 2.5, "least_side": 16.0}),
        (3, 128, {"topk": 60, "alpha": 3.0, "beta": 1.0}),
    ],
)
def test_it_is_that_of_all_pairs(
    seed: int, points_each: int, given: dict[str, Any], kernel: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "POINTS", points_each)
    options = {**USUAL, **given}
    distances, logits, points, strides, boxes, classes = case(seed, [6, 0, 9])
    classes[2, 4] = -1  # padding may stand anywhere
    predicted = boxes_from_distances(expected_distances(distances), points, strides)
    scores = logits.sigmoid()
    expected = assign(scores, predicted, points, boxes, classes, **options)
    assert int(expected.positive.sum()) > 20
    found = Assignment(*kernel.assignment(scores, predicted, points, boxes, classes, **options))
    assert torch.equal(found.objects, expected.objects) and torch.equal(found.positive, expected.positive)
    torch.testing.assert_close(found.weights, expected.weights)

    decoded = kernel.decoded(distances, points, strides)
    torch.testing.assert_close(decoded, predicted.permute(2, 0, 1), rtol=1e-5, atol=1e-4)
    of_logits = kernel.assigned(logits, decoded, points, boxes, classes, logits=True, **options)
    assert torch.equal(of_logits.owners, torch.where(expected.positive, expected.objects, -1).int())


@pytest.mark.parametrize("points_each", [16, 128])
def test_of_equal_points_and_objects_the_lowest_are_taken(
    points_each: int, kernel: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "POINTS", points_each)
    points, _ = anchor_points([(8, 8)], (8,), torch.device("cpu"))
    box = torch.tensor([16.0, 16.0, 48.0, 48.0])
    scores, predicted = torch.full((1, 64, 1), 0.5), box.expand(1, 64, 4).contiguous()
    boxes, classes = box.expand(1, 3, 4).contiguous(), torch.tensor([[-1, 0, 0]])
    objects, positive, weights = kernel.assignment(scores, predicted, points, boxes, classes, **USUAL | {"topk": 6})
    assert positive[0].nonzero().flatten().tolist() == [18, 19, 20, 21, 26, 27]
    assert objects[positive].tolist() == [1] * 6
    torch.testing.assert_close(weights[positive], torch.ones(6))  # the best of an object gets its overlap


def test_an_object_too_small_for_candidates_has_some_where_its_sides_are_taken_as_longer(kernel: ModuleType) -> None:
    points, _ = anchor_points([(8, 8)], (8,), torch.device("cpu"))
    tiny = torch.tensor([[[30.0, 30.0, 34.0, 33.0]]])  # between the centres at 28 and 36
    arguments = (
        torch.full((1, 64, 1), 0.5),
        tiny.expand(1, 64, 4).contiguous(),
        points,
        tiny,
        torch.zeros(1, 1).long(),
    )
    assert not kernel.assignment(*arguments, **USUAL)[1].any()
    assert int(kernel.assignment(*arguments, **USUAL | {"least_side": 16.0})[1].sum()) == 4


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_box_that_is_not_finite_is_noticed(broken: float, kernel: ModuleType) -> None:
    distances, logits, points, strides, boxes, classes = case(4, [3])
    predicted = boxes_from_distances(expected_distances(distances), points, strides)
    predicted[0, 40, 2] = broken
    _, _, weights = kernel.assignment(logits.sigmoid(), predicted, points, boxes, classes, **USUAL)
    assert weights.isnan().nonzero().tolist() == [[0, 40]]


@pytest.mark.usefixtures("dense")
def test_images_are_handled_a_few_at_a_time_where_all_pairs_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    distances, logits, points, strides, boxes, classes = case(5, [6, 0, 9, 1, 4])
    predicted = boxes_from_distances(expected_distances(distances), points, strides)
    arguments = (logits.sigmoid(), predicted, points, boxes, classes)
    together, most = assign(*arguments), 0

    def watched(*arguments: Any) -> tuple[Tensor, Tensor]:
        nonlocal most
        overlap, metric = measure(*arguments)
        most = max(most, overlap.numel())
        return overlap, metric

    measure = task_aligned_assigner._measure_all
    monkeypatch.setattr(task_aligned_assigner, "_measure_all", watched)
    monkeypatch.setattr(task_aligned_assigner, "CHUNK", 2 * boxes.shape[1] * len(points) + 1)
    apart = assign(*arguments)
    assert most == 2 * boxes.shape[1] * len(points)
    assert all(torch.equal(one, other) for one, other in zip(together, apart, strict=True))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("objects", [1, 20, 100, 1000])
def test_it_is_that_of_all_pairs_on_a_gpu(objects: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(objects)
    points, _ = anchor_points([(80, 80), (40, 40), (20, 20)], (8, 16, 32), torch.device("cuda"))
    corners = torch.rand(4, objects, 2, device="cuda") * 600
    boxes = torch.cat((corners, corners + 8 + torch.rand_like(corners) * 200), -1).clamp(max=640)
    classes = torch.randint(-1, 80, (4, objects), device="cuda")
    aim = boxes.gather(1, torch.randint(objects, (4, len(points), 1), device="cuda").expand(-1, -1, 4))
    predicted = aim + 8 * torch.randn_like(aim)
    scores = torch.rand(4, len(points), 80, device="cuda")
    found = assign(scores, predicted, points, boxes, classes)
    monkeypatch.setattr(task_aligned_assigner, "usable", lambda device: False)
    expected = assign(scores, predicted, points, boxes, classes)
    same = (found.positive == expected.positive) & (found.objects == expected.objects)
    assert float(same.float().mean()) > 0.9999  # a metric may round across another
    close = torch.isclose(found.weights, expected.weights, rtol=1e-3, atol=1e-5)
    assert float(close.float().mean()) > 0.9995
