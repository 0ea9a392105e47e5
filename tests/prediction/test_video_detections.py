"""Videos are predicted frame by frame, in memory that does not grow, and their copies have every frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.video_memory import MEGABYTE, RATE, TOLERANCE, Measured, fit_slope, measure
from tests.prediction.videos import write_video
from tests.squares_network import SquaresNetwork

from lehr.errors import InputError
from lehr.prediction.inputs import has_no_end
from lehr.prediction.options import PredictOptions
from lehr.prediction.predictor import predict_images

INDEX_BYTES = 120
"""Bytes of a frame in the index that an MP4 holds until it is closed."""


def require_kept(found: Measured, frames: int) -> None:
    assert found.frames == found.copied == frames, "no frame is lost on the way in or out"
    assert found.copied_rate == pytest.approx(float(RATE), abs=0.01)
    assert found.missed == 0 and found.worst <= TOLERANCE, "the box is on the object in every frame"


def test_a_video_is_predicted_in_memory_that_holds_a_few_frames(tmp_path: Path) -> None:
    found = measure(tmp_path, 300, (320, 240))
    require_kept(found, 300)
    assert found.last - found.first < 20 * MEGABYTE < 240 * 320 * 240 * 3, "keeping all frames would take 55 MB"


@pytest.mark.slow
def test_a_long_video_is_predicted_in_memory_that_does_not_grow(tmp_path: Path) -> None:
    found = measure(tmp_path, 10_000, (320, 240))
    require_kept(found, 10_000)
    assert found.slope < INDEX_BYTES + 3 * found.error, "nothing grows but the index of the annotated video"


def test_a_slope_is_that_of_the_line_through_the_samples() -> None:
    import numpy as np

    x = np.arange(10.0)
    assert fit_slope(x, 3 * x + 5) == pytest.approx((3, 0), abs=1e-9)
    slope, error = fit_slope(x, np.where(x % 2, 1.0, -1.0))
    assert abs(slope) < 2 * error
    steps = np.repeat(np.array([0.0, 1, 0, 1]), 50)  # of four independent samples, each seen 50 times
    independent = fit_slope(np.arange(4.0) * 50, steps[::50])[1]
    assert fit_slope(np.arange(200.0), steps)[1] == pytest.approx(independent, rel=0.5)


def test_frames_have_their_place_and_time_in_the_detections(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 5, rate=10)
    found = list(predict_images(SquaresNetwork(), tmp_path / "a.mp4", PredictOptions(imgsz=64, batch=2)))
    assert [each.frame for each in found] == list(range(5))
    assert [each.time for each in found] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert {(each.source, each.width, each.height) for each in found} == {(str(tmp_path / "a.mp4"), 96, 64)}
    described = found[1].as_dict()
    assert described["frame"] == 1 and described["time"] == pytest.approx(0.1)


def test_videos_and_images_share_a_list_and_broken_ones_their_fault(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 2)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    names = [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"), str(tmp_path / "a.mp4")]
    found = list(predict_images(SquaresNetwork(), names, PredictOptions(imgsz=64, batch=3, skip_broken=True)))
    assert [each.fault is None for each in found] == [True, True, False, True, True]
    with pytest.raises(InputError, match=r"b\.mp4: is not a video"):
        list(predict_images(SquaresNetwork(), names, PredictOptions(imgsz=64)))


def test_sources_without_an_end_are_known_by_their_names() -> None:
    assert all(map(has_no_end, [0, "0", "rtsp://x/y", ["a.png", "rtsp://x/y"]]))
    assert not any(map(has_no_end, ["a.png", "http://x/y", Path("a.mp4"), [], None, b"", ["a.png"]]))
