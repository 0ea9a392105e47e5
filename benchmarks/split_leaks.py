"""Plant frames of videos in both splits; count which ones `lehr data audit` names, and how many it names wrongly.

    python benchmarks/split_leaks.py FOLDER_OF_IMAGES [--frames 6] [--seed 0] [--mover 16] [--without NAME]
    python benchmarks/split_leaks.py --hashes 100000

One photograph of each recording (images whose names differ only in their last number) is turned into a video: the
camera drifts, turns and approaches in small steps, the light changes, a patch moves independently, and each frame is
encoded as JPEG. Every second video has frames in both splits (with an odd seed, the others), each remaining one in one
of them. The second form measures how long it takes to compare that many hashes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.data.audit.copy_findings import near_copy_findings
from lehr.data.audit.findings import FindingKind
from lehr.data.audit.perceptual_hash import near_pairs
from lehr.data.groups import FRAME
from lehr.sample import Dataset, Sample

SIDE = 960
"""Longer side of the frames, pixels."""
Image = NDArray[np.uint8]


def video(image: Image, frames: int, mover: int, rng: np.random.Generator) -> list[Image]:
    """Make frames of a video out of a photograph.

    Args:
        image: (h, w, 3).
        frames: number of frames.
        mover: sides of the image per side of the patch that moves.
        rng: draws the motion.
    """
    height, width = image.shape[:2]
    patch = image[height // 3 :, width // 3 :][: height // mover, : width // mover].copy()
    drift, turn, zoom, light = rng.uniform(-0.012, 0.012, 2), rng.uniform(-0.6, 0.6), rng.uniform(0, 0.008), 0.0
    made = []
    for step in range(frames):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn * step, 1.1 + zoom * step)
        matrix[:, 2] += drift * step * (width, height)
        frame = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        x, y = (rng.uniform(0.1, 0.8, 2) * (width, height)).astype(int)
        frame[y : y + patch.shape[0], x : x + patch.shape[1]] = patch[: height - y, : width - x]
        light += rng.uniform(-4, 4)
        made.append(np.clip(frame + light + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8))
    return made


def recordings(folder: Path) -> list[Path]:
    """Return the first image of each recording."""
    first: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.jp*g")):
        found = FRAME.match(path.stem)
        first.setdefault(found[1] if found else path.stem, path)
    return list(first.values())


def leaks_from(number: int, seed: int) -> bool:
    """Return whether a video has frames in both splits."""
    return (number + seed) % 2 == 1


def study(photographs: list[Path], frames: int, mover: int, seed: int, folder: Path) -> str:
    """Plant leaks, run the audit, and return a row of the results.

    Args:
        photographs: one photograph per video.
        frames: frames per video.
        mover: sides of the image per side of the patch that moves.
        seed: seed of the motion.
        folder: folder that the frames are written to.
    """
    splits: dict[str, list[Sample]] = {"train": [], "val": []}
    of_video: dict[Path, int] = {}
    for number, photograph in enumerate(photographs):
        image = cv2.imread(str(photograph))
        scale = SIDE / max(image.shape[:2])
        small = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        for step, frame in enumerate(video(small, frames, mover, np.random.default_rng((seed, number)))):
            path = folder / f"{number:03}-{step:03}.jpg"
            cv2.imwrite(str(path), frame, [cv2.IMWRITE_JPEG_QUALITY, 80])
            split = ("train", "val")[(step if leaks_from(number, seed) else number // 2) % 2]
            no_boxes, no_classes = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
            splits[split].append(Sample(path, frame.shape[1], frame.shape[0], no_boxes, no_classes))
            of_video[path] = number
    began = time.perf_counter()
    findings, _ = near_copy_findings(Dataset("planted", ("none",), dict(splits)))
    seconds = time.perf_counter() - began
    leaks = [finding for finding in findings if finding.kind is FindingKind.LEAK]
    planted = {sample.path for sample in splits["train"] if leaks_from(of_video[sample.path], seed)}
    named = {finding.image for finding in leaks}
    wrong = [f for f in findings if any(of_video[other] != of_video[f.image] for other in f.others)]
    images = len(of_video)
    for finding in wrong:
        names = finding.image.name, finding.others[0].name
        print(
            f"different videos: {names}", [photographs[of_video[p]].name for p in (finding.image, *finding.others)][:9]
        )
    return (
        f"| {len(photographs)} | {images} | {len(planted)} | {len(planted & named)} | {len(wrong)} | "
        f"{seconds / images * 1e3:.1f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--mover", type=int, default=16)
    parser.add_argument("--without", nargs="*", default=[], help="recordings that show the same as others")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hashes", type=int)
    args = parser.parse_args()
    if args.hashes:
        rng = np.random.default_rng(args.seed)
        hashes = rng.integers(0, 2**63, (11, args.hashes)).astype(np.uint64)
        began = time.perf_counter()
        pairs = near_pairs(hashes, rng.integers(0, 2, args.hashes))
        print(f"{args.hashes} hashes: {time.perf_counter() - began:.1f} s, {len(pairs)} pairs")
        return
    photographs = [path for path in recordings(args.images) if not path.stem.startswith(tuple(args.without))]
    print("| videos | frames | leaks planted | named | pairs of different videos | ms per image |")
    print("|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        print(study(photographs, args.frames, args.mover, args.seed, Path(folder)))


if __name__ == "__main__":
    main()
