"""An evaluation on tiles gives the numbers of whole images, in their own pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.squares_network import SquaresNetwork, lattice, picture

from lehr.data import cache
from lehr.data.batch_makers import EvalBatches
from lehr.data.loader import Loader
from lehr.data.requests import eval_requests
from lehr.data.tiled_split import Tiling
from lehr.data.tiled_store import store_to_evaluate
from lehr.errors import InputError
from lehr.evaluation.detection_options import check_detection_options
from lehr.evaluation.evaluator import Evaluation, evaluate
from lehr.sample import Sample

SIZES = [(700, 500), (900, 300), (90, 70)]


def split(folder: Path, suffix: str = "png") -> list[Sample]:
    """Images of bright squares, two of them larger than a tile."""
    samples = []
    for number, (width, height) in enumerate(SIZES):
        boxes = lattice(width, height, 50, (14, 11))
        Image.fromarray(picture(width, height, boxes)).save(folder / f"{number}.{suffix}")
        classes = np.zeros(len(boxes), np.int64)
        samples.append(Sample(folder / f"{number}.{suffix}", width, height, boxes.astype(np.float32), classes))
    return samples


def evaluated(samples: list[Sample], tile: int | None, *, batch: int = 5, tolerant: bool = False) -> Evaluation:
    store = store_to_evaluate(samples, 128, None if tile is None else Tiling(tile, 0.2, 0.1))
    loader = Loader(EvalBatches(store, 128, tolerant=tolerant))
    requests, network = eval_requests(store, batch), SquaresNetwork()
    return evaluate(network, store.samples, loader, requests, confidence=0.1, max_det=400, imgsz=128)


def test_small_objects_are_found_once_each_where_whole_images_hide_them(tmp_path: Path) -> None:
    samples = split(tmp_path)
    tiled, whole = evaluated(samples, 128), evaluated(samples, None)
    objects = sum(len(sample.boxes) for sample in samples)
    assert tiled.metrics.instances == whole.metrics.instances == objects
    assert tiled.metrics.recall == tiled.metrics.precision == 1 and tiled.metrics.map_max_det > 0.99
    assert whole.metrics.recall < 0.2 and whole.metrics.images == tiled.metrics.images == 3
    assert tiled.detections is not None and tiled.samples == tuple(samples)
    for number, sample in enumerate(samples):
        own = tiled.detections[tiled.detections[:, 0] == number]
        assert len(own) == len(sample.boxes)
        np.testing.assert_allclose(own[np.lexsort(own[:, 1:3].T), 1:5], sample.boxes, atol=0.5)


def test_the_batches_change_nothing(tmp_path: Path) -> None:
    samples = split(tmp_path)
    assert evaluated(samples, 128, batch=1).metrics == evaluated(samples, 128, batch=16).metrics


def test_an_image_is_decoded_once_for_all_its_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, read, names = split(tmp_path), cache.read_image, []

    def counted(path: Path, *rest: object) -> NDArray[np.uint8]:
        names.append(path.name)
        return read(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "read_image", counted)
    evaluated(samples, 128)
    assert sorted(names) == ["0.png", "1.png", "2.png"]


def test_an_image_with_a_broken_part_is_left_out_as_a_whole(tmp_path: Path) -> None:
    samples = split(tmp_path)
    samples[0].path.unlink()
    left = evaluated(samples, 128, tolerant=True)
    assert len(left.faults) == 1 and "0.png" in left.faults[0]
    assert left.metrics == evaluated(samples[1:], 128).metrics


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tile": 8}, "tile 8: must be a whole number of at least 32"),
        ({"tile": 64.5}, "tile 64.5: must be a whole number"),
        ({"overlap": 1.0}, "overlap 1.0: must be a number from 0 to 0.9"),
    ],
)
def test_options_are_checked(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_detection_options(imgsz=640, batch=1, conf=0.2, iou=0.7, max_det=300, **wrong)
