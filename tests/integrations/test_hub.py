"""Weights go to the Hub and come back, with a card; of what strangers lay there, safetensors alone are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tests.commands import lehr
from tests.integrations.hub_stand_in import TOKEN, StandIn, hub_stand_in

from lehr.detector import Detector
from lehr.errors import InputError, LehrError
from lehr.integrations import packages
from lehr.integrations.hub import HubFile, fetch_weights, parse_hub_name
from lehr.models.build import build_model
from lehr.weights.write import save_weights

huggingface_hub = pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
WRONG = "hf_wrong"
NAME = "glass/furnace"
METRICS = {"map": 0.5, "map50": 0.7512345, "precision": None, "recall": 0.8, "f1": 0.75, "images": 4, "instances": 9}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A Hub of the test's own, an empty cache, and a token for it."""
    with hub_stand_in() as stand_in:
        monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # plain HTTP
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield stand_in


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a tiny model with awkward class names, as a run leaves them."""
    torch.manual_seed(0)
    model = build_model("yolov8n", ("red | hot", "**cold**"), 64, width=0.125)
    save_weights(model, tmp_path / "best.safetensors", {"epoch": 3, "metrics": METRICS})
    return tmp_path / "best.safetensors"


def test_what_is_pushed_is_loaded_and_finds_the_same(hub: StandIn, weights: Path, tmp_path: Path) -> None:
    detector = Detector.load(weights, device="cpu")
    url = detector.push_to_hub(NAME, license="apache-2.0", data="Glass of one furnace.", datasets=["glass/photos"])
    assert url == f"{hub.url}/{NAME}/commit/{hub.commit_of(NAME)}"
    assert set(hub.files[NAME]) == {"model.safetensors", "config.json", "README.md"} and hub.private[NAME]

    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    expected = detector.predict(image, conf=0.001)[0]
    assert len(expected)
    for loaded in (Detector.from_pretrained(NAME, device="cpu"), Detector(f"hf://{NAME}", device="cpu")):
        found = loaded.predict(image, conf=0.001)[0]
        assert list(found) == list(expected) and loaded.names == detector.names

    lehr("predict", "--weights", f"hf://{NAME}", "--device", "cpu", "x.png", cwd=tmp_path, code=2)  # no such image
    before = len(hub.asked)
    commit = hub.commit_of(NAME)
    assert fetch_weights(f"hf://{NAME}@{commit}").parent.name == commit and len(hub.asked) == before  # from the cache


def test_the_card_has_metrics_data_licence_and_classes(hub: StandIn, weights: Path) -> None:
    given = {"license": "other", "license_name": "Glass Licence", "license_link": "https://example.org/licence"}
    Detector.load(weights, device="cpu").push_to_hub(NAME, **given, data="Glass.", datasets=["glass/photos"])
    _, header, body = hub.files[NAME]["README.md"].decode().split("---\n", 2)
    said = yaml.safe_load(header)
    assert (said["license"], said["license_name"], said["library_name"]) == ("other", "Glass Licence", "lehr")
    assert said["pipeline_tag"] == "object-detection" and said["datasets"] == ["glass/photos"]
    results = said["model-index"][0]["results"][0]["metrics"]
    assert {each["name"]: each["value"] for each in results} == {
        "mAP50-95": 0.5,
        "mAP50": 0.7512,
        "recall": 0.8,
        "F1": 0.75,
    }
    assert "| mAP50 | 0.7512 |" in body and "4 images with 9 objects" in body and "precision |" not in body
    assert r"red \| hot, \*\*cold\*\*." in body and "[Glass Licence](https://example.org/licence)" in body
    assert f'Detector.from_pretrained("{NAME}")' in body and "Glass." in body
    config = json.loads(hub.files[NAME]["config.json"])
    assert config["model"] == "yolov8n" and config["id2label"] == {"0": "red | hot", "1": "**cold**"}


def test_the_card_names_the_licence_that_another_trainer_stated(hub: StandIn, tmp_path: Path) -> None:
    model = build_model("yolov8n", ("a",), 64, width=0.125)
    save_weights(model, tmp_path / "w.safetensors", {"source": {"license": "AGPL-3.0", "trainer": "another"}})
    Detector.load(tmp_path / "w.safetensors", device="cpu").push_to_hub(NAME, license="mit", private=False)
    assert "mit. They were read from another trainer's file, which states: AGPL-3.0." in (
        hub.files[NAME]["README.md"].decode()
    )
    assert not hub.private[NAME]


def test_a_second_push_is_a_commit_more_and_changes_no_visibility(hub: StandIn, weights: Path) -> None:
    detector = Detector.load(weights, device="cpu")
    first = detector.push_to_hub(NAME, license="mit")
    second = detector.push_to_hub(NAME, license="mit", private=False, description="Finds cracks.")
    assert first != second and hub.private[NAME] and "Finds cracks." in hub.files[NAME]["README.md"].decode()


def test_the_mixin_saves_loads_and_predicts(hub: StandIn, weights: Path, tmp_path: Path) -> None:
    from lehr.integrations.hub_model import HubModel

    model = HubModel.from_pretrained(_saved(weights, tmp_path))
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model(images).decode()[1], Detector.load(weights, device="cpu").model(images).decode()[1])
    assert isinstance(model, huggingface_hub.PyTorchModelHubMixin)
    with pytest.raises(TypeError, match="not map_location"):
        HubModel.from_pretrained(NAME, map_location="cpu")


def _saved(weights: Path, folder: Path) -> Path:
    from lehr.integrations.hub_model import HubModel

    HubModel(Detector.load(weights, device="cpu").model).save_pretrained(folder / "saved")
    return folder / "saved"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("hf://a/b", HubFile("a/b")),
        ("hf:/a/b", HubFile("a/b")),
        ("hf://a/b@v1.0", HubFile("a/b", "v1.0")),
        ("hf://a/b@refs/pr/3/sub/x.safetensors", HubFile("a/b", "refs/pr/3", "sub/x.safetensors")),
    ],
)
def test_names_are_parsed_and_written(name: str, file: HubFile) -> None:
    assert parse_hub_name(name) == file and parse_hub_name(str(file)) == file


@pytest.mark.parametrize(
    "name",
    [
        "hf://a",
        "hf://",
        "hf://a/b/model.pt",
        "hf://a/b/../../x.safetensors",
        "hf://a/b@",
        "hf://a/b\n/c",
        "hf://a/b/pytorch_model.bin",
    ],
)
def test_other_names_and_files_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"write hf://owner/name|only .safetensors"):
        parse_hub_name(name)


def test_what_is_missing_private_or_out_of_reach_is_said(
    hub: StandIn, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"hf://glass/none: the Hub has no such repository, or it is private"):
        Detector.from_pretrained("glass/none")
    Detector.load(weights, device="cpu").push_to_hub(NAME, license="mit")
    with pytest.raises(InputError, match=r"no such revision"):
        Detector.from_pretrained(NAME, revision="v9")
    with pytest.raises(InputError, match=r"no such file"):
        Detector(f"hf://{NAME}/other.safetensors")
    with pytest.raises(InputError, match=r"private"):
        Detector.from_pretrained(NAME, token=WRONG)
    with pytest.raises(InputError, match=r"glass/furnace: the Hub"):
        Detector.load(weights, device="cpu").push_to_hub(NAME, license="mit", token=WRONG)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.file_download._ETAG_RETRY_TIMEOUT", 0.1)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with pytest.raises(InputError, match=r"cannot be reached"):
        Detector.from_pretrained(NAME)


@pytest.mark.parametrize("license", ["Apache 2.0", "", "other", "a: b"])
def test_a_licence_is_stated_as_the_hub_writes_it(hub: StandIn, weights: Path, license: str) -> None:
    with pytest.raises(InputError, match="license"):
        Detector.load(weights, device="cpu").push_to_hub(NAME, license=license)
    assert not hub.asked, "nothing is made on the Hub"


def test_files_of_strangers_are_refused_before_they_are_fetched_or_built(hub: StandIn, weights: Path) -> None:
    hub.files[NAME], hub.private[NAME] = {"model.safetensors": b"\x80\x04cos\nsystem\n(S'touch x'\ntR."}, False
    with pytest.raises(InputError, match=r"model.safetensors"):
        Detector.from_pretrained(NAME)
    hub.files[NAME] = {"model.safetensors": weights.read_bytes()[:-8], "config.json": b'{"model": "yolov8x"}'}
    with pytest.raises(InputError, match=r"model.safetensors"):
        Detector.from_pretrained(NAME)
    assert not any("config.json" in each or "pytorch_model" in each for each in hub.asked)
    hub.claimed["model.safetensors"], hub.asked[:] = 5 * 2**30, []
    hub.files[NAME]["model.safetensors"] += b"more"  # another commit, not in the cache
    with pytest.raises(InputError, match=r"5120 MB, more than weights have"):
        Detector.from_pretrained(NAME)
    assert not any(each.startswith("GET") for each in hub.asked)


def test_without_the_package_the_extra_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LehrError, match=r"pip install '\.\[hub\]'"):
        Detector.from_pretrained(NAME)
    with pytest.raises(LehrError, match=r"pip install '\.\[hub\]'"):
        Detector.load(weights, device="cpu").push_to_hub(NAME, license="mit")
