"""Compare ways to merge the detections of tiles: Lehr's, suppression alone, and a greedy merge like SAHI's.

    python benchmarks/tile_merging.py WEIGHTS DATA --tile 320 --imgsz 160 [--overlap 0.2] [--conf 0.001]

Each image of the validation split is predicted in tiles once; then each way merges the same detections, and all are
evaluated in pixels of the whole images. If the ratio of `--imgsz` to `--tile` is that of the network's size to the
images, tiles show objects at the scale of whole images: what is lost compared with whole images is lost at the borders
of tiles. SAHI's greedy merge is designed for detections above a confidence threshold, so its rows belong to `--conf
0.25`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torchvision.ops import batched_nms

from lehr import Detector
from lehr.augment.letterbox import letterbox, smallest_rectangle
from lehr.augment.tile_grid import tile_grid
from lehr.data.images import read_image
from lehr.data.load import load_dataset, require_split
from lehr.evaluation.metrics import measure
from lehr.evaluation.nms import suppress
from lehr.evaluation.shared_classes import share_classes
from lehr.evaluation.tile_merging import SAME, Indices, TileDetections, merge_tiles

MAX_DET = 300
Merge = Callable[[TileDetections, Indices, tuple[int, int]], TileDetections]


def find(detector: Detector, image: np.ndarray, windows: Indices, imgsz: int, conf: float) -> TileDetections:
    """Find the network's detections in each tile."""
    parts = []
    for number, (x1, y1, x2, y2) in enumerate(windows.tolist()):
        width, height = smallest_rectangle([(x2 - x1, y2 - y1)], imgsz)
        canvas, placement = letterbox(image[y1:y2, x1:x2], width, height)
        with torch.inference_mode():
            decoded = detector.model(torch.from_numpy(canvas).permute(2, 0, 1)[None] / 255).decode()
        found = suppress(*decoded, confidence=conf, max_det=MAX_DET)
        boxes = np.clip(placement.to_image(found.boxes.numpy()), 0, [x2 - x1, y2 - y1] * 2) + np.tile([x1, y1], 2)
        parts.append((boxes, found.scores.numpy(), found.classes.numpy(), np.full(len(boxes), number)))
    boxes, scores, classes, tiles = (np.concatenate(column) for column in zip(*parts, strict=True))
    return TileDetections(boxes, scores.astype(np.float64), classes, tiles)


def suppressed(found: TileDetections, windows: Indices, size: tuple[int, int], iou: float) -> TileDetections:
    """Apply non-maximum suppression to all tiles together."""
    given = torch.from_numpy(found.boxes), torch.from_numpy(found.scores), torch.from_numpy(found.classes)
    return found[batched_nms(*given, iou)[:MAX_DET].numpy()]


def greedy(found: TileDetections, windows: Indices, size: tuple[int, int], smaller: bool) -> TileDetections:
    """Merge into each box, best first, all that overlap it by `SAME`, relative to the smaller area or to the union."""
    found = found[np.argsort(-found.scores, kind="stable")]
    boxes, free, heads = found.boxes.copy(), np.ones(len(found), bool), []
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    for head in range(len(found)):
        if not free[head]:
            continue
        low = np.maximum(found.boxes[head, :2], found.boxes[:, :2])
        shared = np.clip(np.minimum(found.boxes[head, 2:], found.boxes[:, 2:]) - low, 0, None).prod(1)
        whole = np.minimum(area[head], area) if smaller else area[head] + area - shared
        taken = free & (found.classes == found.classes[head]) & (shared > SAME * whole)
        taken[head] = True
        boxes[head] = [*found.boxes[taken, :2].min(0), *found.boxes[taken, 2:].max(0)]
        free &= ~taken
        heads.append(head)
    merged = TileDetections(boxes, found.scores, found.classes, found.tiles)
    return merged[np.array(heads[:MAX_DET], np.int64)]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("data")
    parser.add_argument("--tile", type=int, required=True)
    parser.add_argument("--imgsz", type=int, required=True)
    parser.add_argument("--overlap", type=float, default=0.2)
    parser.add_argument("--conf", type=float, default=0.001)
    args = parser.parse_args()
    detector, dataset = Detector.load(args.weights, device="cpu"), load_dataset(args.data)
    shared = share_classes(require_split(dataset, "val"), dataset.names, detector.names, args.data)
    order = np.full(len(detector.names), -1)
    order[range(len(detector.names)) if shared.columns is None else list(shared.columns)] = range(len(shared.names))
    found = []
    for sample in shared.samples:
        windows = np.array(list(tile_grid(sample.width, sample.height, args.tile, args.overlap).windows()))
        own = find(detector, read_image(sample.path), windows, args.imgsz, args.conf)
        own = own[order[own.classes] >= 0]
        found.append((TileDetections(own.boxes, own.scores, order[own.classes], own.tiles), windows))
    ways: dict[str, Merge] = {
        "Lehr's": partial(merge_tiles, pixel=args.tile / args.imgsz, max_det=MAX_DET),
        "suppression at an IoU of 0.7": partial(suppressed, iou=0.7),
        "suppression at an IoU of 0.5": partial(suppressed, iou=0.5),
        "greedy, over the smaller": partial(greedy, smaller=True),
        "greedy, over the union": partial(greedy, smaller=False),
    }
    print(f"| {'merged by':28} | mAP50 | mAP50-95 | precision | recall |\n|---|---|---|---|---|")
    for name, merge in ways.items():
        rows = []
        for number, ((own, windows), sample) in enumerate(zip(found, shared.samples, strict=True)):
            merged = merge(own, windows, (sample.width, sample.height))
            columns = (np.full(len(merged), number), *merged.boxes.T, merged.scores, merged.classes)
            rows.append(np.stack(columns, 1).astype(np.float64))
        numbers, _ = measure(shared.samples, shared.names, np.concatenate(rows), MAX_DET, False)
        print(
            f"| {name:28} | {numbers.map50:.3f} | {numbers.map:.3f} | {numbers.precision:.3f} | {numbers.recall:.3f} |"
        )


if __name__ == "__main__":
    main()
