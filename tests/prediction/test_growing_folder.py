"""A folder that grows gives what comes into it, once each and when it is complete."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.prediction.videos import write_video

from lehr.errors import InputError
from lehr.prediction.frames import Frame
from lehr.prediction.growing_folder import watch_folder


def draw(path: Path, value: int = 0) -> Path:
    cv2.imwrite(str(path), np.full((8, 8, 3), value, np.uint8))
    return path


class Watch:
    """A folder being watched in a thread."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.frames: list[Frame] = []
        self.error: InputError | None = None
        self.stop = threading.Event()
        self._read: Callable[[threading.Event], Iterator[Frame]] = watch_folder(
            folder, poll_seconds=0.01, **options  # type: ignore[arg-type]
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def names(self) -> list[str]:
        return [Path(frame.source).name for frame in self.frames]

    def wait_for(self, count: int) -> None:
        limit = time.monotonic() + 5
        while len(self.frames) < count and time.monotonic() < limit:
            time.sleep(0.005)
        time.sleep(0.05)
        assert len(self.frames) == count, self.names()

    def end(self) -> None:
        self.stop.set()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for frame in self._read(self.stop):
                self.frames.append(frame)
        except InputError as error:
            self.error = error


def test_images_that_are_there_and_that_come_are_given_once_each(tmp_path: Path) -> None:
    draw(tmp_path / "b.png")
    os.utime(tmp_path / "b.png", (1, 1))
    (tmp_path / "sub").mkdir()
    watch = Watch(tmp_path)
    watch.wait_for(1)
    draw(tmp_path / "sub" / "a.png")
    watch.wait_for(2)
    draw(tmp_path / "c.png")
    (tmp_path / "notes.txt").write_text("no image")
    watch.wait_for(3)
    assert watch.names() == ["b.png", "a.png", "c.png"] and all(f.pixels is not None for f in watch.frames)
    watch.end()


def test_an_image_that_is_overwritten_is_given_again(tmp_path: Path) -> None:
    draw(tmp_path / "latest.png")
    watch = Watch(tmp_path)
    watch.wait_for(1)
    draw(tmp_path / "latest.png", 200)
    watch.wait_for(2)
    assert watch.frames[1].pixels is not None and watch.frames[1].pixels[0, 0, 0] == 200
    watch.end()


def test_an_image_is_waited_for_until_it_is_complete(tmp_path: Path) -> None:
    data = draw(tmp_path.parent / "whole.png", 7).read_bytes()
    watch = Watch(tmp_path)
    with (tmp_path / "a.png").open("wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        time.sleep(0.1)  # many looks, in which it does not change
        assert watch.frames == []
        file.write(data[len(data) // 2 :])
    watch.wait_for(1)
    assert watch.frames[0].pixels is not None and watch.frames[0].fault == ""
    watch.end()


def test_a_broken_image_is_given_with_its_fault_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    watch = Watch(tmp_path, patience=0.1)
    watch.wait_for(1)
    assert watch.frames[0].pixels is None and "a.png" in watch.frames[0].fault
    watch.end()


def test_videos_are_given_frame_by_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", 4)
    watch = Watch(tmp_path)
    watch.wait_for(4)
    assert [frame.index for frame in watch.frames] == [0, 1, 2, 3]
    watch.end()


def test_the_folder_of_the_results_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    draw(tmp_path / "runs" / "a.png")
    draw(tmp_path / "b.png")
    watch = Watch(tmp_path, exclude=[tmp_path / "runs"])
    watch.wait_for(1)
    assert watch.names() == ["b.png"]
    watch.end()


def test_a_folder_that_is_gone_ends_it(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    watch = Watch(folder)
    time.sleep(0.03)
    folder.rmdir()
    watch._thread.join(5)
    assert watch.error is not None and "the folder is gone" in str(watch.error)


def test_stopping_ends_it_at_once(tmp_path: Path) -> None:
    read = watch_folder(tmp_path, poll_seconds=60)
    stop = threading.Event()
    thread = threading.Thread(target=lambda: list(read(stop)), daemon=True)
    thread.start()
    time.sleep(0.05)
    stop.set()
    thread.join(2)
    assert not thread.is_alive()
    with pytest.raises(StopIteration):
        next(read(stop))
