"""Videos give the frames that a player shows, with their times; damaged ones end well, hostile ones reach nothing."""

from __future__ import annotations

import socket
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.prediction.videos import HEIGHT, WIDTH, found_corner, is_on_object, video_bytes, without_bytes, write_video

from lehr.errors import InputError
from lehr.prediction.frames import Frame
from lehr.prediction.video import probe_video, read_video

TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""Matrices of an MP4 by the degrees that its frames are turned clockwise."""


def frames_of(path: Path) -> list[Frame]:
    return list(read_video(path))


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def good(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.pixels is not None]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mkv", "libx264"),
        ("a.ts", "libx264"),
        ("a.mov", "mpeg4"),
        ("a.avi", "mjpeg"),
        ("a.webm", "libvpx"),
        ("a.mpg", "mpeg2video"),
        ("a.flv", "flv1"),
    ],
)
def test_every_container_gives_its_frames_in_order(name: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / name
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    write_video(path, 12, codec=codec, options={"b": "2000000"}, pixel_format=pixel_format)
    probe_video(path)
    frames = frames_of(path)
    assert [frame.index for frame in frames] == list(range(12))
    assert all(frame.pixels is not None and is_on_object(frame.pixels, frame.index) for frame in frames)
    clip = frames[0].clip
    assert clip is not None and all(frame.clip is clip for frame in frames)
    assert (clip.width, clip.height, clip.rate, clip.path, clip.live) == (WIDTH, HEIGHT, 25, path, False)
    assert frames[0].pixels is not None and frames[0].pixels.flags.c_contiguous
    np.testing.assert_allclose([frame.time or 0 for frame in frames], np.arange(12) / 25, atol=0.0011)


@pytest.mark.parametrize("size", [(95, 63), (33, 17), (130, 96)])
def test_odd_sizes_are_kept(size: tuple[int, int], tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", 3, codec="ffv1", size=size, pixel_format="yuv444p")
    for frame in frames_of(tmp_path / "a.mkv"):
        assert frame.pixels is not None and frame.pixels.shape == (size[1], size[0], 3)
        assert frame.clip is not None and (frame.clip.width, frame.clip.height) == size
        assert is_on_object(frame.pixels, frame.index)


def test_frames_of_a_variable_rate_have_their_own_times(tmp_path: Path) -> None:
    times = [Fraction(step, 1000) for step in (0, 40, 50, 500, 1500, 1501)]
    write_video(tmp_path / "a.mkv", 6, times=times)
    assert [frame.time for frame in frames_of(tmp_path / "a.mkv")] == pytest.approx([float(time) for time in times])


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_frames_are_turned_as_the_video_says(degrees: int, tmp_path: Path) -> None:
    plain = video_bytes("mp4", 2)
    at = plain.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in TURNS[degrees])
    turned = plain[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + plain[at + 36 :]
    straight = frames_of(written(tmp_path / "a.mp4", plain))[1]
    frame = frames_of(written(tmp_path / "b.mp4", turned))[1]
    assert frame.pixels is not None and straight.pixels is not None and frame.clip is not None
    np.testing.assert_array_equal(frame.pixels, np.rot90(straight.pixels, -degrees // 90))
    sideways = degrees != 180
    assert (frame.clip.width, frame.clip.height) == ((HEIGHT, WIDTH) if sideways else (WIDTH, HEIGHT))


def test_a_clip_says_whether_it_has_sound_and_how_many_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 5, sound=True, rate=Fraction(30000, 1001))
    clip = frames_of(tmp_path / "a.mp4")[0].clip
    assert clip is not None and clip.sound and clip.frames == 5 and clip.rate == Fraction(30000, 1001)
    write_video(tmp_path / "b.mkv", 5)
    other = frames_of(tmp_path / "b.mkv")[0].clip
    assert other is not None and not other.sound and other.frames is None


@pytest.mark.parametrize("colour", ["1", "5"])
def test_colours_are_those_of_the_video_s_colour_space(colour: str, tmp_path: Path) -> None:
    import av

    matrix = {"1": "ITU709", "5": "ITU601"}[colour]
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.colorspace = int(colour)
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), (200, 30, 60), np.uint8), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=matrix)
        frame.colorspace = int(colour)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    pixels = frames_of(tmp_path / "a.mkv")[0].pixels
    assert pixels is not None
    np.testing.assert_allclose(pixels[32, 32], (200, 30, 60), atol=4)


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "avi"])
def test_a_video_that_lost_bytes_in_the_middle_gives_the_frames_before_and_after(
    container: str, tmp_path: Path
) -> None:
    whole = video_bytes(container, 100)
    path = tmp_path / "a.video"
    if container == "mp4":  # its index names places in the file: bytes are damaged, none are missing
        start, end = (int(len(whole) * share) for share in (0.4, 0.5))
        written(path, whole[:start] + bytes(end - start) + whole[end:])
    else:
        written(path, without_bytes(whole, 0.5, 0.6))
    frames = frames_of(path)
    assert 50 <= len(good(frames)) < 100
    assert good(frames)[0].index == 0 and is_on_object(_pixels(frames[0]), 0)
    last = good(frames)[-1]
    assert last.time is not None and last.time > (2.9 if container == "avi" else 3.5), "its end is read"
    times = [frame.time for frame in frames if frame.time is not None]
    assert times == sorted(times) and len(set(times)) == len(times)
    assert all(frame.fault.startswith(f"{path}, frame {frame.index}: ") for frame in frames if frame.pixels is None)


def _pixels(frame: Frame) -> np.ndarray:
    assert frame.pixels is not None
    return frame.pixels


def test_damaged_frames_are_counted_and_have_no_pixels(tmp_path: Path) -> None:
    whole = video_bytes("avi", 20, codec="mjpeg", pixel_format="yuvj420p")
    start = whole.index(b"movi")
    at = [place for place in range(start, len(whole)) if whole[place : place + 4] == b"00dc"][7] + 8
    frames = frames_of(written(tmp_path / "a.avi", whole[:at] + bytes(200) + whole[at + 200 :]))
    assert len(frames) == 20 and [frame.index for frame in frames if frame.pixels is None] == [7]


def test_a_video_without_an_index_is_read_from_the_front_or_says_that_it_was_cut_off(tmp_path: Path) -> None:
    avi = video_bytes("avi", 10, codec="mpeg4")
    assert len(good(frames_of(written(tmp_path / "a.avi", avi[: avi.rindex(b"idx1")])))) == 10
    mkv = video_bytes("matroska", 10)
    assert len(good(frames_of(written(tmp_path / "a.mkv", mkv[: len(mkv) * 9 // 10])))) >= 5
    mp4 = video_bytes("mp4", 10)
    assert mp4.index(b"moov") > mp4.index(b"mdat")
    for read in (probe_video, frames_of):
        with pytest.raises(InputError, match=r"a\.mp4: its index is missing or damaged: .*cut off"):
            read(written(tmp_path / "a.mp4", mp4[: mp4.index(b"moov")]))


def test_a_video_without_frames_says_so(tmp_path: Path) -> None:
    write_video(tmp_path / "a.avi", 0, codec="mpeg4")
    with pytest.raises(InputError, match=r"a\.avi: holds no frames"):
        frames_of(tmp_path / "a.avi")
    write_video(tmp_path / "b.mkv", 0)
    with pytest.raises(InputError, match=r"b\.mkv: "):
        frames_of(tmp_path / "b.mkv")


def test_a_video_of_sound_alone_says_so(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        track = out.add_stream("aac", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 8000
        out.mux(track.encode(silence))
        out.mux(track.encode())
    with pytest.raises(InputError, match="holds no video, only audio"):
        probe_video(tmp_path / "a.mkv")


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100, bytes(5000), b"\x1aE\xdf\xa3" + bytes(100)])
def test_what_is_no_video_says_so(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.mkv: is not a video that can be read"):
        probe_video(written(tmp_path / "a.mkv", content))


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile {}\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{}\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?><MPD type="static"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1">'
        "<BaseURL>file://{}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n# {}\n",
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv"])
def test_a_playlist_opens_no_other_file_and_no_connection(playlist: str, suffix: str, tmp_path: Path) -> None:
    write_video(tmp_path / "other.ts", 5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        for target in (f"{tmp_path}/other.ts", f"http://127.0.0.1:{listener.getsockname()[1]}/other.ts"):
            text = playlist.replace("file://{}", "{}" if target.startswith("http") else "file://{}").format(target)
            with pytest.raises(InputError, match="is not a video that can be read"):
                frames_of(written(tmp_path / f"a.{suffix}", text.encode()))
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.mp4", 2)
    monkeypatch.setattr("lehr.data.limits.max_pixels", lambda: 1000)
    monkeypatch.setattr("lehr.prediction.video.max_pixels", lambda: 1000)
    with pytest.raises(InputError, match=r"96x64 .* million pixels"):
        probe_video(tmp_path / "a.mp4")


def test_a_device_or_pipe_in_the_place_of_a_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is a device"):
        probe_video(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="No such file"):
        probe_video(tmp_path / "b.mp4")


def test_without_pyav_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", 2)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"pip install '\.\[video\]'"):
        frames_of(tmp_path / "a.mp4")


def test_a_size_that_changes_is_brought_to_that_of_the_first_frame(tmp_path: Path) -> None:
    data = video_bytes("mjpeg", 3, codec="mjpeg", pixel_format="yuvj420p")
    data += video_bytes("mjpeg", 3, codec="mjpeg", pixel_format="yuvj420p", size=(48, 32))
    frames = frames_of(written(tmp_path / "a.mjpeg", data))
    assert len(frames) == 6 and {_pixels(frame).shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    assert found_corner(_pixels(frames[0])) == pytest.approx((0, 0), abs=2)
