"""Lists of images to train without: what an audit writes, `--skip` reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lehr.data.audit.findings import Finding, FindingKind
from lehr.data.skip_list import without_listed, write_skip_list
from lehr.errors import InputError
from lehr.sample import Dataset, Sample


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    samples = []
    for name in ("a.png", "b b.png", "c.png", "d.png"):
        (tmp_path / name).write_bytes(b"")
        samples.append(Sample(tmp_path / name, 8, 8, np.zeros((0, 4), np.float32), np.zeros(0, np.int64)))
    return Dataset("x", ("n",), {"train": samples[:3], "val": samples[3:]})


def names(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [sample.path.name for sample in samples] for split, samples in dataset.splits.items()}


def test_a_written_list_skips_leaks_and_leaves_suspects_to_whoever_looks(dataset: Dataset, tmp_path: Path) -> None:
    a, b, c = (sample.path for sample in dataset.splits["train"])
    findings = [
        Finding(FindingKind.LABEL, a, "train", "labelled\ndog", 0.9),
        Finding(FindingKind.LEAK, b, "train", "a near copy", 0.95, skip=True),
        Finding(FindingKind.SMALL, c, "train", "tiny", 0.5),
    ]
    assert write_skip_list(findings, tmp_path / "skip.txt") == 1
    said: list[str] = []
    left = without_listed(dataset, str(tmp_path / "skip.txt"), said.append)
    assert names(left) == {"train": ["a.png", "c.png"], "val": ["d.png"]}
    assert said == [f"--skip {tmp_path / 'skip.txt'}: images not used: 1 of train."]
    text = (tmp_path / "skip.txt").read_text()
    assert f"#{a}\n" in text and "labelled\\ndog" in text and str(c) not in text
    (tmp_path / "skip.txt").write_text(text.replace(f"#{a}", str(a)))
    assert names(without_listed(dataset, str(tmp_path / "skip.txt")))["train"] == ["c.png"]


def test_no_list_leaves_the_data_as_they_are(dataset: Dataset) -> None:
    assert without_listed(dataset, None) is dataset


def test_links_and_relative_names_lead_to_the_same_images(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "c.png")
    (tmp_path / "list.txt").write_text("./a.png\nlink.png\n")
    assert names(without_listed(dataset, str(tmp_path / "list.txt"))) == {"train": ["b b.png"], "val": ["d.png"]}


def test_images_of_other_data_are_counted(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "other.png").write_bytes(b"")
    (tmp_path / "list.txt").write_text("other.png\n")
    said: list[str] = []
    assert names(without_listed(dataset, str(tmp_path / "list.txt"), said.append)) == names(dataset)
    assert said[0].endswith("none of this data set; 1 listed images are not in it.")


def test_a_list_that_is_wrong_is_refused_with_its_line(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# comment\na.png\nmissing.png\n")
    with pytest.raises(InputError, match=r"--skip .*list\.txt:3"):
        without_listed(dataset, str(tmp_path / "list.txt"))
    with pytest.raises(InputError, match=r"--skip .*nowhere\.txt: cannot be read"):
        without_listed(dataset, str(tmp_path / "nowhere.txt"))
