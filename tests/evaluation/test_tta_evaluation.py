"""An evaluation of several views gives the numbers of their detections together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tests.squares_network import SquaresNetwork, lattice, picture

from lehr.data.batch_makers import EvalBatches
from lehr.data.cache import ImageStore
from lehr.data.loader import Loader
from lehr.data.requests import eval_requests
from lehr.evaluation.evaluator import evaluate
from lehr.sample import Sample


def test_views_are_evaluated_in_pixels_of_the_image(tmp_path: Path) -> None:
    boxes = lattice(300, 200, 60, (26, 34))
    Image.fromarray(picture(300, 200, boxes)).save(tmp_path / "a.png")
    samples = [Sample(tmp_path / "a.png", 300, 200, boxes.astype(np.float32), np.zeros(len(boxes), np.int64))]
    store, network = ImageStore(samples, 320), SquaresNetwork()
    how = {"confidence": 0.1, "names": network.names}
    plain = evaluate(network, samples, Loader(EvalBatches(store, 320)), eval_requests(store, 1), **how)
    views = evaluate(network, samples, Loader(EvalBatches(store, 320)), eval_requests(store, 1), tta=True, **how)
    assert len(network.shapes) == 4  # one view, then three
    assert plain.metrics.map50 == views.metrics.map50 == 1
    assert views.detections is not None and len(views.detections) == len(boxes)
