"""Encoded files in memory: the content of the files as they were, whatever becomes of them, and one copy for all."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import MakeYolo

from lehr.data import encoded_files
from lehr.data.cache import ImageStore, map_store, open_store
from lehr.data.encoded_files import EncodedFiles, file_sizes, keep_encoded
from lehr.data.images import ImageFault, read_image
from lehr.data.load import load_dataset
from lehr.sample import Sample


@pytest.fixture
def samples(make_yolo: MakeYolo) -> list[Sample]:
    return list(load_dataset(str(make_yolo(suffix=".jpg"))).splits["train"])


def contents(store: ImageStore) -> list[bytes]:
    return [store(index)[0].tobytes() for index in range(len(store.samples))]


def kept(store: ImageStore) -> EncodedFiles:
    assert store.encoded is not None
    return store.encoded


def test_what_becomes_of_the_files_changes_nothing(samples: list[Sample]) -> None:
    expected = contents(ImageStore(samples, 64))
    store = open_store(samples, 64, "encoded", lambda _: None)
    assert kept(store).nbytes == sum(sample.path.stat().st_size for sample in samples)
    samples[0].path.write_bytes(samples[1].path.read_bytes())
    for sample in samples[1:]:
        sample.path.unlink()
    assert contents(store) == expected


def test_decoded_images_that_do_not_fit_are_kept_as_files(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 x 64 pixels are 12 KiB, of which 70% are to be had for all images, but the files are smaller."""
    said: list[str] = []
    monkeypatch.setattr("lehr.data.cache.free_memory", lambda: 64 * 64 * 3 * len(samples))
    store = open_store(samples, 64, "ram", said.append)
    assert store.encoded is not None and len(said) == 1
    assert "are kept in memory and decoded on demand, about" in said[0] and "images/s per core" in said[0]
    monkeypatch.setattr("lehr.data.cache.free_memory", lambda: kept(store).nbytes)
    for cache in ("ram", "encoded"):
        unkept = open_store(samples, 64, cache, said.append)
        assert unkept.encoded is None and "they are read and decoded" in said[-1] and "--cache disk" in said[-1]
        assert contents(unkept) == contents(store)


def test_a_missing_file_is_said_at_the_start(samples: list[Sample]) -> None:
    samples[2].path.unlink()
    with pytest.raises(ImageFault, match=samples[2].path.name):
        open_store(samples, 64, "encoded", lambda _: None)


def test_a_file_that_grew_is_read_each_time(samples: list[Sample]) -> None:
    sizes = file_sizes(samples)
    samples[1].path.write_bytes(samples[1].path.read_bytes() + bytes(100))
    files = keep_encoded(samples, sizes)
    assert files(1) is None and files(2) == samples[2].path.read_bytes()
    store = ImageStore(samples, 64, encoded=files)
    np.testing.assert_array_equal(store(1)[0], ImageStore(samples, 64)(1)[0])


def test_a_file_too_large_to_be_kept_is_read_each_time(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    largest = max(sample.path.stat().st_size for sample in samples)
    monkeypatch.setattr(encoded_files, "LARGE", largest - 1)
    files = keep_encoded(samples, file_sizes(samples))
    assert [files(index) is None for index in range(len(samples))] == [
        sample.path.stat().st_size == largest for sample in samples
    ]
    assert contents(ImageStore(samples, 64, encoded=files)) == contents(ImageStore(samples, 64))


def test_no_memory_is_done_without(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(size: int, name: str, shared: bool = False) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(encoded_files, "shared_block", refused)
    store = open_store(samples, 64, "encoded", lambda _: None)
    assert store.encoded is None and contents(store) == contents(ImageStore(samples, 64))


def test_damage_is_named_as_that_of_a_file_on_the_disk(samples: list[Sample], caplog: pytest.LogCaptureFixture) -> None:
    path: Path = samples[0].path
    data = bytearray(path.read_bytes())
    del data[-40:-2]
    image = read_image(path, bytes(data))
    assert image.shape[:2] == (samples[0].height, samples[0].width)
    assert path.name in caplog.text and "is damaged" in caplog.text


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory with a path is Linux's")
def test_another_process_maps_what_the_first_has_read(samples: list[Sample]) -> None:
    store = open_store(samples, 64, "encoded", lambda _: None, shared=True, ring=8)
    expected = contents(store)
    for sample in samples:
        sample.path.unlink()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_mapped, (samples, store.place)) == expected


def _mapped(samples: list[Sample], place: dict[str, object]) -> list[bytes]:
    return contents(map_store(samples, 64, place))
