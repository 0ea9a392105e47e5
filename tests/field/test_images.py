"""Image files that people really have: turned, deep, of every format, huge, damaged, hidden, linked, and unlabelled."""

from __future__ import annotations

import io
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.commands import lehr
from tests.field.conftest import COLOURS, MakeCase, Painted, paint_of
from tests.field.test_harness import make_painted

import lehr.data.images.kinds as kinds
from lehr.data.cache import ImageStore
from lehr.data.images import read_image
from lehr.data.load import load_dataset

Save = Callable[[NDArray[np.uint8], Path], None]


def sides(painted: Painted) -> list[str]:
    """Images whose pixels are not of the size that was read."""
    samples = [sample for split in painted.dataset.splits.values() for sample in split]
    return [s.path.name for s in samples if read_image(s.path).shape[1::-1] != (s.width, s.height)]


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the decoders of HEIC and JPEG XL."""
    monkeypatch.setattr(kinds, "has_decoder", lambda name: name == "AVIF")
    monkeypatch.setattr(kinds, "read_suffixes", lambda: kinds.ALWAYS_READ | kinds.DECODERS["AVIF"])
    monkeypatch.setattr("lehr.data.find_images.read_suffixes", kinds.read_suffixes)


def test_turned_png_is_aligned(case: MakeCase, painted: Callable[..., Painted]) -> None:
    folder = case("I02b-exif-png")
    found = painted(folder / "data.yaml", 144)
    assert found.misaligned == [] and found.count >= 6 and sides(found) == [] and found.dataset.faults == ()


def test_pixel_boxes_on_turned_png_are_aligned(case: MakeCase, painted: Callable[..., Painted]) -> None:
    found = painted(case("I19a-png-exif-pixels") / "ds", 640)
    assert sides(found) == []
    assert found.misaligned == [] and found.count >= 8


@pytest.mark.parametrize("name", ["I02e-avif", "I02f-gif"])
def test_avif_and_gif_are_read(name: str, case: MakeCase, painted: Callable[..., Painted]) -> None:
    folder = case(name)
    found = painted(folder / "data.yaml", 128)
    assert len(found.dataset.splits["train"]) == 4 and len(found.dataset.splits["val"]) == 2
    assert found.misaligned == [] and found.count >= 6
    lehr("data", "check", folder / "data.yaml", cwd=folder)


@pytest.mark.usefixtures("without_heif")
def test_a_split_of_an_unread_format_names_it_and_the_remedy(case: MakeCase) -> None:
    folder = case("I02h-all-avif")
    for command in (["data", "check"], ["train", "--epochs", "1", "--project", folder / "runs", "--data"]):
        done = lehr(*command, folder / "data.yaml", cwd=folder, code=2)
        assert "HEIF" in done.stdout + done.stderr and "pip install" in done.stdout + done.stderr
    assert not (folder / "runs").exists()


def test_deep_images_are_neither_black_nor_white(case: MakeCase, painted: Callable[..., Painted]) -> None:
    folder = case("I03-16bit")
    for path in sorted((folder / "images").rglob("*.*")):
        pixels = read_image(path)
        assert pixels.max() > 130 and 10 < pixels.mean() < 245, path
    done = lehr("data", "check", folder / "data.yaml", cwd=folder, code=1)  # names of labels and images differ in it
    assert "scaled to 8" in done.stdout


@pytest.mark.parametrize("size", [(12000, 9000), (16000, 12000)])
def test_huge_images_are_read_without_a_warning(size: tuple[int, int], case: MakeCase) -> None:
    folder = case("I08a-huge-108M" if size[0] == 12000 else "I08b-huge-192M")
    (folder / "images" / "train").mkdir(exist_ok=True)
    (folder / "images" / "train" / "train.jpg").write_bytes(cv2.imencode(".jpg", np.full(size[::-1], 60, np.uint8))[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = lehr("data", "check", folder / "data.yaml", cwd=folder)
    assert "2 usable images, 0 errors" in done.stdout and "bomb" not in done.stdout.lower() + done.stderr.lower()


def test_a_dangling_link_is_reported(case: MakeCase) -> None:
    folder = case("I12d-dangling-link")
    link = folder / "images" / "train" / "train0.jpg"
    if not link.is_symlink():
        link.symlink_to("../../.git/annex/objects/train0.jpg")
    done = lehr("data", "check", folder / "data.yaml", cwd=folder, code=1)
    assert "train0.jpg" in done.stdout and "annex" in done.stdout


def test_labels_without_images_are_reported(case: MakeCase) -> None:
    folder = case("L17-orphan-labels")
    done = lehr("data", "check", folder / "data.yaml", cwd=folder, code=1)
    assert "train1.txt" in done.stdout and "train2.txt" in done.stdout and "label-without-image" in done.stdout


def test_missing_labels_are_loud_in_training(case: MakeCase) -> None:
    folder = case("I18-labels-missing-most")
    small = ["--model", "yolov8n", "--width", "0.125", "--imgsz", "64", "--epochs", "1", "--batch", "4"]
    done = lehr("train", "--data", "data.yaml", *small, "--device", "cpu", cwd=folder)
    assert "7 of 8 images of 'train' have no label file" in done.stdout + done.stderr
    weights = next((folder / "runs").rglob("best.safetensors"))
    done = lehr("val", "--weights", weights, "--data", "data.yaml", "--device", "cpu", cwd=folder)
    assert "5 of 6 images of 'val' have no label file" in done.stdout + done.stderr


def save_as(data: Path, suffix: str, orientation: int = 1, save: Save | None = None) -> None:
    """Replace the images of a painted data set by such as another format has, turned so that they show the same."""
    undo = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    for path in sorted(data.parent.rglob("*.png")):
        with Image.open(path) as image:
            pixels = np.rot90(np.asarray(image.convert("RGB")), undo)
        path.unlink()
        if save is not None:
            save(np.array(pixels), path.with_suffix(suffix))
        else:
            exif = Image.Exif()  # one for each: saving as AVIF takes the orientation out of it
            exif[0x0112] = orientation
            Image.fromarray(pixels).save(path.with_suffix(suffix), exif=exif)


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_boxes_lie_on_turned_images_of_every_format(suffix: str, orientation: int, tmp_path: Path) -> None:
    data = make_painted(tmp_path)
    save_as(data, suffix, orientation)
    found = paint_of(data)
    assert found.misaligned == [] and found.count == 2 and sides(found) == []


@pytest.mark.parametrize("suffix", [".gif", ".bmp", ".ppm", ".jp2", ".tga", ".qoi", ".jfif", ".JPEG", ".apng", ".mpo"])
def test_formats_that_decoders_read_are_read_everywhere(suffix: str, tmp_path: Path) -> None:
    from lehr.prediction.sources import find_sources

    data = make_painted(tmp_path)

    def save(pixels: NDArray[np.uint8], path: Path) -> None:
        name = {".jfif": "JPEG", ".apng": "PNG", ".jp2": "JPEG2000"}.get(suffix)
        Image.fromarray(pixels).save(path, format=name)

    save_as(data, suffix, save=save)
    found = paint_of(data)
    assert found.misaligned == [] and found.count == 2
    folder = tmp_path / "images" / "train"
    images = [folder / f"a{suffix}"]
    for source in (folder, folder / "*", images[0]):
        assert list(find_sources([str(source)]).images) == images
    (tmp_path / "list.txt").write_text(f"./images/train/a{suffix}\n")
    data.write_text("train: list.txt\nval: images/val\nnames: [cat, dog]\n")
    assert [sample.path.name for sample in load_dataset(str(data)).splits["train"]] == [images[0].name]


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_boxes_lie_on_images_of_more_bits(suffix: str, bits: int, tmp_path: Path) -> None:
    data = make_painted(tmp_path)

    def save(pixels: NDArray[np.uint8], path: Path) -> None:
        pixels[0, 0] = 255  # a sample that is white
        deep = (pixels[:, :, ::-1].astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
        assert cv2.imwrite(str(path), deep)

    save_as(data, suffix, save=save)
    found = paint_of(data)
    assert found.misaligned == [] and found.count == 2
    notes = [fault for fault in found.dataset.faults if fault.kind == "deep-image"]
    assert len(notes) == 2 and "16 bits" in notes[0].message


def test_files_of_other_depth_than_most_are_named(tmp_path: Path) -> None:
    data = make_painted(tmp_path)
    for index, white in enumerate([4000, 4095, 3000, 900]):
        path = tmp_path / "images" / "train" / f"d{index}.png"
        assert cv2.imwrite(str(path), np.full((96, 96), white, np.uint16))
        shutil.copy(tmp_path / "labels" / "train" / "a.txt", tmp_path / "labels" / "train" / f"d{index}.txt")
    done = lehr("data", "check", data, cwd=tmp_path, code=1)
    assert "uses 10 bits, but most deep images here 12 bits" in done.stdout


def test_a_damaged_jpeg_is_named_by_check_and_in_decoding(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("simplejpeg")
    data = make_painted(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    file = bytearray(cv2.imencode(".jpg", noise)[1].tobytes())
    file[len(file) // 2 : len(file) // 2 + 1500] = bytes(1500)
    (tmp_path / "images" / "train" / "a.png").unlink()
    path = tmp_path / "images" / "train" / "a.jpg"
    path.write_bytes(file)
    done = lehr("data", "check", data, cwd=tmp_path)
    assert f"{path}: warning: is damaged" in done.stdout
    ImageStore(load_dataset(str(data)).splits["train"], 96)(0)
    assert str(path) in caplog.text and "is damaged" in caplog.text


def test_what_systems_leave_behind_is_neither_trained_nor_predicted_on(tmp_path: Path) -> None:
    from lehr.prediction.sources import find_sources

    data = make_painted(tmp_path)
    folder = tmp_path / "images" / "train"
    for name in ("._a.png", ".hidden.png", "__MACOSX/._a.png", "__MACOSX/b.png", "@eaDir/a.png/THUMB.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    (folder / ".ipynb_checkpoints").mkdir()
    shutil.copy(folder / "a.png", folder / ".ipynb_checkpoints" / "a-checkpoint.png")
    (folder / "Thumbs.db").write_bytes(b"x")
    dataset = load_dataset(str(data))
    assert [sample.path.name for sample in dataset.splits["train"]] == ["a.png"] and dataset.faults == ()
    for source in (folder, folder / "*", tmp_path / "images" / "train" / "**"):
        assert find_sources([str(source)]).images == (folder / "a.png",)


def test_links_to_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    data = make_painted(tmp_path / "data")
    store = tmp_path / "store"
    shutil.move(tmp_path / "data" / "images" / "train", store)
    (tmp_path / "data" / "images" / "train").symlink_to(store)
    (store / "back").symlink_to(tmp_path / "data" / "images" / "train")
    found = paint_of(data)
    assert found.misaligned == [] and found.count == 2 and found.dataset.faults == ()


@pytest.mark.parametrize(
    ("name", "kind"), [("b.cr2", "unread-image"), ("b.psd", "unread-image"), ("b.mov", "no-image")]
)
def test_files_that_look_like_images_are_reported(name: str, kind: str, tmp_path: Path) -> None:
    data = make_painted(tmp_path)
    (tmp_path / "images" / "train" / name).write_bytes(b"x" * 100)
    faults = load_dataset(str(data)).faults
    assert [(fault.kind, fault.path.name) for fault in faults] == [(kind, name)]
    small = ["--model", "yolov8n", "--width", "0.125", "--imgsz", "64", "--epochs", "1"]
    if kind == "unread-image":
        done = lehr("train", "--data", data, *small, cwd=tmp_path, code=2)
        assert name in done.stderr and "--skip-broken" in done.stderr


def test_heic_named_as_jpeg_says_what_it_is(tmp_path: Path) -> None:
    if kinds.has_decoder("HEIF"):
        pytest.skip("its decoder is installed")
    data = make_painted(tmp_path)
    path = tmp_path / "images" / "train" / "a.png"
    path.rename(path.with_suffix(".jpg")).write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(200))
    done = lehr("data", "check", data, cwd=tmp_path, code=1)
    assert "a.jpg" in done.stdout and "pip install 'pillow-heif'" in done.stdout


def test_alpha_is_dropped_as_opencv_does(tmp_path: Path) -> None:
    data = make_painted(tmp_path)
    for path in tmp_path.rglob("*.png"):
        with Image.open(path) as image:
            clear = image.convert("RGBA")
        clear.putalpha(0)
        clear.save(path)
    assert paint_of(data).count == 2


def test_palettes_and_cmyk_keep_their_colours(tmp_path: Path) -> None:
    data = make_painted(tmp_path)
    for split, mode, suffix in (("train", "P", ".png"), ("val", "CMYK", ".tif")):
        path = tmp_path / "images" / split / "a.png"
        with Image.open(path) as image:
            colours = image.convert("RGB")
        path.unlink()
        colours = colours.quantize(8) if mode == "P" else colours.convert(mode)
        file = io.BytesIO()
        colours.save(file, "PNG" if mode == "P" else "TIFF")
        path.with_suffix(suffix).write_bytes(file.getvalue())
    assert paint_of(data).count == 2 and len(COLOURS) > 1
