"""Prediction in tiles, and of several views: each object once, in the image's pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.squares_network import SquaresNetwork, lattice, picture

from lehr.data.images import ImageRegions
from lehr.detections import Detections
from lehr.errors import InputError
from lehr.evaluation.test_time_augmentation import infer, iou_of_views
from lehr.models.network import Suppression
from lehr.prediction import open_sources
from lehr.prediction.options import PredictOptions
from lehr.prediction.predictor import predict_images


def same_boxes(found: Detections, boxes: NDArray[np.int64], tolerance: float = 0.01) -> None:
    """Each box once, in any order."""
    assert len(found) == len(boxes)
    order = np.lexsort(np.rint(found.boxes).T[[0, 1]])
    expected = boxes[np.lexsort(boxes.T[[0, 1]])]
    assert np.abs(found.boxes[order] - expected).max() <= tolerance


@pytest.mark.parametrize("size", [(12, 9), (90, 40), (300, 260)])
@pytest.mark.parametrize("overlap", [0.0, 0.2])
def test_each_object_once_in_tiles(size: tuple[int, int], overlap: float) -> None:
    boxes = lattice(900, 700, max(size) + 30, size)
    image = picture(900, 700, boxes)
    network = SquaresNetwork()
    found = list(
        predict_images(network, image, PredictOptions(imgsz=128, tile=128, overlap=overlap, batch=7, max_det=3000))
    )
    same_boxes(found[0], boxes)
    assert {shape[0] for shape in network.shapes[:-1]} == {7} and network.shapes[0][1:] == (3, 128, 128)
    assert (np.diff(found[0].scores) <= 0).all()


def test_tiles_are_scaled_to_the_network() -> None:
    boxes = lattice(900, 700, 60, (16, 12)) // 2 * 2
    found = list(
        predict_images(SquaresNetwork(), picture(900, 700, boxes), PredictOptions(imgsz=64, tile=128, max_det=3000))
    )
    same_boxes(found[0], boxes, tolerance=2)


def test_an_image_that_is_smaller_than_a_tile_is_predicted_as_a_whole() -> None:
    image = picture(100, 60, lattice(100, 60, 30, (12, 8)))
    tiled = next(iter(predict_images(SquaresNetwork(), image, PredictOptions(imgsz=128, tile=640))))
    whole = next(iter(predict_images(SquaresNetwork(), image, PredictOptions(imgsz=128))))
    np.testing.assert_array_equal(tiled.boxes, whole.boxes)
    np.testing.assert_array_equal(tiled.scores, whole.scores)


def test_a_network_of_a_fixed_size_gets_tiles_of_it() -> None:
    network = SquaresNetwork()
    network.fixed_size = (96, 160)
    boxes = lattice(500, 400, 50, (12, 9))
    found = next(
        iter(predict_images(network, picture(500, 400, boxes), PredictOptions(imgsz=160, tile=96, max_det=999)))
    )
    same_boxes(found, boxes)
    assert {shape[1:] for shape in network.shapes} == {(3, 96, 160)}


def test_files_are_read_by_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TIFF of strips is never decoded whole; with a PNG the results are the same."""
    boxes = lattice(500, 400, 50, (12, 9))
    image = Image.fromarray(picture(500, 400, boxes))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.tif", compression="tiff_lzw", strip_size=500 * 3 * 10)
    read, sizes = ImageRegions._decoded, []

    def decoded(self: ImageRegions, piece: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        sizes.append(piece[3] - piece[1])
        return read(self, piece)

    monkeypatch.setattr(ImageRegions, "_decoded", decoded)
    found = list(predict_images(SquaresNetwork(), tmp_path, PredictOptions(imgsz=128, tile=128, max_det=999, batch=4)))
    assert [Path(each.source).name for each in found] == ["a.png", "b.tif"]
    for each in found:
        same_boxes(each, boxes)
        assert (each.width, each.height) == (500, 400)
    assert max(sizes) <= 128 + 2 * 10 and len(sizes) == 4  # a band for each row of tiles
    monkeypatch.setattr(open_sources, "read_image", lambda path: pytest.fail("decoded whole"))
    list(predict_images(SquaresNetwork(), tmp_path / "b.tif", PredictOptions(imgsz=128, tile=128)))


def test_damage_within_a_file(tmp_path: Path) -> None:
    boxes = lattice(500, 400, 50, (12, 9))
    Image.fromarray(picture(500, 400, boxes)).save(tmp_path / "b.tif", compression="tiff_lzw", strip_size=15000)
    data = bytearray((tmp_path / "b.tif").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = b"\xff" * 400
    (tmp_path / "b.tif").write_bytes(data)
    Image.fromarray(picture(500, 400, boxes)).save(tmp_path / "c.png")
    with pytest.raises(InputError, match=r"b\.tif: cannot be decoded[^\n]*\n[^\n]*--skip-broken"):
        list(predict_images(SquaresNetwork(), tmp_path, PredictOptions(imgsz=128, tile=128)))
    found = list(
        predict_images(SquaresNetwork(), tmp_path, PredictOptions(imgsz=128, tile=128, skip_broken=True, max_det=999))
    )
    assert "b.tif: cannot be decoded" in str(found[0].fault) and len(found[0]) == 0
    same_boxes(found[1], boxes)


def test_views_give_boxes_of_the_image() -> None:
    """Mirrored and scaled views find the same objects at the same place: suppression leaves each once."""
    boxes = lattice(320, 256, 60, (20, 34))
    image = picture(320, 256, boxes)
    network = SquaresNetwork()
    found = next(iter(predict_images(network, image, PredictOptions(imgsz=320, tta=True))))
    same_boxes(found, boxes, tolerance=1.5)
    assert [shape[2:] for shape in network.shapes] == [(256, 320), (224, 288), (320, 384)]
    network.fixed_size = (256, 320)
    network.shapes.clear()
    same_boxes(next(iter(predict_images(network, image, PredictOptions(imgsz=320, tta=True)))), boxes, tolerance=1.5)
    assert [shape[2:] for shape in network.shapes] == [(256, 320)] * 3


def test_each_view_alone_is_put_back_in_its_place() -> None:
    boxes = np.array([[20, 30, 60, 50], [200, 100, 230, 180]])
    images = torch.from_numpy(picture(320, 192, boxes)).permute(2, 0, 1)[None] / 255
    rows, scores = infer(SquaresNetwork(), images, tta=True)
    assert rows.shape == (1, 6, 4) and scores.shape == (1, 6, 2)
    for view in rows[0].split(2):
        assert np.abs(view[view[:, 1].argsort()].numpy() - boxes).max() < 1.5


def test_views_of_tiles() -> None:
    boxes = lattice(500, 400, 60, (24, 18))
    network = SquaresNetwork()
    found = next(iter(predict_images(network, picture(500, 400, boxes), PredictOptions(imgsz=160, tile=160, tta=True))))
    same_boxes(found, boxes, tolerance=2)


def test_views_are_suppressed_together_by_a_lower_overlap_whatever_the_network_suppressed() -> None:
    network = SquaresNetwork()
    assert iou_of_views(network, 0.7, tta=False) == 0.7 and iou_of_views(network, 0.7, tta=True) == 0.5
    assert iou_of_views(network, 0.4, tta=True) == 0.4
    network.suppression = Suppression(0.001, 0.7, 300)
    assert iou_of_views(network, 0.7, tta=False) == 1 and iou_of_views(network, 0.7, tta=True) == 0.5
