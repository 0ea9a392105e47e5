"""The tables of `docs/performance.md` on launches, bytes and memory of a training step, before and now, and a limit."""

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
"""What the tables lie between on the page."""
MEASURED = {"yolov8n": 3006, "yolov5s": 2125}
"""Images a second of the step alone on an H100, batch 64: the rows of that page which a GPU measured."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A stage's launches, bytes in GB, and most memory that is alive in GiB."""

    launches: int
    gigabytes: float
    gibibytes: float


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU by its data sheet.

    Attributes:
        name: of the GPU.
        bandwidth: of its memory, bytes per second.
        flops: dense bfloat16 FLOPs a second.
    """

    name: str
    bandwidth: float
    flops: float

    def limit(self, stages: Iterable[Stage]) -> float:
        """Seconds that no launch can do without: its bytes over the bandwidth, or its FLOPs over the peak."""
        work = (each for stage in stages for each in stage.work)
        return sum(max(size / self.bandwidth, flops / self.flops) for size, flops in work)


H100, H200 = Gpu("H100", 3.35e12, 989e12), Gpu("H200", 4.8e12, 989e12)


def counted(model: str, batch: int, *, kernels: bool = True) -> dict[str, Stage]:
    """Count a step at 640 pixels with 100 objects an image, bfloat16; by the stages of the table."""
    stages = count_step(Case(model, batch=batch), kernels=kernels)
    rest = Stage()
    for name in ("optimizer", "EMA", "rest"):
        rest.join(stages.pop(name))
    return {**stages, "rest": rest}


def numbers(stages: Mapping[str, Stage]) -> dict[str, Numbers]:
    """Numbers of the stages."""
    return {name: Numbers(each.launches, each.bytes / 1e9, each.peak / 2**30) for name, each in stages.items()}


def before() -> dict[str, dict[str, Numbers]]:
    """What was counted of the first state that was examined, by model and batch."""
    text = (Path(__file__).parent / "before.json").read_text()
    return {
        case: {stage: Numbers(**each) for stage, each in stages.items()} for case, stages in json.loads(text).items()
    }


def with_sum(stages: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """The stages of a step and their sum, its memory the largest."""
    each = list(stages.values())
    whole = Numbers(
        sum(stage.launches for stage in each),
        sum(stage.gigabytes for stage in each),
        max(stage.gibibytes for stage in each),
    )
    return {**{name: stages[name] for name in ROWS}, "sum": whole}


def stage_table(steps: Mapping[tuple[str, int], Mapping[str, Stage]]) -> str:
    """Launches, bytes and memory of each stage, before and now."""
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
    """Times of the steps that were measured on an H100, as multiples of their limits."""
    return {model: 64 / rate / H100.limit(_without_drawing(steps[model, 64])) for model, rate in MEASURED.items()}


def estimate_table(steps: Mapping[tuple[str, int], Mapping[str, Stage]]) -> str:
    """The limit of each step without drawing, and what is expected of it."""
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
        ValueError: the page has no place for them.
    """
    steps = {(model, batch): counted(model, batch) for model in MODELS for batch in BATCHES}
    how = ", ".join(f"{factor:.2f} of {model}" for model, factor in factors(steps).items())
    text = (
        f"{stage_table(steps)}\n\n"
        f"Estimates, not measurements: the limit times what the two measured rows took of theirs ({how}).\n\n"
        f"{estimate_table(steps)}\n"
    )
    page = PAGE.read_text()
    first, last = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(page[:first] + text + page[last:])
