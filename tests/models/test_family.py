"""A family is one value: options, gains, losses and names are read from it, and other packages can add one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.models.test_models import TOTALS
from tests.without_effect import said_of
from torch import Tensor, nn

from lehr.config import build_config
from lehr.errors import InputError
from lehr.losses.anchor_based import AnchorBasedLoss, scaled_gains
from lehr.losses.build import build_loss
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.models import family as families
from lehr.models.blocks import Conv
from lehr.models.build import anchor_head, build_model
from lehr.models.detection import DetectionModel
from lehr.models.dfl_head import DFLHead, DFLPrediction
from lehr.models.family import FAMILIES, YOLOV3, YOLOV5, YOLOV8, Family, find_family, model_names, register_family
from lehr.models.scale import Scale
from lehr.options import LossOptions
from lehr.plugins import PluginTable
from lehr.preview import preview
from lehr.search.space import build_space
from lehr.weights.load import load_model
from lehr.weights.write import save_weights


class Small(DetectionModel):
    """Three levels, each of one convolution."""

    def __init__(self, variant: str, names: tuple[str, ...], imgsz: int, scale: Scale) -> None:
        super().__init__(variant, names, imgsz, scale)
        c = scale.channels(32)
        stem = nn.Sequential(Conv(3, c, 3, 2), Conv(c, c, 3, 2), Conv(c, c, 3, 2))
        self.model = nn.ModuleList([stem, Conv(c, c, 3, 2), Conv(c, c, 3, 2), DFLHead(len(names), (c, c, c))])

    def forward(self, images: Tensor) -> DFLPrediction:
        levels = [self.model[0](images)]
        levels += [self.model[1](levels[-1])]
        levels += [self.model[2](levels[-1])]
        prediction: DFLPrediction = self.model[3](levels)
        return prediction


SMALL = Family(
    "small",
    scales={"-a": Scale(1.0, 0.5), "-b": Scale(1.0, 1.0)},
    build=Small,
    gains={"box": 2.0, "cls": 0.25},
    on_shapes={"epochs": 5},
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers a family for the time of a test."""
    monkeypatch.setattr(families, "FAMILIES", PluginTable("none", Family, FAMILIES.known()))
    register_family(SMALL)


def test_the_models_of_all_families_are_named() -> None:
    assert {name for family in (YOLOV8, YOLOV5, YOLOV3) for name in family.models} == set(TOTALS) <= set(model_names())
    assert [find_family(name) for name in ("yolov8x", "yolov5n", "yolov3-spp")] == [YOLOV8, YOLOV5, YOLOV3]


@pytest.mark.parametrize("name", ["yolov8", "yolov8nn", "yolov9n", "v8n", "", "yolov3"])
def test_what_is_no_model_is_refused_before_anything_is_built(name: str) -> None:
    with pytest.raises(InputError, match=f"--model: there is no model '{name}'"):
        find_family(name)
    if name:
        with pytest.raises(InputError, match=r"there is no model .*(Did you mean yolov|Known: )"):
            build_config({"model": name})


def test_families_are_known_without_loading_torch() -> None:
    code = (
        "import sys\nfrom lehr.config import build_config\nfrom lehr.models.family import model_names\n"
        "assert build_config({'model': 'yolov5n'}).family.anchors and model_names()\n"
        "assert not {'torch', 'numpy', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
def test_a_family_has_anchors_as_its_head_does_and_the_gains_of_its_loss(name: str) -> None:
    model = build_model(name, ("a", "b"), width=0.125)
    loss, family = build_loss(model, LossOptions(), 640), find_family(name)
    assert family.anchors == (anchor_head(model) is not None)
    default = AnchorBasedLoss() if family.anchors else TaskAlignedLoss()
    assert isinstance(loss, type(default)) and family.gains == {"box": default.box, "cls": default.cls}
    scaled = scaled_gains(0.05, 1.0, 0.5, classes=2, imgsz=640) if family.anchors else (7.5, 1.5, 0.5)
    assert (loss.box, loss.obj if isinstance(loss, AnchorBasedLoss) else loss.dfl, loss.cls) == scaled
    given = build_loss(model, LossOptions(box=3.0, cls=0.0), 640)
    assert (given.box, given.cls) == (3.0, 0.0)


def test_a_registered_family_is_built_and_taught_by_what_its_head_names(small: None) -> None:
    model = build_model("small-b", ("x", "y"), seed=3)
    assert isinstance(model, Small) and model.scale == Scale(1.0, 1.0)
    assert sum(p.numel() for p in build_model("small-a", ("x",)).parameters()) < sum(
        p.numel() for p in model.parameters()
    )
    loss = build_loss(model, LossOptions(), 64)
    assert isinstance(loss, TaskAlignedLoss) and (loss.box, loss.cls) == (2.0, 0.25)
    boxes, classes = torch.tensor([[[4.0, 4.0, 40.0, 40.0]]]), torch.zeros(1, 1, dtype=torch.long)
    parts = loss(model(torch.rand(1, 3, 64, 64)), boxes, classes)
    assert parts.shape == (3,) and bool((parts > 0).all())


def test_a_head_of_another_package_may_name_its_loss_by_the_class_itself(small: None) -> None:
    class OwnLoss(TaskAlignedLoss):
        """Its own in nothing but the name."""

    model = build_model("small-a", ("x",))
    model.head.__class__ = type("OwnHead", (DFLHead,), {"loss": OwnLoss})
    assert type(build_loss(model, LossOptions(box=1.0), 64)) is OwnLoss


def test_a_registered_family_brings_its_defaults_options_and_bounds(small: None) -> None:
    assert build_config({"model": "small-a"}).epochs == 5 and build_config({"model": "small-a"}).imgsz == 128
    assert build_config({"model": "small-a", "data": "x"}).epochs == 100
    (note,) = said_of(model="small-a", dfl=3, epochs=20)
    assert note == "--dfl 3 has no effect: the loss of small-a does not have it."
    (note,) = said_of(model="small-a", anchors=4, epochs=20)
    assert note == "--anchors 4 has no effect: small-a has no anchors."
    space = build_space(preview(build_config({"model": "small-a", "data": "x"}), images=640, classes=3))
    assert (space.parameters["box"].low, space.parameters["box"].high, space.start["box"]) == (0.8, 8.0, 2.0)
    assert not {"dfl", "obj", "anchor_t"} & set(space.parameters)


def test_weights_of_a_registered_family_are_refused_by_name_where_it_is_missing(
    small: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save_weights(build_model("small-a", ("x",)), tmp_path / "w.safetensors")
    assert isinstance(load_model(tmp_path / "w.safetensors"), Small)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"w\.safetensors: is of the model 'small-a'.*Install the package"):
        load_model(tmp_path / "w.safetensors")
