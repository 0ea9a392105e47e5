"""Profile of a run by stage, for users: `--profile`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lehr.config import TrainConfig
from lehr.runtime.counted import counted

STAGES = (
    "input",
    "copy",
    "forward",
    "forward and loss",
    "loss",
    "backward",
    "captured step",
    "optimizer",
    "EMA",
    "validation",
    "checkpoint",
    "waiting",
)
"""In the order of the table. `input` is the wait for the loader on a CPU; on CUDA, the device's wait is `waiting`."""
WORTH_SAYING = 0.1
"""Share of the time above which a stage gets advice."""


class Profile:
    """Measures the stages of a run; on CUDA by events in the device's queue, without synchronizing.

    Args:
        device: where the run computes.
        on: whether to measure; otherwise every call returns immediately.
    """

    def __init__(self, device: torch.device, on: bool) -> None:
        self._device = device
        self._on = on
        self._cuda = device.type == "cuda"
        self.seconds: dict[str, float] = {}
        self.steps = 0
        self._last: Any = None
        self._under_way: deque[tuple[str, Any, Any]] = deque()

    def begin(self) -> None:
        """Start measuring."""
        if self._on:
            self._last = self._now()

    def pause(self) -> None:
        """Stop measuring until `begin`."""
        self._last = None

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Pause measuring."""
        measured = self._last is not None
        self.pause()
        try:
            yield
        finally:
            if measured:
                self.begin()

    def mark(self, stage: str) -> None:
        """Attribute the work queued since the last mark to a stage."""
        if not self._on or self._last is None:
            return
        now = self._now()
        if self._cuda:
            self._under_way.append((stage, self._last, now))
            while self._under_way and self._under_way[0][2].query():
                self._take()
        else:
            self._add(stage, now - self._last)
        self._last = now

    def step_done(self) -> None:
        """Count a training step."""
        self.steps += self._last is not None

    def finish(self) -> None:
        """Wait for pending measurements of the device."""
        while self._under_way:
            self._under_way[0][2].synchronize()
            self._take()

    def table(self) -> str:
        """Stages with their milliseconds per step and their share; the most costly are worth a look."""
        self.finish()
        total = sum(self.seconds.values()) or 1e-9
        lines = [f"{'stage':<17}{'seconds':>9}{'ms per step':>11}{'share':>8}"]
        for stage in STAGES:
            if stage in self.seconds:
                own = self.seconds[stage]
                lines.append(f"{stage:<17}{own:>9.2f}{own / max(self.steps, 1) * 1e3:>11.2f}{own / total:>8.1%}")
        lines.append(f"{'sum':<17}{total:>9.2f}{total / max(self.steps, 1) * 1e3:>11.2f}")
        return "\n".join(lines)

    def report(self, config: TrainConfig, precision: str) -> list[str]:
        """Return the table and the advice, line by line.

        Args:
            config: the run's options.
            precision: in which it computed.
        """
        head = ("", f"Where the time went, over {counted(self.steps, 'step')}:")
        return [*head, *self.table().split("\n"), *self.advice(config, precision)]

    def advice(self, config: TrainConfig, precision: str) -> list[str]:
        """Suggest what to change if a stage takes much of the time.

        Args:
            config: the run's options.
            precision: in which it computed.
        """
        total = sum(self.seconds.values()) or 1e-9
        share = {stage: self.seconds.get(stage, 0.0) / total for stage in STAGES}
        says = []
        waits = share["waiting"] if self._cuda else share["input"]
        if waits > WORTH_SAYING:
            workers = "more --workers" if self._cuda else "--workers 2, where cores are free"
            cache = ", and --cache ram or disk, which decodes each image once" if config.data.cache == "none" else ""
            says.append(f"The device waits for images {waits:.0%} of the time: use {workers}{cache}.")
        if share["validation"] > 2 * WORTH_SAYING:
            says.append(f"Validation takes {share['validation']:.0%}: use fewer images in the validation split.")
        if share["checkpoint"] > WORTH_SAYING:
            says.append(f"Saving takes {share['checkpoint']:.0%}: a larger --checkpoint-minutes saves less often.")
        if share["copy"] > WORTH_SAYING and not self._cuda and config.speed.augment_on == "device":
            says.append(f"Rendering takes {share['copy']:.0%}: --augment-on cpu renders faster here.")
        if self._cuda and precision == "float32" and config.speed.amp == "off":
            says.append("The model computes in float32: --amp auto is faster where its check passes.")
        if self._cuda and config.speed.compile == "off" and self.steps > 1000:
            says.append("--compile default may make forward, loss and backward faster; it costs minutes once.")
        return says or ["No stage dominates: the model itself takes the time. A smaller --imgsz or model is faster."]

    def _now(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _take(self) -> None:
        stage, before, after = self._under_way.popleft()
        self._add(stage, before.elapsed_time(after) / 1e3)

    def _add(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
