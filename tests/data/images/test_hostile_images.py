"""Images of strangers: no other program is started, and a small file takes neither gigabytes nor minutes."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.commands import lehr
from tests.conftest import draw_squares
from tests.data.images.hostile import HOSTILE, small

from lehr.data import limits
from lehr.data.images import ImageFault, memory, probe_image, read_image
from lehr.errors import InputError
from lehr.prediction.pixels import to_pixels
from lehr.runtime.peak_memory import peak_process_bytes

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n(calc.exe) run\nshowpage\n%%EOF\n"
DOS_EPS = b"\xc5\xd0\xd3\xc6" + (30).to_bytes(4, "little") + len(EPS).to_bytes(4, "little") + bytes(18) + EPS
SUFFIXES = ("png", "jpg", "bmp", "tif", "gif", "webp", "jp2", "tga", "eps")


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that image libraries start, which write what they were called with into this file."""
    folder, log = tmp_path / "bin", tmp_path / "called"
    folder.mkdir()
    for name in ("gs", "gswin64c", "gswin32c", "gswin32", "magick", "convert", "djpeg", "ffmpeg", "dwebp", "cwebp"):
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "$0 $*" >> {log}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are scripts of a shell")
def test_no_image_starts_another_program(called: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split in ("train", "val"):
        draw_squares(root / "images" / split / "whole.png", [(8, 8, 40, 40)])
        for number, suffix in enumerate(SUFFIXES):
            for content, kind in ((EPS, "text"), (DOS_EPS, "dos")):
                (root / "images" / split / f"{kind}{number}.{suffix}").write_bytes(content)
        (root / "labels" / split).mkdir(parents=True)
        for image in (root / "images" / split).iterdir():
            (root / "labels" / split / f"{image.stem}.txt").write_text("0 0.375 0.375 0.5 0.5\n")
    yaml = root / "data.yaml"
    yaml.write_text("train: images/train\nval: images/val\nnames: [square]\n")

    assert "PostScript" in lehr("data", "check", yaml, cwd=tmp_path, code=1).stdout
    lehr("data", "stats", yaml, cwd=tmp_path)
    lehr("data", "convert", yaml, "--to", "coco", "--out", "out", cwd=tmp_path, code=2)
    lehr("data", "split", yaml, "--out", "lists", "--ratios", "0.5,0.5", "--group-by", "none", cwd=tmp_path)
    short = (
        "--model",
        "yolov8n",
        "--width",
        "0.125",
        "--imgsz",
        "64",
        "--epochs",
        "1",
        "--batch",
        "1",
        "--workers",
        "0",
    )
    lehr("train", "--data", yaml, *short, "--name", "a", cwd=tmp_path, code=2)
    lehr("train", "--data", yaml, *short, "--skip-broken", "--name", "b", cwd=tmp_path)
    weights = tmp_path / "runs" / "b" / "last.safetensors"
    lehr("val", "--data", yaml, "--weights", weights, "--imgsz", "64", cwd=tmp_path, code=2)
    for image in sorted((root / "images" / "train").glob("[td]*"))[::7]:  # all are read by the commands before
        lehr("predict", image, "--weights", weights, "--imgsz", "64", cwd=tmp_path, code=2)
    assert not called.exists()
    with pytest.raises(InputError, match="EPS"):
        to_pixels(Image.open(root / "images" / "train" / "text0.png"), "an image")  # opened by Pillow, not yet decoded
    assert not called.exists()

    with pytest.raises(OSError, match=r"."):  # what would have happened
        Image.open(root / "images" / "train" / "text0.png").load()
    assert "-dSAFER" in called.read_text()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_small_file_takes_neither_memory_nor_time(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(HOSTILE[name]())
    before, started = peak_process_bytes(), time.process_time()
    for read in (probe_image, read_image):
        try:
            found = read(path)
        except ImageFault as fault:
            assert str(fault).startswith(f"{path}: ")
        else:  # as small as it says, whatever else is in it; or large, which only its pixels show to be a lie
            assert (found if isinstance(found, tuple) else found.shape[:2]) == (8, 8) or read is probe_image
    assert time.process_time() - started < 3
    assert peak_process_bytes() - before < 300 * 2**20
    assert len(capfd.readouterr().err) < 1000  # what decoders write themselves


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "webp", "bmp", "avif", "jp2", "tga"])
def test_a_file_of_many_gigabytes_is_refused_unread(suffix: str, tmp_path: Path) -> None:
    path, before = tmp_path / f"a.{suffix}", peak_process_bytes()
    kind = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(suffix, suffix.upper())
    path.write_bytes(small(kind))
    os.truncate(path, 2**36)  # without taking room
    started = time.process_time()
    for read in (probe_image, read_image):
        with pytest.raises(ImageFault, match=r"is a file of [\d,]+ MB"):
            read(path)
    assert time.process_time() - started < 2 and peak_process_bytes() - before < 100 * 2**20


def test_the_limit_of_pixels_is_raised_by_the_variable_that_the_message_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(small("PNG"))
    arrays = [np.zeros((8, 8, 3), np.uint8), np.zeros((2, 3, 8, 8), np.uint8), np.zeros((8, 8), np.uint8)]
    try:
        monkeypatch.setenv("LEHR_MAX_PIXELS", "63")
        limits.max_pixels.cache_clear()
        for value in (path.read_bytes(), Image.open(path), path.open("rb"), *arrays):
            with pytest.raises(InputError, match=r"has 8x8 = 0\.00 million pixels.*LEHR_MAX_PIXELS=64"):
                to_pixels(value, "an image")
        with pytest.raises(ImageFault, match=r"a\.png: has 8x8 = .*LEHR_MAX_PIXELS=64"):
            probe_image(path)
        monkeypatch.setenv("LEHR_MAX_PIXELS", "64")
        limits.max_pixels.cache_clear()
        for value in (path.read_bytes(), Image.open(path), path.open("rb"), *arrays):
            assert to_pixels(value, "an image")[0].shape == (8, 8, 3)
        for wrong in ("many", "0", "-1", "1" * 30):
            monkeypatch.setenv("LEHR_MAX_PIXELS", wrong)
            limits.max_pixels.cache_clear()
            with pytest.raises(InputError, match="LEHR_MAX_PIXELS="):
                probe_image(path)
    finally:
        monkeypatch.undo()
        limits.max_pixels.cache_clear()


def test_an_endless_open_file_is_no_image() -> None:
    class Endless:
        def read(self, count: int) -> bytes:
            return bytes(count)

    with pytest.raises(InputError, match="holds only zeros"):
        to_pixels(Endless(), "an image")


def test_threads_decode_no_more_pixels_at_once_than_one_image_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SMALL", 10)
    monkeypatch.setattr(memory, "max_pixels", lambda: 100)
    now, most, lock = [0], [0], threading.Lock()

    def decode(pixels: int) -> None:
        with memory.share_of_memory(pixels):
            with lock:
                now[0] += pixels
                most[0] = max(most[0], now[0])
            time.sleep(0.001)
            with lock:
                now[0] -= pixels

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(decode, [40, 60, 90, 15, 150, 30] * 8))  # the largest alone
    assert most[0] == 150 and memory._share.pixels == 0
    most[0] = 0
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(decode, [40, 60, 90, 15, 30] * 8))
    assert 90 <= most[0] <= 100


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("Insufficient memory")])
def test_want_of_memory_is_a_fault_of_the_image(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(data: bytes, header: object, side: object) -> None:
        raise error

    (tmp_path / "a.png").write_bytes(small("PNG"))
    monkeypatch.setattr("lehr.data.images.files.decode", decode)
    with pytest.raises(ImageFault, match=r"a\.png: .*memory"):
        read_image(tmp_path / "a.png")
