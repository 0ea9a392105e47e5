"""Names of options in YOLOv5 and YOLOv8: Lehr's name of each, or what to do if there is none."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

RENAMED = {
    "agnostic_nms": "agnostic",
    "artifact_alias": "loggers",
    "augmentations": "augmentation",
    "batch_size": "batch",
    "bbox_interval": "loggers",
    "cfg": "model",
    "conf_thres": "conf",
    "entity": "loggers",
    "img": "imgsz",
    "img_size": "imgsz",
    "iou_thres": "iou",
    "model": "weights",
    "include": "format",
    "nbs": "nominal_batch",
    "noautoanchor": "autoanchor",
    "nosave": "no_save",
    "pretrained": "weights",
    "save_crop": "save_crops",
    "save_csv": "csv",
    "save_json": "json",
    "save_txt": "save_labels",
    "task": "split",
    "upload_dataset": "loggers",
}
"""Other trainers' names, with underscores, and Lehr's for the same."""
ABSENT = {
    "agnostic_nms": "suppression is by class",
    "augment": "there is no test-time augmentation",
    "auto_augment": "it is for classification; --augmentation adds one of a package or your own",
    "bgr": "images are RGB everywhere; --augmentation adds your own",
    "bucket": "copy the run's folder",
    "classes": "every class of the weights is found; filter the JSON, or the detections in Python",
    "copy_paste_mode": "objects are pasted from another image",
    "data": "class names are in the weights",
    "dnn": "weights run in PyTorch alone",
    "dropout": "it is for classification",
    "dynamic": "it is an option of lehr export",
    "embed": "take features by a hook on a layer of Detector.model",
    "evolve": "that is a command: lehr evolve --trials N",
    "evolve_population": "the same lehr evolve command goes on with its study",
    "exist_ok": "a run is never overwritten; choose another --name, or go on with --resume",
    "format": "it is an option of lehr export",
    "fraction": "name a list of images (.txt) as `train` in the data YAML",
    "half": "training has --amp; evaluation is in float32",
    "hide_conf": "the JSON has every score; draw your own with Detections.to_supervision",
    "hide_labels": "the JSON has every label; draw your own with Detections.to_supervision",
    "include": "it is --format of lehr export",
    "inplace": "exports decode boxes in one way",
    "int8": "it is an option of lehr export",
    "keras": "lehr export writes ONNX, OpenVINO, torch programs, ExecuTorch and Core ML",
    "kobj": "it is for poses",
    "line_thickness": "draw your own with Detections.to_supervision",
    "line_width": "draw your own with Detections.to_supervision",
    "local_rank": "torchrun says it itself",
    "mask_ratio": "it is for segmentation",
    "mlmodel": "lehr export writes Core ML as an .mlpackage",
    "mode": "the command says it, and Lehr finds boxes alone",
    "name": "no folder is made; --json writes the figures",
    "ndjson_console": "every run writes events.jsonl, a line a step",
    "ndjson_file": "every run writes events.jsonl, a line a step",
    "nms": "it is an option of lehr export",
    "noplots": "training draws no plots",
    "nosave": "checkpoints are always kept",
    "noval": "every epoch is validated, by which the best is known",
    "opset": "it is an option of lehr export",
    "optimize": "for phones, lehr export writes ExecuTorch and Core ML",
    "overlap_mask": "it is for segmentation",
    "per_tensor": "int8 is NNCF's, by channel",
    "plots": "training draws no plots; results.csv has the numbers",
    "pose": "it is for poses",
    "project": "no folder is made; --json writes the figures",
    "quad": "use --imgsz, --batch and --nominal-batch",
    "rect": "images keep their shape unless --square is given",
    "resume_evolve": "the same lehr evolve command goes on with its study",
    "retina_masks": "it is for segmentation",
    "save": "checkpoints are always kept",
    "save_conf": "--json has the score of each detection",
    "save_dir": "a run's folder is --project and --name",
    "save_format": "--json has boxes in pixels",
    "save_frames": "a video gives an annotated video",
    "save_hybrid": "labels are not mixed with detections",
    "save_period": "best and last weights are kept; --callback can keep others",
    "save_txt": "lehr predict --save-labels writes the detections",
    "saved_model": "lehr export writes ONNX, OpenVINO, torch programs, ExecuTorch and Core ML",
    "show": "look at the annotated copies",
    "show_boxes": "draw your own with Detections.to_supervision",
    "show_conf": "draw your own with Detections.to_supervision",
    "show_labels": "draw your own with Detections.to_supervision",
    "simplify": "exports are simplified in any case",
    "source": "images are named without an option: lehr predict photo.jpg --weights FILE",
    "stream": "in Python, Detector.stream",
    "stream_buffer": "a stream that is faster than the detector loses its oldest frames, a file none",
    "task": "the command says it, and Lehr finds boxes alone",
    "time": "there is no limit by time; --epochs, --patience, or stop and --resume it",
    "topk_all": "lehr export writes ONNX, OpenVINO, torch programs, ExecuTorch and Core ML",
    "topk_per_class": "lehr export writes ONNX, OpenVINO, torch programs, ExecuTorch and Core ML",
    "tracker": "--track follows objects by ByteTrack",
    "update": "pip does that",
    "val": "every epoch is validated, by which the best is known",
    "verbose": "output is verbose unless --quiet is given",
    "vid_stride": "every frame of a video is looked at",
    "view_img": "look at the annotated copies",
    "visualize": "take features by a hook on a layer of Detector.model",
    "workspace": "it is for TensorRT, which compiles the ONNX export by its own tools",
}
"""Other trainers' options that have no equal, and why not or what to do instead."""
COMMANDS = {
    "benchmark": "`lehr doctor` tries what this machine can do, and `lehr val` says how long an image takes.",
    "detect": "There are `lehr train`, `lehr val` and `lehr predict`; Lehr detects, so that it need not be said.",
    "test": "`lehr val --split test` does that.",
    "track": "`lehr predict --track` does that.",
    "tune": "`lehr evolve` does that.",
}
"""Commands of other trainers, and what does the same."""
PAGE = "docs/moving-over.md"


def describe_other_command(words: Sequence[str]) -> str | None:
    """Say how a command of another trainer is written here; None for words that are none of theirs.

    Args:
        words: that were not understood, e.g. a command's name, or options as name=value.

    Examples:
        >>> describe_other_command(["data=x.yaml", "batch=8"])
        'Options are written --data x.yaml --batch 8 (docs/moving-over.md).'
    """
    if words and all(re.fullmatch(r"[a-z][a-z0-9_]*=[^=]*", word) for word in words):
        return f"Options are written {' '.join(map(_as_option, words))} ({PAGE})."
    return f"{COMMANDS[words[0]]} See {PAGE}." if words and words[0] in COMMANDS else None


def _as_option(word: str) -> str:
    """Write name=value as an option; a model's file is weights."""
    name, value = word.split("=")
    if name != "model" or value.endswith((".pt", ".pth", ".onnx")):
        name = RENAMED.get(name, name)
    return f"--{name.replace('_', '-')} {value}"


def describe_other_name(name: str, known: Collection[str]) -> str | None:
    """Say what an option of another trainer is called, or why it is not there; None for a name that is none of theirs.

    Args:
        name: as it was given, with or without leading hyphens.
        known: Lehr's names in this place, with underscores.

    Examples:
        >>> describe_other_name("--batch-size", {"batch"})
        'It is --batch here (docs/moving-over.md).'
    """
    plain = name.lstrip("-").split("=")[0].replace("-", "_")
    renamed = RENAMED.get(plain)
    if renamed is not None and renamed in known:
        return f"It is --{renamed.replace('_', '-')} here ({PAGE})."
    reason = ABSENT.get(plain)
    return f"It is none of Lehr's: {reason} ({PAGE})." if reason else None
