"""Tables of `docs/performance.md` on launches, bytes and memory of a training step, before and now, and a limit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fake_cuda.counting import Stage
from benchmarks.fake_cuda.stages import Case, count_step

MODELS, BATCHES = ("yolov8n", "yolov5s", "yolov3-spp"), (64, 16)
ROWS = ("drawing", "forward", "loss", "backward", "rest")
"""Stages of the table; `rest` is clipping, optimizer, average and bookkeeping."""
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks.fake_cuda -->\n", "<!-- end -->\n"
"""Markers around the tables on the page."""
MEASURED = {"yolov8n": 3006, "yolov5s": 2125}
"""Images per second of the step alone on an H100, batch 64: the rows of that page measured on a GPU."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Launches, bytes in GB, and peak of the live memory in GiB of a stage."""

    launches: int
    gigabytes: float
    gibibytes: float


@dataclass(frozen=True, slots=True)
class Gpu:
    """Data sheet of a GPU.

    Attributes:
        name: name of the GPU.
        bandwidth: bandwidth of its memory, bytes per second.
        flops: dense bfloat16 FLOPs per second.
    """

    name: str
    bandwidth: float
    flops: float

    def limit(self, stages: Iterable[Stage]) -> float:
        """Lower bound of a step's seconds: per launch, the larger of bytes over bandwidth and FLOPs over peak."""
        work = (each for stage in stages for each in stage.work)
        return sum(max(size / self.bandwidth, flops / self.flops) for size, flops in work)


H100, H200 = Gpu("H100", 3.35e12, 989e12), Gpu("H200", 4.8e12, 989e12)


def counted(model: str, batch: int, *, kernels: bool = True) -> dict[str, Stage]:
    """Count a step at 640 pixels with 100 objects per image in bfloat16, by stages of the table."""
    stages = count_step(Case(model, batch=batch), kernels=kernels)
    rest = Stage()
    for name in ("optimizer", "EMA", "rest"):
        rest.join(stages.pop(name))
    return {**stages, "rest": rest}


def numbers(stages: Mapping[str, Stage]) -> dict[str, Numbers]:
    """Return the numbers of each stage."""
    return {name: Numbers(each.launches, each.bytes / 1e9, each.peak / 2**30) for name, each in stages.items()}


def before() -> dict[str, dict[str, Numbers]]:
    """Read the counts of the first version that was examined, by model and batch."""
    text = (Path(__file__).parent / "before.json").read_text()
    return {
        case: {stage: Numbers(**each) for stage, each in stages.items()} for case, stages in json.loads(text).items()
    }


def with_sum(stages: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """Return the stages of a step and their sum, whose memory is that of the largest stage."""
    each = list(stages.values())
    whole = Numbers(
        sum(stage.launches for stage in each),
        sum(stage.gigabytes for stage in each),
        max(stage.gibibytes for stage in each),
    )
    return {**{name: stages[name] for name in ROWS}, "sum": whole}


def stage_table(steps: Mapping[tuple[str, int], Mapping[str, Stage]]) -> str:
    """Return the table of launches, bytes and memory of each stage, before and now."""
    lines = [
        "| model, batch | stage | launches | before | GB | before | GiB | before |",
        "|---|---|---|---|---|---|---|---|",
    ]
    then = before()
    for (model, batch), stages in steps.items():
        old = with_sum(then[f"{model} {batch}"])
        for name, now in with_sum(numbers(stages)).items():
            was, case = old[name], f"{model}, {batch}" if name == ROWS[0] else ""
            sizes = (now.gigabytes, was.gigabytes, now.gibibytes, was.gibibytes)
            cells = (case, name, f"{now.launches:,}", f"{was.launches:,}", *map(_size, sizes))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _size(value: float) -> str:
    return f"{value:.2f}" if value < 1 else f"{value:.1f}"


def factors(steps: Mapping[tuple[str, int], Mapping[str, Stage]]) -> dict[str, float]:
    """Times of the steps that were measured on an H100, as multiples of their limits, by model."""
    return {model: 64 / rate / H100.limit(_without_drawing(steps[model, 64])) for model, rate in MEASURED.items()}


def estimate_table(steps: Mapping[tuple[str, int], Mapping[str, Stage]]) -> str:
    """Return the table of the limit of each step without drawing, and of its estimated time."""
    lines = [
        "| model, batch | H100: limit, ms | estimate, ms | images/s | H200: limit, ms | estimate, ms | images/s |",
        "|---|---|---|---|---|---|---|",
    ]
    low, high = sorted(factors(steps).values())
    for (model, batch), stages in steps.items():
        cells = []
        for gpu in (H100, H200):
            limit = gpu.limit(_without_drawing(stages))
            fast, slow = limit * low, limit * high
            cells += [
                f"{limit * 1e3:.1f}",
                f"{fast * 1e3:.1f} to {slow * 1e3:.1f}",
                f"{_rounded(batch / slow):,} to {_rounded(batch / fast):,}",
            ]
        lines.append(f"| {model}, {batch} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rounded(rate: float) -> int:
    return round(rate / 50) * 50


def _without_drawing(stages: Mapping[str, Stage]) -> list[Stage]:
    return [stage for name, stage in stages.items() if name != "drawing"]


def write() -> None:
    """Write the tables into the page.

    Raises:
        ValueError: the page lacks the markers.
    """
    steps = {(model, batch): counted(model, batch) for model in MODELS for batch in BATCHES}
    how = ", ".join(f"{factor:.2f} for {model}" for model, factor in factors(steps).items())
    text = (
        f"{stage_table(steps)}\n\n"
        f"Estimates, not measurements: the limit times the ratio of the measured time to the limit ({how}).\n\n"
        f"{estimate_table(steps)}\n"
    )
    page = PAGE.read_text()
    first, last = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(page[:first] + text + page[last:])
