"""Draws the screens of docs/reading-the-output.md: a run at 80, 120 and 200 columns, and in a notebook.

Without arguments it draws them from `recorded-screens.json`. `record` first trains that run in a notebook, and writes
its course and what the notebook holds: yolov8n with `--width 0.25` on `shapes` at 64 pixels, some minutes on one
core.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import Page, sync_playwright
from rich.console import Console as RichConsole
from rich.segment import Segment
from rich.text import Text

from lehr.callbacks.callback import Callback
from lehr.callbacks.console import ConsoleCallback
from lehr.callbacks.events import FitEpochEnd, TrainEnd, TrainStart
from lehr.callbacks.run_info import Run
from lehr.config import build_config
from lehr.evaluation.metrics import Metrics
from lehr.runtime.console import Console, duration
from lehr.runtime.progress_bar import ProgressBar

HERE = Path(__file__).parent
RECORDED = HERE / "recorded-screens.json"
OPTIONS = {"imgsz": 64, "epochs": 12, "batch": 16, "width": 0.25, "device": "cpu", "seed": 0}
WIDTHS = (80, 120, 200)
RUNNING = 8
"""Epoch that is half done in the screens of a run."""
THEMES = {
    "light": {"page": "#ffffff", "text": "#1f2328", "strong": "#000000", "green": "#1a7f37", "dim": "#8c959f"},
    "dark": {"page": "#111417", "text": "#d4d8dd", "strong": "#ffffff", "green": "#4ac26b", "dim": "#6e7681"},
}


class Recorder(Callback):
    """Writes what the screens need of a run.

    Args:
        path: a JSON file.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._epochs: list[dict[str, Any]] = []

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Keep an epoch."""
        names = ("epoch", "step", "instances", "images_per_second", "seconds", "remaining", "memory", "best")
        epoch = {name: getattr(event, name) for name in names}
        epoch |= {"losses": dict(event.losses), "rates": dict(event.rates), "metrics": asdict(event.metrics)}
        self._epochs.append(epoch)

    def on_train_end(self, event: TrainEnd) -> None:
        """Write the run."""
        run = {"parts": event.run.parts, "names": event.run.names, "batches": event.run.batches}
        run |= {"train_images": event.run.train_images, "val_images": event.run.val_images}
        end = {"best_epoch": event.best_epoch, "seconds": event.seconds, "metrics": asdict(event.metrics)}
        self._path.write_text(json.dumps({"run": run, "epochs": self._epochs, "end": end}))


def record() -> None:
    """Train the run in a notebook, and write its course and what the notebook holds."""
    import nbformat
    from nbclient import NotebookClient

    options = ", ".join(f"{name}={value!r}" for name, value in OPTIONS.items())
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder) / "course.json"
        source = (
            f"import sys; sys.path.insert(0, {str(HERE)!r})\nfrom screens import Recorder\nfrom lehr import Detector\n"
            f"Detector('yolov8n').train(data='shapes', {options}, callbacks=[Recorder({str(course)!r})]);"
        )
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": folder}}).execute()
        (output,) = notebook.cells[0].outputs
        RECORDED.write_text(
            json.dumps(json.loads(course.read_text()) | {"notebook": output.data["text/html"]}, indent=1) + "\n"
        )


def recorded_run(course: dict[str, Any]) -> Run:
    """The run that was recorded, without its network."""
    network: Any = None
    return Run(
        folder=Path("runs/train"),
        config=build_config({"data": "shapes", **OPTIONS}),
        crowded=False,
        device=torch.device("cpu"),
        rank=0,
        processes=1,
        model=network,
        averaged=network,
        **{name: tuple(value) if isinstance(value, list) else value for name, value in course["run"].items()},
    )


def screen(course: dict[str, Any], width: int, running: bool) -> list[list[Segment]]:
    """The lines of a run on a terminal: while an epoch runs, or at its end."""
    console = RichConsole(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        color_system="standard",
        soft_wrap=True,
        highlight=False,
        record=True,
        force_interactive=False,
    )
    run = recorded_run(course)
    with tempfile.TemporaryDirectory() as folder, Console(Path(folder) / "log", console) as output:
        listener = ConsoleCallback(output)
        console.print(Text(f"$ lehr train {' '.join(f'{name}={value}' for name, value in OPTIONS.items())}"))
        listener.on_train_start(TrainStart(run, 0, 0, False))
        for epoch in course["epochs"][: RUNNING - 1 if running else None]:
            metrics = Metrics.from_dict(epoch["metrics"])
            listener.on_fit_epoch_end(
                FitEpochEnd(run=run, row={"skipped": 0, "replaced": 0}, **epoch | {"metrics": metrics})
            )
        if running:
            console.print(half_done(course["epochs"][RUNNING - 1], run, console).line(width))
        else:
            end, last = course["end"], course["epochs"][-1]
            files = Path("runs/train/best.safetensors"), Path("runs/train/last.safetensors")
            numbers = end["best_epoch"], Metrics.from_dict(end["metrics"])
            listener.on_train_end(
                TrainEnd(run, len(course["epochs"]), last["step"], *numbers, *files, end["seconds"], False)
            )
    return list(Segment.split_lines(console._record_buffer))


def half_done(epoch: dict[str, Any], run: Run, console: RichConsole) -> ProgressBar:
    """The bar of an epoch half way."""
    bar = ProgressBar(console, f"epoch {RUNNING}/{run.config.epochs}", run.batches)
    left = run.batches / 2 * run.config.batch / epoch["images_per_second"]
    losses = [f"{part} {loss:.3f}" for part, loss in epoch["losses"].items()]
    bar.move(run.batches // 2, [f"{duration(left)} left", f"{epoch['images_per_second']:.1f} images/s", *losses])
    return bar


def as_html(lines: list[list[Segment]], theme: str, width: int) -> str:
    """Lines of a terminal as a page."""
    colours = THEMES[theme]

    def style(segment: Segment) -> str:
        if segment.style is None:
            return ""
        green = segment.style.color is not None and segment.style.color.name == "green"
        colour = "green" if green else "dim" if segment.style.dim else "strong" if segment.style.bold else "text"
        return f"color:{colours[colour]};font-weight:{'bold' if segment.style.bold else 'normal'}"

    text = "\n".join(
        "".join(f'<span style="{style(each)}">{escape(each.text)}</span>' for each in line if not each.control)
        for line in lines
    )
    return (
        f'<body style="margin:0;background:{colours["page"]};color:{colours["text"]}"><pre id="shot" style="margin:0;'
        f'padding:12px 14px;width:{width}ch;font:13px/1.45 DejaVu Sans Mono,monospace">{text}</pre>'
    )


def notebook_page(html: str, theme: str) -> str:
    """The output of a cell on the background that notebooks have."""
    colours = THEMES[theme]
    return (
        f'<!doctype html><body style="margin:0;background:{colours["page"]};color:{colours["text"]};'
        'font:13px/1.4 sans-serif">'
        f'<div id="shot" style="padding:14px;width:980px">{html}</div>'
    )


def shoot(page: Page, html: str, name: str) -> None:
    """Write what a page shows as PNG."""
    page.set_content(html)
    page.locator("#shot").screenshot(path=HERE / f"{name}.png")


def main() -> None:
    """Draw all screens; with `record`, train the run first."""
    if "record" in sys.argv[1:]:
        record()
    course = json.loads(RECORDED.read_text())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1800, "height": 1200})
        for theme in THEMES:
            for width in WIDTHS:
                shoot(page, as_html(screen(course, width, running=True), theme, width), f"terminal-{width}-{theme}")
            shoot(page, as_html(screen(course, 80, running=False), theme, 80), f"terminal-end-{theme}")
            shoot(page, notebook_page(course["notebook"], theme), f"notebook-{theme}")
        browser.close()


if __name__ == "__main__":
    main()
