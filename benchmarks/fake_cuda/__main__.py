"""Launches, bytes and memory of a training step on CUDA, counted without a GPU.

    python -m benchmarks.fake_cuda [--model yolov8n] [--batch 64] [--objects 100] [--kernels off] [--operations]
    python -m benchmarks.fake_cuda --write

Prints them stage by stage; with `--operations`, also the operations of each stage. `--write` rewrites the tables of
docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.fake_cuda.stand_in import MARK, environment, missing


def main() -> None:
    """Restart with the stand-ins, and count there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--kernels", choices=("on", "off"), default="on")
    parser.add_argument("--operations", action="store_true", help="also list the operations of each stage")
    parser.add_argument("--write", action="store_true", help="write the tables of docs/performance.md")
    given = parser.parse_args()
    if MARK not in os.environ:
        why = missing()
        if why is not None:
            sys.exit(f"Nothing can be counted: {why}.")
        with tempfile.TemporaryDirectory(prefix="lehr-fake-cuda-") as folder:
            command = [sys.executable, "-m", "benchmarks.fake_cuda", *sys.argv[1:]]
            sys.exit(subprocess.run(command, env=environment(Path(folder))).returncode)
    if given.write:
        from benchmarks.fake_cuda.table import write

        write()
    else:
        show(given.model, given.batch, given.imgsz, given.objects, given.kernels == "on", given.operations)


def show(model: str, batch: int, imgsz: int, objects: int, kernels: bool, operations: bool) -> None:
    """Print the stages of a step, of two batches of a validation and of a suppression."""
    from benchmarks.fake_cuda.stages import Case, count_step, count_suppression, count_validation

    case = Case(model, batch, imgsz, objects)
    stages = count_step(case, kernels=kernels)
    print(f"{model} at {imgsz}, batch {batch}, {objects} objects per image, bfloat16")
    print(f"{'stage':<12}{'launches':>9}{'GB':>8}{'GFLOP':>9}{'GiB':>7}")
    extra = {"validation": count_validation(case, kernels=kernels)}
    extra["suppression"] = count_suppression(case, kernels=kernels)
    for name, stage in {**stages, **extra}.items():
        numbers = f"{stage.bytes / 1e9:>8.2f}{stage.flops / 1e9:>9.0f}{stage.peak / 2**30:>7.2f}"
        print(f"{name:<12}{stage.launches:>9}{numbers}")
        if operations:
            for operation, count in stage.operations.most_common(16):
                print(f"    {operation:<40}{count:>6}{stage.moved[operation] / 1e9:>8.2f}")
    launches, moved = (sum(getattr(stage, unit) for stage in stages.values()) for unit in ("launches", "bytes"))
    print(f"{'step':<12}{launches:>9}{moved / 1e9:>8.2f}")


if __name__ == "__main__":
    main()
