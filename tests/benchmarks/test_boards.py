"""The boards that accuracy is measured on: the same for a seed, and what their labels say."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import boards
from lehr.data.load import load_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("boards")
    boards.write(place, "train", 6, 320, np.random.default_rng(3))
    boards.write(place, "val", 2, 320, np.random.default_rng(4))
    (place / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {list(boards.CLASSES)}\n")
    return place


def test_boards_are_a_data_set_without_faults_of_many_small_objects(folder: Path) -> None:
    dataset = load_dataset(str(folder / "data.yaml"))
    assert dataset.faults == ()
    boxes = np.concatenate([sample.boxes for sample in dataset.splits["train"]])
    sides = boxes[:, 2:] - boxes[:, :2]
    assert len(boxes) >= 6 * 3 and sides.min() >= 16 and sides.max() <= 60


def test_a_seed_makes_the_same_boards(folder: Path, tmp_path: Path) -> None:
    boards.write(tmp_path, "train", 6, 320, np.random.default_rng(3))
    for image in sorted((folder / "images" / "train").iterdir()):
        assert (tmp_path / "images" / "train" / image.name).read_bytes() == image.read_bytes()


@pytest.mark.parametrize("kind", range(len(boards.CLASSES)), ids=boards.CLASSES)
def test_a_defect_changes_the_board_inside_its_box_and_nowhere_else(kind: int) -> None:
    rng = np.random.default_rng(kind)
    done = 0
    while done < 20:
        board, segments = boards.blank(320, rng)
        before = board.copy()
        box = boards.spoil(board, segments, kind, rng)
        if box is None:
            continue
        x1, y1, x2, y2 = (round(side) for side in box[1:])
        changed = cv2.absdiff(board, before)
        assert changed.any()
        changed[y1 - 1 : y2 + 2, x1 - 1 : x2 + 2] = 0
        assert not changed.any()
        done += 1
