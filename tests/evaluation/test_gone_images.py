"""Where images have gone, detections still count for the image they were found in."""

from __future__ import annotations

import torch
from tests.conftest import MakeYolo
from tests.stand_in_network import StandInNetwork
from torch import Tensor

from lehr.data.batch_makers import EvalBatches
from lehr.data.cache import ImageStore
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.data.requests import eval_requests
from lehr.evaluation.evaluator import evaluate


class Bright(StandInNetwork):
    """Finds the one bright square of each image, small ones as class 0 and large ones as class 1."""

    names = ("small", "large")

    def forward(self, images: Tensor) -> Bright:
        self.boxes, self.scores = torch.zeros(len(images), 1, 4), torch.zeros(len(images), 1, 2)
        for i, image in enumerate(images):
            ys, xs = (image.mean(0) > 0.6).nonzero(as_tuple=True)
            if len(xs):
                self.boxes[i, 0] = torch.stack((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)).float()
                self.scores[i, 0, int(self.boxes[i, 0, 2] - self.boxes[i, 0, 0] > 20)] = 0.9
        return self

    def decode(self) -> tuple[Tensor, Tensor]:
        return self.boxes, self.scores


def test_everything_is_found_whichever_images_are_gone(make_yolo: MakeYolo) -> None:
    samples = list(load_dataset(str(make_yolo(counts={"train": 2, "val": 9}, suffix=".png"))).splits["val"])
    for gone in ((), (1, 4), (0,)):
        for index in gone:
            samples[index].path.unlink()
        store = ImageStore(samples, 64)
        loader = Loader(EvalBatches(store, 64, tolerant=True))
        metrics = evaluate(Bright(), samples, loader, eval_requests(store, 4)).metrics  # type: ignore[arg-type]
        assert metrics.images == sum(sample.path.exists() for sample in samples)
        assert metrics.map50 is not None and metrics.map50 > 0.99
