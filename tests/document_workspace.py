"""What the documents speak of, small: the folder that their commands and examples run in."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from lehr.data.images import read_image, write_image
from lehr.models.build import build_model
from tests.conftest import make_squares
from tests.document_commands import SAME


def make_workspace(folder: Path) -> None:
    """Write data sets, photographs, a video, weights of several trainers and two runs, one of them interrupted."""
    from lehr.errors import Stopped
    from tests.engine.runs import on, run
    from tests.weights.published.published_files import with_statistics, write_published

    data = make_squares(folder, {"train": 4, "val": 2, "test": 2})
    data.write_text(data.read_text() + "test: images/test\n")
    for name in ("my.yaml", "old.yaml", "YOUR.yaml"):
        shutil.copy(data, folder / name)
    for place in ("photos", "new-photos", "folder"):
        shutil.copytree(folder / "images" / "train", folder / place)
    for label in (folder / "labels" / "train").glob("*.txt"):
        shutil.copy(label, folder / "photos")
    (folder / "photos" / "classes.txt").write_text("small\nlarge\n")
    shutil.copy(folder / "images" / "val" / "0.jpg", folder / "photo.jpg")
    (folder / "shots").mkdir()
    write_image(folder / "shots" / "a.png", read_image(folder / "photo.jpg"))
    write_video(folder / "video.mp4")
    images = [{"id": 7 + number, "file_name": f"{number}.jpg", "width": 64, "height": 64} for number in range(2)]
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(("small", "large"))]
    (folder / "annotations").mkdir()
    listing = json.dumps({"images": images, "annotations": [], "categories": categories})
    (folder / "annotations" / "instances_val.json").write_text(listing)
    (folder / "hyp.scratch-low.yaml").write_text("lr0: 0.01\nlrf: 0.01\nmomentum: 0.937\nmosaic: 1.0\nbox: 0.05\n")

    small_run = {"epochs": 3, "batch": 2, "digests": True, "close_mosaic": 0}
    run(data, folder / "runs", "train-2", **{**small_run, "epochs": 1, "seed": 1})

    def stop(event: object) -> None:
        if event.epoch == 1:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGTERM)

    with on("on_train_epoch_end", stop), pytest.raises(Stopped):
        run(data, folder / "runs", "train", **small_run)
    torch.manual_seed(0)
    for variant in ("yolov8n", "yolov5s"):
        model = with_statistics(build_model(variant, ("small", "large"), 64, width=0.125))
        write_published(folder / f"{variant}.pt", model)
    for name, same in SAME.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / same, folder / name)


def write_video(path: Path) -> None:
    """Write four frames of 64 x 64 pixels."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(4):
            pixels = np.full((64, 64, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
