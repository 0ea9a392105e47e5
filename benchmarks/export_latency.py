"""Exports of some weights in every format that runs here: agreement, accuracy, latency and size, as a table.

    taskset -c 0 python -m benchmarks.export_latency --weights best.safetensors --data data.yaml --imgsz 320

Each export is written and certified: it runs on every validation image, and is timed image by image in alternation with
the model in eager PyTorch, with folded BatchNorm. A row that does not pass says so.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from lehr.detector import Detector
from lehr.export.certificate import Certificate, ExportMismatch
from lehr.runtime.cpu_name import cpu_name

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "ONNX Runtime": ("onnx", {}),
    "OpenVINO": ("openvino", {}),
    "torch.export": ("torch", {}),
    "OpenVINO, float16": ("openvino", {"half": True}),
    "OpenVINO, int8": ("openvino", {"int8": True}),
}
SUFFIXES = {"onnx": ".onnx", "openvino": "_openvino", "torch": ".pt2"}
HEAD = """| computed by | boxes, px | scores | alike | mAP50 | mAP50-95 | median ms | 95 % ms | torch | faster | MB |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""


def row(title: str, found: Certificate) -> str:
    """Return a row of the table."""
    agreement, (model, export) = found.agreement, found.latency
    assert agreement.metrics is not None
    numbers = agreement.metrics[1]
    alike = agreement.detections + agreement.found - agreement.unmatched
    return (
        f"| {title}{'' if found.passed else ' (does not pass)'} | {agreement.boxes:.1e} | {agreement.scores:.1e} | "
        f"{alike} of {agreement.detections + agreement.found} | {numbers.map50:.4f} | {numbers.map:.4f} | "
        f"{export.median:.1f} | {export.p95:.1f} | {model.median:.1f} | {model.median / export.median:.2f} | "
        f"{found.bytes[1] / 1e6:.1f} |"
    )


def main() -> None:
    """Write, certify, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--imgsz", type=int, default=None)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    detector = Detector.load(options.weights, device="cpu")
    print(f"{detector.model.variant}, {cpu_name()}, {cores} cores, torch {torch.__version__}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for title, (name, how) in KINDS.items():
            out = Path(folder) / f"{len(rows)}{SUFFIXES[name]}"
            try:
                detector.export(name, out=out, imgsz=options.imgsz, data=options.data, **how)
            except ExportMismatch as error:
                print(error)
            assert detector.certificate is not None and detector.certificate.agreement.metrics is not None
            rows.append(row(title, detector.certificate))
    own = detector.certificate.agreement.metrics[0]
    print(f"Weights: mAP50 {own.map50:.4f}, mAP50-95 {own.map:.4f}; {detector.certificate.images} images")
    print("\n".join([HEAD, *rows]))


if __name__ == "__main__":
    main()
