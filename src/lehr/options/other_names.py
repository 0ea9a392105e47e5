"""Names of options in YOLOv5 and YOLOv8: Lehr's name of each, or what to do if there is none."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

SAME = {
    "agnostic_nms": "agnostic",
    "augment": "tta",
    "batch_size": "batch",
    "cfg": "model",
    "conf_thres": "conf",
    "hyperparameters": "hyp",
    "image_size": "imgsz",
    "img": "imgsz",
    "img_size": "imgsz",
    "include": "format",
    "iou_thres": "iou",
    "learning_rate": "lr0",
    "lr": "lr0",
    "nbs": "nominal_batch",
    "nosave": "no_save",
    "save_crop": "save_crops",
    "save_txt": "save_labels",
    "task": "split",
}
"""Other trainers' names that are understood, with underscores, and Lehr's names of the same options."""
RENAMED = {
    "adam": "optimizer",
    "artifact_alias": "loggers",
    "augmentations": "augmentation",
    "bbox_interval": "loggers",
    "entity": "loggers",
    "model": "weights",
    "noautoanchor": "autoanchor",
    "pretrained": "weights",
    "save_csv": "csv",
    "save_json": "json",
    "upload_dataset": "loggers",
}
"""Other trainers' names whose values are others here, with underscores, and Lehr's names."""
ABSENT = {
    "agnostic_nms": "suppression is by class",
    "auto_augment": "it is for classification; --augmentation adds one of a package or your own",
    "bgr": "images are RGB everywhere; --augmentation adds your own",
    "bucket": "copy the run's folder",
    "classes": "training and evaluation use every class of the data; lehr predict has --classes",
    "copy_paste_mode": "objects are pasted from another image",
    "data": "class names are in the weights",
    "dnn": "weights run in PyTorch",
    "dropout": "it is for classification",
    "dynamic": "it is an option of lehr export",
    "embed": "use a hook on a layer of Detector.model",
    "evolve": "it is a command, lehr evolve --trials N",
    "evolve_population": "the same lehr evolve command resumes its study",
    "exist_ok": "a run is never overwritten; choose another --name, or continue it with --resume",
    "format": "it is an option of lehr export",
    "fraction": "list the images to train on in a text file, and name it as `train` in the data YAML",
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
    "linear_lr": "the learning rate falls linearly by default",
    "local_rank": "torchrun sets it",
    "mask_ratio": "it is for segmentation",
    "mlmodel": "lehr export writes Core ML as an .mlpackage",
    "mode": "the command says it",
    "name": "no folder is made; --json writes the metrics",
    "ndjson_console": "every run writes events.jsonl, one line per step",
    "ndjson_file": "every run writes events.jsonl, one line per step",
    "nms": "it is an option of lehr export",
    "noplots": "--no-report skips the page and its figures",
    "nosave": "checkpoints are always kept",
    "noval": "every epoch is validated, to know the best one",
    "opset": "it is an option of lehr export",
    "optimize": "for phones, lehr export writes ExecuTorch and Core ML",
    "overlap_mask": "it is for segmentation",
    "per_tensor": "int8 is NNCF's, by channel",
    "plots": "report.html has the figures; --no-report skips it",
    "pose": "it is for poses",
    "project": "no folder is made; --json writes the metrics",
    "quad": "use --imgsz, --batch and --nominal-batch",
    "rect": "images keep their shape unless --square is given",
    "resume_evolve": "the same lehr evolve command resumes its study",
    "retina_masks": "it is for segmentation",
    "save": "checkpoints are always kept",
    "save_conf": "--json has the score of each detection",
    "save_dir": "a run's folder is --project and --name",
    "save_format": "--json has boxes in pixels",
    "save_frames": "a video gives an annotated video",
    "save_hybrid": "labels are not mixed with detections",
    "save_period": "best, last and previous weights are kept; --callback can keep more",
    "save_txt": "lehr predict --save-labels writes the detections",
    "saved_model": "lehr export writes ONNX, OpenVINO, torch programs, ExecuTorch and Core ML",
    "show": "look at the annotated copies",
    "show_boxes": "draw your own with Detections.to_supervision",
    "show_conf": "draw your own with Detections.to_supervision",
    "show_labels": "draw your own with Detections.to_supervision",
    "simplify": "exports are always simplified",
    "source": "name the images without an option: lehr predict photo.jpg --weights FILE",
    "stream": "in Python, Detector.stream",
    "stream_buffer": "a stream that is faster than the detector loses its oldest frames; a file loses none",
    "task": "Lehr only detects objects",
    "time": "there is no time limit; use --epochs or --patience, or stop and --resume it",
    "topk_all": "lehr export writes ONNX, OpenVINO, torch programs, ExecuTorch and Core ML",
    "topk_per_class": "lehr export writes ONNX, OpenVINO, torch programs, ExecuTorch and Core ML",
    "tracker": "--track uses ByteTrack",
    "update": "use pip",
    "val": "every epoch is validated, to know the best one",
    "verbose": "output is verbose unless --quiet is given",
    "vid_stride": "every frame of a video is used",
    "view_img": "look at the annotated copies",
    "visualize": "use a hook on a layer of Detector.model",
    "workspace": "it is for TensorRT, which compiles the ONNX export with its own tools",
}
"""Other trainers' options that have no equal, and why not or what to do instead."""
ANYWAY = frozenset({("fraction", "1"), ("fraction", "1.0"), ("plots", "true"), ("save_period", "-1"), ("time", "0")})
"""Other values of absent options that ask for what Lehr does anyway."""
ALWAYS = frozenset({"save", "simplify", "val", "verbose"})
"""Absent options for what Lehr always does: True asks for nothing. False asks for nothing of all others."""
COMMANDS = {
    "benchmark": "`lehr doctor` tests this machine, and `lehr val` measures the time per image.",
    "checks": "`lehr doctor` does that.",
    "detect": "Use `lehr train`, `lehr val` or `lehr predict`.",
    "settings": "There are no settings; options are given with each command, or in a file: --config.",
    "solutions": "`lehr predict` writes JSON and CSV, and Python has the detections.",
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
        'Name the command first, e.g. lehr train data=x.yaml batch=8.'
    """
    if words and all(re.fullmatch(r"[a-z][a-z0-9_]*=[^=]*", word) for word in words):
        return f"Name the command first, e.g. lehr train {' '.join(words)}."
    return f"{COMMANDS[words[0]]} See {PAGE}." if words and words[0] in COMMANDS else None


def asks_for_nothing(name: str, value: str) -> bool:
    """Return whether an absent option of another trainer asks for what Lehr does anyway.

    Args:
        name: with underscores.
        value: in lower case.

    Examples:
        >>> asks_for_nothing("exist_ok", "false"), asks_for_nothing("save", "true"), asks_for_nothing("save", "false")
        (True, True, False)
    """
    if name not in ABSENT:
        return False
    return value in (("true",) if name in ALWAYS else ("false", "none")) or (name, value) in ANYWAY


def describe_other_name(name: str, known: Collection[str]) -> str | None:
    """Say what an option of another trainer is called, or why it is not there; None for a name that is none of theirs.

    It is the end of a sentence that begins with "There is no --name".

    Args:
        name: as it was given, with or without leading hyphens.
        known: Lehr's names in this place, with underscores.

    Examples:
        >>> describe_other_name("--batch-size", {"batch"})
        ' here: it is --batch.'
    """
    plain = name.lstrip("-").split("=")[0].replace("-", "_")
    for names in (SAME, RENAMED):
        if names.get(plain) in known:
            return f" here: it is --{names[plain].replace('_', '-')}."
    reason = ABSENT.get(plain)
    return None if reason is None else f": {reason}."
