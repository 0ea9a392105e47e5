"""A file that is given as weights and is none is named for what it is, with what to give instead; none runs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lehr.checkpoint.format import Position, write_checkpoint
from lehr.errors import InputError
from lehr.models.build import build_model
from lehr.weights.load import load_model
from lehr.weights.transfer import take_fitting_weights
from lehr.weights.write import save_weights


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.mark,)


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.mark.parametrize("name", ["yolov8n.pt", "model.PTH", "weights", "best.safetensors", "other.ckpt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_what_runs_code_in_a_checkpoint_is_not_run_whatever_the_file_is_called(
    tmp_path: Path, name: str, zipped: bool
) -> None:
    torch.save({"model": Bomb(tmp_path / "ran")}, tmp_path / name, _use_new_zipfile_serialization=zipped)
    message = refused(tmp_path / name)
    assert "nothing in the file was run" in message or "of which nothing runs" in message
    with pytest.raises(InputError, match="nothing"):
        take_fitting_weights(build_model("yolov8n", ("a",), width=0.125), tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_bare_pickle_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    assert "nothing" in refused(tmp_path / "w.pt") and not (tmp_path / "ran").exists()


def test_the_state_of_a_run_leads_to_the_weights_in_its_folder(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"a": torch.ones(2)}, Position(0, 1, 0))
    assert f"--resume {tmp_path / 'last.ckpt'}" in refused(tmp_path / "last.ckpt")
    (tmp_path / "best.safetensors").write_bytes(b"")
    (tmp_path / "last.safetensors").write_bytes(b"")
    message = refused(tmp_path / "last.ckpt")
    assert f"Weights are in {tmp_path / 'best.safetensors'} and {tmp_path / 'last.safetensors'}." in message
    assert str(tmp_path / "best.safetensors") in refused(tmp_path)
    assert "is a folder" in refused(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.pt", b"junk\n", "is not a weights file of any kind (it begins with 'junk')"),
        ("x.safetensors", b"junk\n", "is not a weights file of any kind (it begins with 'junk')"),
        ("x.safetensors", bytes(range(200, 250)), "is not a weights file of any kind (unknown bytes)"),
        ("x.safetensors", b"", "is empty"),
        ("x.pt", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("x.pt", b"\n<!DOCTYPE html><html>Not found</html>", "is a web page"),
        ("x.onnx", b"\x08\x07\x12\x07pytorch", "is an ONNX export"),
        ("x.h5", b"\x89HDF\r\n\x1a\n", "is a Keras file"),
        ("data.yaml", b"train: images\n", "is a YAML file"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert words in refused(tmp_path / name)


def test_missing_files_name_what_is_there(tmp_path: Path) -> None:
    assert "there is no such weights file. Give a .safetensors file" in refused(tmp_path / "none" / "w.safetensors")
    (tmp_path / "best.safetensors").touch()
    assert f"Weights are in {tmp_path / 'best.safetensors'}." in refused(tmp_path / "bset.safetensors")
    (tmp_path / "link.safetensors").symlink_to("gone.safetensors")
    assert "is a link to gone.safetensors, which does not exist" in refused(tmp_path / "link.safetensors")


def test_weights_cut_off_of_others_or_with_broken_metadata_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model = build_model("yolov8n", ("a",), width=0.125)
    save_weights(model, path)
    whole = path.read_bytes()
    for kept in (len(whole) // 2, len(whole) - 1, 100):
        path.write_bytes(whole[:kept])
        assert "is damaged or cut off" in refused(path)
    save_file({"a": torch.ones(2)}, path)
    assert "has no Lehr metadata" in refused(path)
    for broken in ({}, {"model": "yolov8n", "names": "[", "imgsz": "96"}, {"model": "yolov8n", "names": '["a"]'}):
        save_file({"a": torch.ones(2)}, path, {"format": "lehr-1", **broken})
        assert "metadata are damaged" in refused(path)


def test_weights_of_lehr_are_read_whatever_their_ending(tmp_path: Path) -> None:
    save_weights(build_model("yolov8n", ("a",), width=0.125), tmp_path / "w.pt")
    assert load_model(tmp_path / "w.pt").names == ("a",)
