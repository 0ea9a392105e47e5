"""Memory and speed of predicting a long video: reading, detecting and writing an annotated copy, in three threads.

Makes a video in which a bright square moves, and predicts it with a network that finds bright squares, so that each box
is known. The process's memory is sampled while it runs; its slope is that of a least-squares line through the samples
after the first fifth. The copy is read back with OpenCV, which has its own decoder.

    python -m benchmarks.video_memory
    python -m benchmarks.video_memory --frames 1000 --size 640 480
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lehr.detections import Detections
from lehr.models.network import Network
from lehr.prediction.frames import Clip, Frame
from lehr.prediction.open_sources import open_readers
from lehr.prediction.options import PredictOptions
from lehr.prediction.outputs.annotated_videos import AnnotatedVideos
from lehr.prediction.outputs.source_names import SourceNames
from lehr.prediction.pipeline import run_pipeline
from lehr.prediction.predictor import predict_batch
from lehr.prediction.sources import find_sources
from lehr.runtime.malloc import M_MMAP_THRESHOLD, USUAL_MMAP

SIDE, GROUND, BRIGHT = 24, 40, 235
RATE = Fraction(30000, 1001)
WARM_UP = 0.2
"""Share of the samples at the beginning that the slope excludes: decoder, encoder and allocator fill their pools."""
MEGABYTE = 10**6
FRAME_BLOCK = 2**16
"""Bytes from which a block of memory is returned to the system as soon as it is free."""
TOLERANCE = 3.0
"""Pixels by which a box may be off: colours are encoded at a quarter of the resolution, and frames letterboxed."""


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes and scores of a batch."""

    boxes: Tensor
    scores: Tensor

    def decode(self) -> tuple[Tensor, Tensor]:
        """Boxes (batch, rows, 4) xyxy and scores (batch, rows, 1)."""
        return self.boxes, self.scores


class BrightSquare(nn.Module):
    """Network that finds the bright rectangle of each image."""

    names = ("square",)
    imgsz = 320
    variant = "bright-square"
    fixed_size = fixed_batch = suppression = None
    padding = 114
    device, dtype = torch.device("cpu"), torch.float32

    def forward(self, images: Tensor) -> Found:
        """Return the box around the bright pixels of each image (batch, 3, height, width)."""
        boxes = torch.zeros(len(images), 1, 4)
        scores = torch.zeros(len(images), 1, 1)
        for place, bright in enumerate(images.mean(1) > 0.6):
            rows, columns = torch.nonzero(bright, as_tuple=True)
            if len(rows):
                edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                boxes[place, 0] = torch.stack(edges).float()
                scores[place, 0] = 0.9
        return Found(boxes, scores)


def corner_of(index: int, width: int, height: int) -> tuple[int, int]:
    """Return left and top of the square in a frame, pixels."""
    room = (width - SIDE, height - SIDE)
    left, top = (abs((step + side) % (2 * side) - side) for step, side in zip((3 * index, index), room, strict=True))
    return left, top


def write_moving_square(path: Path, frames: int, width: int, height: int) -> None:
    """Write a video in which a square moves."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            image = np.full((height, width, 3), GROUND, np.uint8)
            left, top = corner_of(index, width, height)
            image[top : top + SIDE, left : left + SIDE] = BRIGHT
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())


class Sampler:
    """Output that samples the process's memory, and compares each box with the position of the square.

    Args:
        every: frames between two samples.
    """

    def __init__(self, every: int) -> None:
        self.samples: list[tuple[int, int]] = []
        self.worst = 0.0
        self.missed = 0
        self._every = every

    def write(self, frame: Frame, detections: Detections) -> None:
        """Compare a frame's box, and sample the memory."""
        if len(detections) == 1:
            left, top = corner_of(frame.index, detections.width, detections.height)
            expected = np.array([left, top, left + SIDE, top + SIDE])
            self.worst = max(self.worst, float(np.abs(detections.boxes[0] - expected).max()))
        else:
            self.missed += 1
        if frame.index % self._every == 0:
            self.samples.append((frame.index, resident_bytes()))

    def end_clip(self, clip: Clip) -> None:
        """Do nothing: there is one clip."""

    def close(self) -> None:
        """Do nothing: nothing was opened."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of a run.

    Attributes:
        frames: number of predicted frames.
        seconds: time it took.
        first: bytes of the process at the first sample that counts.
        last: bytes of the process at the last sample.
        slope: bytes per frame.
        error: standard error of the slope.
        missed: frames without exactly one box.
        worst: largest distance of a box's side from that of the square, pixels.
        copied: frames of the annotated copy, as OpenCV reads it.
        copied_rate: frames per second of the copy.
    """

    frames: int
    seconds: float
    first: int
    last: int
    slope: float
    error: float
    missed: int
    worst: float
    copied: int
    copied_rate: float


def measure(folder: Path, frames: int, size: tuple[int, int], batch: int = 4) -> Measured:
    """Predict a video of a moving square and write its annotated copy.

    Args:
        folder: folder for both videos.
        frames: number of frames.
        size: width and height, pixels.
        batch: frames per batch.
    """
    video = folder / "square.mp4"
    write_moving_square(video, frames, *size)
    network: Network = BrightSquare()  # type: ignore[assignment]  # has what prediction needs
    sampler = Sampler(max(1, frames // 250))
    (folder / "out").mkdir()

    def predict(group: Sequence[Frame]) -> list[Detections]:
        return predict_batch(network, group, PredictOptions(imgsz=320))

    began = time.perf_counter()
    outputs = [AnnotatedVideos(folder / "out", SourceNames()), sampler]
    with returned_blocks():
        counts = run_pipeline(open_readers(find_sources([str(video)])), predict, outputs, batch=batch)
    seconds = time.perf_counter() - began
    kept = np.array(sampler.samples[int(len(sampler.samples) * WARM_UP) :], np.float64)
    slope, error = fit_slope(kept[:, 0], kept[:, 1])
    copied, rate = count_frames(next((folder / "out").glob("*.mp4")))
    return Measured(
        counts.predicted, seconds, int(kept[0, 1]), int(kept[-1, 1]), slope, error, sampler.missed, sampler.worst,
        copied, rate,
    )  # fmt: skip


def fit_slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Fit a line by least squares; return its slope, and the standard error of the slope.

    The allocator takes and returns memory in blocks, so that consecutive samples are similar: the error is that of
    independent samples times `sqrt((1 + r) / (1 - r))`, with the correlation `r` of neighbouring residuals.
    """
    slope, level = np.polyfit(x, y, 1)
    rest = y - (slope * x + level)
    error = np.sqrt(float((rest**2).sum()) / max(1, len(x) - 2) / float(((x - x.mean()) ** 2).sum()))
    spread = float((rest**2).sum())
    alike = 0.0 if spread < 1e-12 else float(np.clip((rest[1:] * rest[:-1]).sum() / spread, 0, 0.99))
    return float(slope), float(error * np.sqrt((1 + alike) / (1 - alike)))


@contextlib.contextmanager
def returned_blocks() -> Iterator[None]:
    """Make glibc return blocks as large as frames at once, so that the process's memory is what is in use."""
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if library is None or not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(M_MMAP_THRESHOLD, FRAME_BLOCK)
    try:
        yield
    finally:
        library.mallopt(M_MMAP_THRESHOLD, USUAL_MMAP)


def count_frames(path: Path) -> tuple[int, float]:
    """Decode all frames of a video with OpenCV; return their number, and the frame rate."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return count, rate


def resident_bytes() -> int:
    """Resident memory of this process, bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--batch", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.frames, tuple(given.size), given.batch)
    print("| frames | seconds | frames/s | memory, MB | slope, bytes per frame | over all frames, MB |")
    print("|---:|---:|---:|---:|---:|---:|")
    memory = f"{found.first / MEGABYTE:.1f} to {found.last / MEGABYTE:.1f}"
    slope = f"{found.slope:.1f} +- {found.error:.1f} | {found.slope * found.frames / MEGABYTE:+.2f}"
    print(f"| {found.frames:,} | {found.seconds:.1f} | {found.frames / found.seconds:.0f} | {memory} | {slope} |")
    print(f"Boxes: {found.missed} frames without exactly one, {found.worst:.1f} pixels off at most.")
    print(f"The copy as OpenCV reads it: {found.copied:,} frames, {found.copied_rate:.3f} per second.")


if __name__ == "__main__":
    main()
