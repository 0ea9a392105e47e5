"""Draw a data set of circuit boards with defects: many small, thin objects on a regular background, six classes.

    python benchmarks/boards.py FOLDER [--train 240] [--val 100] [--seed 0] [--side 640]

Boards are black and white, like thresholded images of inspection cameras: bundles of parallel traces with bends, and
pads. Each has 3 to 12 defects: open, short, mouse bite, spur, spurious copper and pinhole, about 30 of 640 pixels wide
including a margin. Labels are in YOLO format. The same seed makes the same files.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSES = ("open", "short", "mousebite", "spur", "copper", "pinhole")
WHITE = (255,)
Board = NDArray[np.uint8]
Box = tuple[int, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight piece of a trace.

    Attributes:
        start: x and y, pixels.
        end: x and y, pixels.
        width: width of the trace, pixels.
        pitch: distance from the middle of this trace to that of its neighbour, pixels; 0 for the last of a bundle.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    width: int
    pitch: float

    @property
    def along(self) -> NDArray[np.float64]:
        """Return the unit vector along the segment."""
        step = self.end - self.start
        return np.asarray(step / np.linalg.norm(step))

    @property
    def across(self) -> NDArray[np.float64]:
        """Return the unit vector towards the neighbour."""
        x, y = self.along
        return np.array([-y, x])

    def at(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw a point in the middle of the trace, away from its ends."""
        return np.asarray(self.start + rng.uniform(0.15, 0.85) * (self.end - self.start))


def bundle(side: int, rng: np.random.Generator) -> list[list[Segment]]:
    """Lay a bundle of parallel traces across the board, each with up to two bends of 45 degrees."""
    count, width = int(rng.integers(2, 7)), int(rng.integers(6, 15))
    pitch = width * rng.uniform(1.8, 3.0)
    first = rng.uniform(0, side - count * pitch)
    bends = np.sort(rng.uniform(0.15, 0.85, 2)) * side
    shift = rng.uniform(-0.2, 0.2, 2) * side
    path = np.array([[0, 0], [bends[0], 0], [bends[0] + abs(shift[0]), shift[0]], [side, shift[0]]])
    if bends[0] + abs(shift[0]) > side - 10:
        path = np.array([[0, 0], [side, 0]])
    turned = rng.random() < 0.5
    traces = []
    for number in range(count):
        points = path + np.array([0, first + number * pitch])
        points = points[:, ::-1] if turned else points
        gap = pitch if number < count - 1 else 0.0
        gap = -gap if turned else gap
        traces.append([Segment(a, b, width, gap) for a, b in pairwise(points)])
    return traces


def blank(side: int, rng: np.random.Generator) -> tuple[Board, list[Segment]]:
    """Draw a board without defects; return it, and its segments that are long enough for a defect."""
    board = np.zeros((side, side), np.uint8)
    segments: list[Segment] = []
    for _ in range(int(rng.integers(4, 8))):
        traces = bundle(side, rng)
        corridor = np.zeros_like(board)
        for trace in traces:
            for each in trace:
                _line(corridor, each.start, each.end, each.width + 12)
        if (board & corridor).any():
            continue
        for trace in traces:
            for each in trace:
                _line(board, each.start, each.end, each.width)
            if rng.random() < 0.4:
                middle = trace[0].at(rng)
                cv2.circle(board, _pixel(middle), trace[0].width, WHITE, -1)
                cv2.circle(board, _pixel(middle), max(2, trace[0].width // 3), (0,), -1)
        segments += [each for trace in traces for each in trace if np.linalg.norm(each.end - each.start) > 60]
    return board, segments


def spoil(board: Board, segments: list[Segment], kind: int, rng: np.random.Generator) -> Box | None:
    """Draw a defect of a kind; return its class and box (xyxy, pixels), or None if there is no room for it."""
    if kind == CLASSES.index("copper"):
        return _copper(board, rng)
    candidates = [each for each in segments if each.pitch != 0 or kind != CLASSES.index("short")]
    if not candidates:
        return None
    segment = candidates[int(rng.integers(len(candidates)))]
    centre, half = segment.at(rng), segment.width / 2
    if kind == CLASSES.index("open"):
        gap = rng.uniform(3, 8)
        _cut(board, centre - segment.along * gap / 2, centre + segment.along * gap / 2, segment.width + 3)
        reach = max(gap, segment.width) / 2 + 2
    elif kind == CLASSES.index("short"):
        other = centre + segment.across * segment.pitch
        if not board[_inside(other, board)]:
            return None
        _line(board, centre, other, int(rng.integers(3, 8)))
        centre, reach = (centre + other) / 2, abs(segment.pitch) / 2 + 2
    elif kind == CLASSES.index("pinhole"):
        size = rng.uniform(1.5, max(2.0, half - 2))
        cv2.circle(board, _pixel(centre), max(1, round(size)), (0,), -1)
        reach = size + 4
    else:
        edge = centre + segment.across * half * rng.choice([-1, 1])
        size = rng.uniform(0.35, 0.7) * segment.width
        value = 0 if kind == CLASSES.index("mousebite") else 255
        axes = (max(2, round(size)), max(2, round(size * rng.uniform(0.6, 1.4))))
        cv2.ellipse(board, _pixel(edge), axes, float(rng.uniform(0, 180)), 0, 360, (value,), -1)
        centre, reach = edge, max(axes) + 3
    return _box(kind, centre, max(reach, rng.uniform(11, 17)), board)


def draw_board(side: int, rng: np.random.Generator) -> tuple[Board, list[Box]]:
    """Draw a board with its defects; no two touch."""
    board, segments = blank(side, rng)
    boxes: list[Box] = []
    for _ in range(int(rng.integers(3, 13))):
        for _ in range(10):
            trial = board.copy()
            box = spoil(trial, segments, int(rng.integers(len(CLASSES))), rng)
            if box is not None and not any(_touch(box, other) for other in boxes):
                board = trial
                boxes.append(box)
                break
    rough = cv2.GaussianBlur(board, (0, 0), 1.2).astype(np.float32) + rng.normal(0, 18, board.shape)
    return np.asarray(np.where(cv2.GaussianBlur(rough, (0, 0), 0.8) > 127, 255, 0), np.uint8), boxes


def _copper(board: Board, rng: np.random.Generator) -> Box | None:
    centre = rng.uniform(20, board.shape[0] - 20, 2)
    size = int(rng.integers(3, 8))
    x, y = _pixel(centre)
    room = size + 4
    if board[y - room : y + room, x - room : x + room].any():
        return None
    cv2.ellipse(
        board, (x, y), (size, max(2, round(size * rng.uniform(0.6, 1)))), float(rng.uniform(0, 180)), 0, 360, WHITE, -1
    )
    return _box(CLASSES.index("copper"), centre, max(size + 3, rng.uniform(11, 17)), board)


def _box(kind: int, centre: NDArray[np.float64], reach: float, board: Board) -> Box | None:
    low, high = centre - reach, centre + reach
    if low.min() < 2 or high.max() > board.shape[0] - 2:
        return None
    return kind, float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _touch(a: Box, b: Box) -> bool:
    return a[1] < b[3] and b[1] < a[3] and a[2] < b[4] and b[2] < a[4]


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _inside(point: NDArray[np.float64], board: Board) -> tuple[int, int]:
    x, y = np.clip(np.round(point).astype(int), 0, board.shape[0] - 1)
    return int(y), int(x)


def _line(board: Board, start: NDArray[np.float64], end: NDArray[np.float64], width: int) -> None:
    cv2.line(board, _pixel(start), _pixel(end), WHITE, width)


def _cut(board: Board, start: NDArray[np.float64], end: NDArray[np.float64], width: int) -> None:
    step = (end - start) / np.linalg.norm(end - start)
    across = np.array([-step[1], step[0]]) * width / 2
    corners = np.array([start + across, end + across, end - across, start - across])
    cv2.fillConvexPoly(board, np.round(corners).astype(np.int32), (0,))


def write(folder: Path, split: str, count: int, side: int, rng: np.random.Generator) -> None:
    """Write the boards of a split and their labels."""
    images, labels = folder / "images" / split, folder / "labels" / split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        board, boxes = draw_board(side, rng)
        cv2.imwrite(str(images / f"{number:05}.png"), board)
        rows = []
        for kind, x1, y1, x2, y2 in boxes:
            shares = np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]) / side
            rows.append(f"{kind} " + " ".join(f"{share:.6f}" for share in shares))
        (labels / f"{number:05}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    """Write the data set and its data YAML."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=240)
    parser.add_argument("--val", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=640)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    write(given.folder, "train", given.train, given.side, rng)
    write(given.folder, "val", given.val, given.side, rng)
    names = "\n".join(f"  {number}: {name}" for number, name in enumerate(CLASSES))
    text = f"path: {given.folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}\n"
    (given.folder / "data.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
