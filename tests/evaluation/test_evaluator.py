"""An evaluation in which images have gone."""

from __future__ import annotations

import pytest
import torch
from tests.conftest import MakeYolo

from lehr.data.batch_makers import EvalBatches
from lehr.data.cache import ImageStore
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.data.requests import eval_requests
from lehr.errors import InputError
from lehr.evaluation.evaluator import Evaluation, evaluate
from lehr.models.build import build_model
from lehr.sample import Sample


def evaluated(samples: list[Sample]) -> Evaluation:
    store = ImageStore(samples, 64)
    model = build_model("yolov8n", ("small", "large"), 64, width=0.125).eval()
    loader = Loader(EvalBatches(store, 64, tolerant=True))
    return evaluate(model, samples, loader, eval_requests(store, 3), confidence=0.0)


def test_the_others_are_evaluated_as_if_the_missing_were_not_there(make_yolo: MakeYolo) -> None:
    torch.manual_seed(0)
    samples = list(load_dataset(str(make_yolo(counts={"train": 2, "val": 7}))).splits["val"])
    for gone in (samples[1], samples[4]):
        gone.path.unlink()
    left = evaluated(samples)
    assert [fault.split(":")[0] for fault in left.faults] == [str(samples[i].path) for i in (1, 4)]
    without = evaluated([sample for sample in samples if sample.path.exists()])
    assert left.metrics == without.metrics and left.metrics.images == 5


def test_when_none_is_left_it_says_so(make_yolo: MakeYolo) -> None:
    samples = list(load_dataset(str(make_yolo())).splits["val"])
    for sample in samples:
        sample.path.unlink()
    with pytest.raises(InputError, match="The other 3 images of the split cannot be read either"):
        evaluated(samples)
