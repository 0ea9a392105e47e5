"""Annotated videos keep rate, times, sizes and sound, and are playable however the writing ends."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.prediction.outputs.results import clip, found, frame_of, image

from lehr.errors import InputError
from lehr.prediction.frames import Clip
from lehr.prediction.outputs import video_file
from lehr.prediction.outputs.annotated_videos import AnnotatedVideos
from lehr.prediction.outputs.source_names import SourceNames
from lehr.prediction.outputs.video_file import VideoFile

av = pytest.importorskip("av")
NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)


def write(path: Path, of: Clip, times: list[float], grey: int = 90) -> Path:
    pixels = np.full((of.height, of.width, 3), grey, np.uint8)
    video = VideoFile(path, of, pixels)
    for index, seconds in enumerate(times):
        video.write(pixels, index, seconds)
    video.close()
    return path


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        [stream] = container.streams.video
        return [float(frame.pts * stream.time_base) for frame in container.decode(stream)]


def with_sound(path: Path, codec: str, start: float = 0.0) -> Path:
    """A video of 2 seconds whose sound begins with it; both may begin later than 0."""
    with av.open(str(path), "w") as container:
        stream, sound = container.add_stream("mpeg4", rate=25), container.add_stream(codec, rate=48000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        tone = (np.sin(np.arange(96000) / 20) * 9000).astype(np.int16).reshape(1, -1)
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index + round(start * 25), Fraction(1, 25)
            container.mux(stream.encode(frame))
        for index in range(0, 96000, 1024):
            part = av.AudioFrame.from_ndarray(np.repeat(tone[:, index : index + 1024], 2, 1), "s16", "stereo")
            part.sample_rate, part.pts, part.time_base = 48000, index + round(start * 48000), Fraction(1, 48000)
            container.mux(sound.encode(part))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return path


def boxes_of(path: Path) -> list[str]:
    """The boxes of an MP4, in their order."""
    data, names, place = path.read_bytes(), [], 0
    while place < len(data):
        names.append(data[place + 4 : place + 8].decode())
        place += int.from_bytes(data[place : place + 4], "big")
    return names


def packets_of(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        return [(float(each.pts * each.time_base), bytes(each)) for each in container.demux(sound) if each.size]


@pytest.mark.parametrize("rate", [Fraction(25), NTSC, FILM, Fraction(10), Fraction(2997, 100)])
@pytest.mark.parametrize("tick", [Fraction(1, 90000), Fraction(1, 1000)])
def test_frame_count_and_rate_are_kept_also_where_times_are_rounded(
    tmp_path: Path, rate: Fraction, tick: Fraction
) -> None:
    times = [float(round(index / rate / tick) * tick) for index in range(60)]
    path = write(tmp_path / "a.mp4", clip(rate=rate, tick=tick), times)
    other = cv2.VideoCapture(str(path))
    assert other.get(cv2.CAP_PROP_FRAME_COUNT) == 60
    assert other.get(cv2.CAP_PROP_FPS) == pytest.approx(float(rate), rel=1e-4)
    assert sum(other.read()[0] for _ in range(100)) == 60
    np.testing.assert_allclose(times_of(path), times, atol=float(tick) / 2 + 1e-9)


def test_a_variable_rate_is_kept_by_times(tmp_path: Path) -> None:
    times = [0.0, *np.cumsum(np.random.default_rng(0).integers(1, 30, 40) / 90).tolist()]
    path = write(tmp_path / "a.mp4", clip(rate=Fraction(6), tick=Fraction(1, 90000)), times)
    np.testing.assert_allclose(times_of(path), times, atol=1e-5)


def test_times_that_stand_still_or_are_missing_still_rise(tmp_path: Path) -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    video = VideoFile(tmp_path / "a.mp4", clip(), pixels)
    for index, seconds in enumerate([0.0, 0.0, None, 0.02, None]):
        video.write(pixels, index, seconds)
    video.close()
    times = times_of(tmp_path / "a.mp4")
    assert len(times) == 5 and all(np.diff(times) > 0) and times[-1] == pytest.approx(4 / 25)


@pytest.mark.parametrize(("width", "height"), [(65, 47), (1, 1), (17, 3), (64, 48)])
def test_odd_sizes_get_a_copy_of_their_last_row_and_column(tmp_path: Path, width: int, height: int) -> None:
    path = write(tmp_path / "a.mp4", replace(clip(), width=width, height=height), [0.0, 0.04], grey=200)
    read, pixels = cv2.VideoCapture(str(path)).read()
    assert read and pixels.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(pixels.astype(int) - 200).max() < 4


def test_colours_and_the_shape_of_pixels_are_kept(tmp_path: Path) -> None:
    pixels = np.full((48, 64, 3), (230, 40, 20), np.uint8)
    video = VideoFile(tmp_path / "a.mp4", replace(clip(), pixel_aspect=Fraction(4, 3)), pixels)
    video.write(pixels, 0, 0.0)
    video.close()
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - pixels).max() < 6


def test_a_frame_of_another_size_is_letterboxed_and_one_that_is_broken_is_missing(tmp_path: Path) -> None:
    of = clip()
    outputs = AnnotatedVideos(tmp_path, SourceNames())
    frames = [frame_of(of, 0), replace(frame_of(of, 1), pixels=None, fault="damaged"), frame_of(of, 2), frame_of(of, 3)]
    frames[3] = replace(frames[3], pixels=np.zeros((96, 64, 3), np.uint8))
    for frame in frames:
        outputs.write(frame, found(frame, 1))
    outputs.close()
    np.testing.assert_allclose(times_of(tmp_path / "v.mp4"), [0, 0.08, 0.12], atol=1e-4)


def test_boxes_are_drawn_and_clips_that_alternate_have_files_of_their_own(tmp_path: Path) -> None:
    clips = clip("x/v.mp4"), clip("y/v.avi")
    outputs = AnnotatedVideos(tmp_path, SourceNames())
    for index in range(3):
        for of in clips:
            outputs.write(frame_of(of, index), found(frame_of(of, index), 1))
    outputs.write(image("a.png"), found(image("a.png")))
    outputs.end_clip(clips[0])
    assert len(times_of(tmp_path / "v.mp4")) == 3
    outputs.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v-2.mp4", "v.mp4"]
    pixels = cv2.VideoCapture(str(tmp_path / "v-2.mp4")).read()[1].astype(int)
    assert np.abs(pixels[25, 30] - 90).max() > 40 and np.abs(pixels[40, 50] - 90).max() < 10  # its corner, and beyond


def test_what_a_kill_leaves_is_playable(tmp_path: Path) -> None:
    of = clip()
    outputs = AnnotatedVideos(tmp_path, SourceNames())
    for index in range(150):
        outputs.write(frame_of(of, index), found(frame_of(of, index), 1))
    shutil.copy(tmp_path / "v.mp4", tmp_path / "left.mp4")
    times = times_of(tmp_path / "left.mp4")
    assert len(times) >= 100 and times[1] == pytest.approx(0.04)  # all but the last two seconds
    outputs.close()
    assert len(times_of(tmp_path / "v.mp4")) == 150
    assert boxes_of(tmp_path / "v.mp4") == ["ftyp", "free", "mdat", "moov"]  # without fragments
    assert "moof" in boxes_of(tmp_path / "left.mp4")


def test_the_video_of_a_stream_stays_fragmented(tmp_path: Path) -> None:
    """So that no index of it is held, however long it lasts."""
    path = write(tmp_path / "a.mp4", replace(clip(rate=NTSC), live=True), [float(i / NTSC) for i in range(60)])
    assert boxes_of(path).count("moof") >= 2
    other = cv2.VideoCapture(str(path))
    assert sum(other.read()[0] for _ in range(100)) == 60
    np.testing.assert_allclose(times_of(path), [float(i / NTSC) for i in range(60)], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "codec", "start"), [("a.mp4", "aac", 0.0), ("a.ts", "aac", 1.4), ("a.mkv", "flac", 0.0)]
)
def test_sound_is_copied_at_its_place(tmp_path: Path, name: str, codec: str, start: float) -> None:
    source = with_sound(tmp_path / name, codec, start)
    with av.open(str(source)) as container:
        first = float(container.streams.video[0].start_time * container.streams.video[0].time_base)
    of = replace(clip(), path=source, sound=True)
    path = write(tmp_path / "v.mp4", of, [i / 25 for i in range(50)])
    before, after = packets_of(source), packets_of(path)
    assert len(before) - 2 <= len(after) <= len(before) and times_of(path)[0] == 0
    by_time = {round(at - first, 2): data for at, data in before}
    headers = 7 if name.endswith(".ts") else 0  # of ADTS, which MP4 does not have
    assert all(by_time[round(at, 2)][headers:] == data for at, data in after)


def test_sound_stops_with_the_frames(tmp_path: Path) -> None:
    of = replace(clip(), path=with_sound(tmp_path / "a.mp4", "aac"), sound=True)
    path = write(tmp_path / "v.mp4", of, [i / 25 for i in range(25)])
    assert 0.9 < packets_of(path)[-1][0] < 1.1


def test_sound_that_mp4_does_not_hold_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    of = replace(clip(), path=with_sound(tmp_path / "a.avi", "pcm_s16le"), sound=True)
    path = write(tmp_path / "v.mp4", of, [0.0, 0.04])
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 0
    assert "its sound (pcm_s16le) is not in the annotated video" in caplog.text


def test_a_source_that_is_gone_costs_the_sound_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    of = replace(clip(), path=tmp_path / "gone.mp4", sound=True)
    assert len(times_of(write(tmp_path / "v.mp4", of, [0.0, 0.04]))) == 2
    assert "its sound, or the rest of it, cannot be copied" in caplog.text


def test_without_an_encoder_of_h264_there_is_mpeg4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = {"mpeg4": video_file.ENCODERS["mpeg4"]}
    monkeypatch.setattr(video_file, "ENCODERS", {"none-such": {}, **left})
    path = write(tmp_path / "a.mp4", clip(rate=NTSC, tick=Fraction(1, 90000)), [float(i / NTSC) for i in range(30)])
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    np.testing.assert_allclose(times_of(path), [float(i / NTSC) for i in range(30)], atol=1e-4)
    monkeypatch.setattr(video_file, "ENCODERS", {"none-such": {}})
    with pytest.raises(InputError, match="has no encoder"):
        write(tmp_path / "b.mp4", clip(), [0.0])


def test_what_cannot_be_written_is_said_and_others_are_ended_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"v\.mp4: the video of 64x48 pixels cannot be written"):
        write(tmp_path / "none" / "v.mp4", clip(), [0.0])
    one, other = clip("a.mp4"), clip("b.mp4")
    outputs = AnnotatedVideos(tmp_path, SourceNames())
    for of in (one, other):
        outputs.write(frame_of(of, 0), found(frame_of(of, 0), 1))
    with pytest.MonkeyPatch.context() as patch:
        (_, first), _ = outputs._open.values()
        patch.setattr(first, "_copy_sound", lambda seconds: os.write(99999, b""))
        with pytest.raises(InputError, match=r"a\.mp4: the video of .* \(Bad file descriptor\)"):
            outputs.close()
    assert len(times_of(tmp_path / "b.mp4")) == 1
