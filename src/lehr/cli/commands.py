"""All commands, by what one does with them; named here without being imported, so that `lehr --help` is quick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command in an overview.

    Attributes:
        name: as it is typed.
        summary: what it does, in a short line.
        target: its function, as module:name, imported only when it is called; empty for one that has commands itself.
    """

    name: str
    summary: str
    target: str = ""


Commands = Mapping[str, Sequence[Command]]
"""Commands by the heading that they are shown under."""
OVERVIEW = """Trains, evaluates and explains YOLO object detectors.

lehr train data.yaml --weights yolov8n.pt --epochs 100
lehr val data.yaml --weights runs/train
lehr predict photos/ --weights runs/train"""

COMMANDS: Commands = {
    "Train": (
        Command("train", "Train a detector, or resume a run.", "lehr.cli.train:train"),
        Command("schedule", "Show the learning rates of a run before it is trained.", "lehr.cli.schedule:schedule"),
        Command("anchors", "Show how well anchors fit a data set, and find better ones.", "lehr.cli.anchors:anchors"),
    ),
    "Evaluate and predict": (
        Command("val", "Evaluate weights on a data set.", "lehr.cli.val:val"),
        Command("predict", "Find objects in images, videos, cameras and streams.", "lehr.cli.predict:predict"),
    ),
    "Weights": (
        Command("export", "Export weights to ONNX, OpenVINO, Core ML and others.", "lehr.cli.export:export"),
        Command("import", "Convert a checkpoint of YOLOv5, YOLOv8 or YOLOv3-SPP.", "lehr.cli.import_:import_"),
    ),
    "Data": (Command("data", "Check, audit, describe, split and convert data sets."),),
    "Understand a run": (
        Command("report", "Write the page of a run, or a comparison of several.", "lehr.cli.report:report"),
        Command("diff", "Say how two runs differ, and at which step they diverge.", "lehr.cli.diff:diff"),
        Command("replay", "Rebuild the batch of any step of a run.", "lehr.cli.replay:replay"),
    ),
    "Search": (
        Command("evolve", "Search for better hyperparameters.", "lehr.cli.evolve:evolve"),
        Command("ablate", "Measure which techniques help on your data.", "lehr.cli.ablate:ablate"),
    ),
    "This machine": (
        Command("doctor", "Test what this machine can do and what is missing.", "lehr.cli.doctor:doctor"),
    ),
}
"""All commands of `lehr`, by purpose."""

DATA_OVERVIEW = """Checks, audits, describes, splits and converts data sets.

lehr data check data.yaml
lehr data audit data.yaml --out audit/
lehr data convert voc/ --to yolo --out yolo/"""
DATA_COMMANDS: Commands = {
    "Look": (
        Command("check", "Report every fault, with file and line.", "lehr.cli.data:check"),
        Command("audit", "Find leaks, copies, tiny objects and label errors.", "lehr.cli.data_audit:audit"),
        Command("stats", "Describe the splits: images, objects and sizes.", "lehr.cli.data:stats"),
    ),
    "Write": (
        Command("split", "Split all images again, stratified by class.", "lehr.cli.data:split"),
        Command("convert", "Write a data set in another layout.", "lehr.cli.data:convert"),
    ),
}
"""All commands of `lehr data`."""
OVERVIEWS: Mapping[str, Commands] = {"": COMMANDS, "data": DATA_COMMANDS}
"""The commands of the program, and of each command that has commands itself."""
