"""Evaluating a detector from Python."""

from __future__ import annotations

import dataclasses
import os
from contextlib import closing
from pathlib import Path
from typing import Literal

from lehr.augment.tile_grid import OVERLAP
from lehr.data.batch_makers import EvalBatches
from lehr.data.check import faults_of_split, refuse_unusable
from lehr.data.faults import describe_faults
from lehr.data.load import load_dataset, require_split
from lehr.data.loader import Loader
from lehr.data.requests import eval_requests
from lehr.data.tiled_split import TiledSplit, Tiling, describe_cutting
from lehr.data.tiled_store import store_to_evaluate
from lehr.detector.for_python import for_python
from lehr.detector.loaded import DetectorBase
from lehr.errors import InputError
from lehr.evaluation.background import background_notes, require_labels
from lehr.evaluation.crowding import crowding_notes
from lehr.evaluation.detection_options import check_detection_options
from lehr.evaluation.evaluator import Evaluation, evaluate
from lehr.evaluation.shared_classes import share_classes
from lehr.evaluation.suppression_within import suppression_notes
from lehr.options import AugmentOptions
from lehr.runtime.device import configure_backend
from lehr.runtime.malloc import tuned_malloc
from lehr.runtime.process_state import preserve_process_state
from lehr.runtime.progress import progress
from lehr.techniques.single_class import as_one_class


class EvaluationMixin(DetectorBase):
    """Adds evaluation on data to a detector."""

    @for_python
    def val(
        self,
        data: str | Path | None = None,
        *,
        split: Literal["train", "val", "test"] = "val",
        imgsz: int | None = None,
        batch: int = 16,
        workers: int = 0,
        square: bool = False,
        skip_broken: bool = False,
        single_cls: bool = False,
        conf: float = 0.001,
        iou: float = 0.7,
        max_det: int = 300,
        record: bool = False,
        tile: int | None = None,
        overlap: float = OVERLAP,
        tta: bool = False,
    ) -> Evaluation:
        """Evaluate on a split of a data set, on the classes that it shares with the model.

        Args:
            data: a data YAML, a folder, a VOC folder, a COCO JSON or "shapes"; None for the data that this detector was
                trained on.
            split: train, val or test.
            imgsz: longest side, pixels, rounded up to a multiple of 32; None for what the weights were trained for. An
                export of a fixed size takes that alone.
            batch: images per step.
            workers: processes that load images; 0 loads in this one.
            square: letterbox to squares instead of the smallest rectangle.
            skip_broken: skip broken images instead of refusing the data.
            single_cls: treat all classes of the data as one.
            conf: lowest score of a detection.
            iou: overlap (IoU) from which the lower-scored of two boxes is suppressed.
            max_det: maximum number of detections per image.
            record: record how the detections of each image match, for `lehr.evaluation.bootstrap.compare`.
            tile: side of the tiles that images are cut into, pixels of the image; each is scaled to `imgsz`, and what
                is found is merged and evaluated in pixels of the image. None for whole images.
            overlap: smallest share of a tile that the next one shows again, 0 to 0.9.
            tta: test-time augmentation: look at each image, or tile, at three scales, once mirrored.

        Raises:
            InputError: the data cannot be used, or has no class that the model knows.
        """
        model = self._fused.of(self.network)
        if data is None:
            data = self._data
        check_detection_options(
            imgsz=imgsz, batch=batch, conf=conf, iou=iou, max_det=max_det, workers=workers, tile=tile, overlap=overlap
        )
        if not isinstance(data, str | os.PathLike):
            raise InputError(f"data {data!r}: must be the name of a data YAML, a COCO JSON or a folder, or 'shapes'.")
        data = os.fspath(data)
        dataset = load_dataset(data, needed=(split,))
        refuse_unusable(dataset, skip_broken)
        if single_cls:
            dataset = as_one_class(dataset)
        samples = require_split(dataset, split, objects=False)
        require_labels(samples, dataset.source, split)
        one = single_cls and len(dataset.names) == len(model.names) == 1  # whatever it is called
        shared = share_classes(samples, model.names if one else dataset.names, model.names, data)
        side = self.image_size(imgsz)
        tiling = None if tile is None else Tiling(tile, overlap, AugmentOptions().min_visible)
        store = store_to_evaluate(shared.samples, side, tiling)
        pin = self.device.type == "cuda"
        batches = EvalBatches(store, side, square, fixed_size=model.fixed_size, grey=model.padding)
        loader = Loader(batches, workers, pin, min(batch, len(store.samples)))
        requests = eval_requests(store, batch)
        watched = progress("validation", len(store.samples))
        with preserve_process_state(), tuned_malloc(), closing(loader), watched as move:
            configure_backend(self.device)
            evaluation = evaluate(
                model,
                store.samples,
                loader,
                requests,
                confidence=conf,
                iou=iou,
                max_det=max_det,
                imgsz=side,
                names=shared.names,
                columns=shared.columns,
                record=record,
                tta=tta,
                on_batch=move,
            )
        faults = describe_faults(faults_of_split(dataset, split))
        tiles = [f"{describe_cutting(store.samples)}."] if isinstance(store.samples, TiledSplit) else []
        within = suppression_notes(model, conf, iou, max_det)
        cannot = [*background_notes(shared.samples), *crowding_notes(shared.samples, max_det), *within, *tiles]
        return dataclasses.replace(evaluation, notes=(*faults, *shared.notes, *cannot))
