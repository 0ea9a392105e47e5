"""Keywords of other libraries' detectors: what each is called here, or what to do instead."""

from __future__ import annotations

PREDICT = {
    "agnostic_nms": "use `agnostic`",
    "augment": "use `tta`",
    "confidence": "use `conf`",
    "device": "choose it with Detector(weights, device=...), or move the detector with detector.to(...)",
    "embed": "take features with a hook on a layer of detector.model",
    "fp16": "use `half`",
    "hide_conf": "draw without scores: result.plot(conf=False)",
    "hide_labels": "draw without names: result.plot(labels=False)",
    "name": "nothing is written; save a result with result.save(path)",
    "project": "nothing is written; save a result with result.save(path)",
    "save": "save each result with result.save(path)",
    "save_conf": "run `lehr predict --save-labels --save-conf`",
    "save_crop": "run `lehr predict --save-crops`",
    "save_txt": "run `lehr predict --save-labels`",
    "show": "show each result with result.show()",
    "show_conf": "draw without scores: result.plot(conf=False)",
    "show_labels": "draw without names: result.plot(labels=False)",
    "size": "use `imgsz`",
    "stream": "Detector.stream yields the results one by one",
    "threshold": "use `conf`",
    "track": "run `lehr predict --track`",
    "tracker": "run `lehr predict --track`",
    "verbose": "nothing is printed; print(result.summary()) does",
    "vid_stride": "every frame of a video is used",
}
VAL = {
    "augment": "use `tta`",
    "device": PREDICT["device"],
    "plots": "run `lehr val --analyze`, which writes a page with plots",
    "project": "nothing is written; see the `metrics` of the result",
    "rect": "the smallest rectangle is the default; `square` letterboxes to squares",
    "save_json": "the result has as_dict() and `detections`",
    "verbose": "nothing is printed; print(result) does",
}
EXPORT = {
    "device": "exports are made on the CPU",
    "file": "use `out`",
    "fp16": "use `half`",
    "keras": "Lehr writes onnx, openvino, torch, executorch and coreml",
    "path": "use `out`",
    "quantize": "use `int8`",
    "simplify": "exports are always simplified",
    "workspace": "compile the ONNX export with TensorRT's own tools",
}
LOAD = {
    "nc": "the number of classes is that of the data set",
    "pretrained": "give the weights themselves: Detector('yolov8n.pt')",
    "task": "Lehr detects boxes only",
    "verbose": "nothing is printed",
    "weights": "give the weights first: Detector('best.safetensors')",
}
BY_METHOD = {"__init__": LOAD, "export": EXPORT, "predict": PREDICT, "stream": PREDICT, "val": VAL, "__call__": PREDICT}
"""Keywords by method."""
OF_DETECTOR = {
    "add_callback_": "use `add_callback`",
    "benchmark": "run `lehr val`, which measures the time per image",
    "ckpt_path": "use `weights`",
    "fuse": "prediction and evaluation fuse a copy themselves",
    "info": "print the detector, or run `lehr models`",
    "overrides": "options are given to each method",
    "predictor": "use `predict`",
    "save": "weights are saved by `train`; `detector.weights` names their file",
    "track": "run `lehr predict --track`",
    "trainer": "`train` returns its result; callbacks see the run",
    "tune": "run `lehr evolve`",
}
"""Attributes of other libraries' detectors."""
