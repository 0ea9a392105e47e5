"""Images of a thousand objects: all are read, augmented, put into batches and evaluated; none is dropped by a bound."""

from __future__ import annotations

import numpy as np
import pytest
from tests.conftest import draw_squares

from lehr.augment.geometry import transform_boxes
from lehr.augment.plan import plan_sample
from lehr.data.batch_makers import EvalBatches, TrainBatches
from lehr.data.cache import ImageStore
from lehr.data.load import load_dataset
from lehr.data.requests import BatchRequest, eval_requests
from lehr.evaluation.crowding import crowding_notes
from lehr.options import AugmentOptions
from lehr.sample import Sample

COUNT, SIDE = 1000, 1280
STILL = AugmentOptions(mosaic=0, translate=0, scale=0, fliplr=0, hsv_h=0, hsv_s=0, hsv_v=0)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """Four images with 40 x 25 objects of 28 pixels."""
    root = tmp_path_factory.mktemp("thousand")
    corners = np.array([(32 * x, 48 * y) for y in range(25) for x in range(40)])
    for number in range(4):
        boxes = [(x, y, x + 28, y + 28) for x, y in corners.tolist()]
        draw_squares(root / "images" / f"{number}.jpg", boxes, SIDE, seed=number)
        rows = [
            f"{i % 3} {(x + 14) / SIDE} {(y + 14) / SIDE} {28 / SIDE} {28 / SIDE}" for i, (x, y) in enumerate(corners)
        ]
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{number}.txt").write_text("\n".join(rows))
    (root / "data.yaml").write_text("train: images\nval: images\nnames: [a, b, c]\n")
    return tuple(load_dataset(str(root / "data.yaml")).splits["train"])


def test_all_are_read_and_stand_in_the_batches_of_training_and_evaluation(samples: tuple[Sample, ...]) -> None:
    assert [len(sample.boxes) for sample in samples] == [COUNT] * 4
    store = ImageStore(samples, SIDE)
    batch = TrainBatches(store, STILL, SIDE, seed=0, epochs=3)(BatchRequest(0, [0, 1]))
    assert batch.boxes.shape == (2, COUNT, 4) and batch.instances == 2 * COUNT
    np.testing.assert_allclose(batch.boxes[0].numpy(), samples[0].boxes, atol=0.01)
    assert batch.classes[0].tolist() == samples[0].classes.tolist()
    evaluated = EvalBatches(store, SIDE, True)(next(iter(eval_requests(store, 4))))
    assert evaluated.boxes.shape == (4, COUNT, 4) and bool((evaluated.classes >= 0).all())


@pytest.mark.parametrize("epoch", range(5))
def test_a_mosaic_keeps_every_object_that_is_seen_of_four_times_as_many(
    samples: tuple[Sample, ...], epoch: int
) -> None:
    options = AugmentOptions(mosaic=1, translate=0, scale=0, fliplr=0, min_visible=0)
    plan = plan_sample(samples, options, SIDE, seed=0, epoch=epoch, index=0, multi_image=True)
    seen = 0
    for tile in plan.tiles:
        boxes = transform_boxes(samples[tile.index].boxes.astype(np.float64), tile.matrix).clip(0, SIDE)
        seen += int(((boxes[:, 2:] - boxes[:, :2]) > options.min_box_side).all(1).sum())
    assert len(plan.boxes) == seen > COUNT / 2
    small = AugmentOptions(mosaic=1, translate=0, scale=0.9, fliplr=0)
    counts = [
        len(plan_sample(samples, small, SIDE, seed=0, epoch=each, index=0, multi_image=True).boxes)
        for each in range(20 * epoch, 20 * epoch + 20)
    ]
    assert max(counts) > 2 * COUNT  # zoomed out, most of 4,000 are in the canvas


def test_an_evaluation_that_keeps_too_few_says_how_many_to_keep(samples: tuple[Sample, ...]) -> None:
    assert any("Give --max-det 1000" in note for note in crowding_notes(samples, 300))
    assert not any("Give --max-det" in note for note in crowding_notes(samples, COUNT))
