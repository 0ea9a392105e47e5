"""Pages of runs, comparisons, evaluations and studies on a desktop and a telephone, light and dark, in a real browser.

Nothing reaches beyond the window, no text beyond its box; in no chart does a text leave the canvas or lie on another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks.report_page import write_run
from tests.chromium import opened
from tests.report.test_study_page import SPACE, some_effects, some_runs, some_trials

from lehr.analysis.record_file import load_record
from lehr.plots.style import DARK, LIGHT
from lehr.report.ablation_page import ablation_page, draw_ablation
from lehr.report.analysis_page import write_analysis
from lehr.report.comparison_page import build_comparison
from lehr.report.evolution_page import draw_evolution, evolution_page
from lehr.report.page import write_page
from lehr.report.run_page import build_page

PAGES = ("run", "comparison", "analysis", "evolution", "ablation")

NOTE_TEXTS = """
(() => {
  const texts = new Map();
  window.canvasTexts = texts;
  const context = CanvasRenderingContext2D.prototype;
  const clear = context.clearRect;
  context.clearRect = function (...area) { texts.set(this.canvas, []); return clear.apply(this, area); };
  const fill = context.fillText;
  context.fillText = function (text, x, y, ...rest) {
    const size = this.measureText(text);
    const box = [x - size.actualBoundingBoxLeft, y - size.actualBoundingBoxAscent,
                 x + size.actualBoundingBoxRight, y + size.actualBoundingBoxDescent];
    const turn = this.getTransform();
    const corners = [[0, 1], [2, 1], [2, 3], [0, 3]].map(([i, j]) => {
      const point = turn.transformPoint(new DOMPoint(box[i], box[j]));
      return [point.x, point.y];
    });
    if (!texts.has(this.canvas)) texts.set(this.canvas, []);
    if (String(text).trim()) texts.get(this.canvas).push({ text, corners });
    return fill.call(this, text, x, y, ...rest);
  };
})();
"""
"""Keeps what each canvas shows: the corners of every text since it was last cleared."""

CHART_FAULTS = """
() => {
  const faults = [];
  const gap = (one, other, [x, y]) => {
    const [a, b] = [one, other].map((corners) => corners.map(([p, q]) => p * x + q * y));
    return Math.max(Math.min(...a) - Math.max(...b), Math.min(...b) - Math.max(...a));
  };
  const sides = (corners) => [1, 3].map((end) => {
    const [x, y] = [corners[end][0] - corners[0][0], corners[end][1] - corners[0][1]];
    const length = Math.hypot(x, y) || 1;
    return [x / length, y / length];
  });
  for (const [canvas, texts] of window.canvasTexts) {
    if (!canvas.isConnected) continue;
    const title = canvas.closest(".chart")?.querySelector("h3")?.textContent;
    for (const { text, corners } of texts) {
      if (corners.some(([x, y]) => x < -1 || y < -1 || x > canvas.width + 1 || y > canvas.height + 1)) {
        faults.push(`${title}: "${text}" leaves the canvas ${canvas.width} x ${canvas.height}: ${corners.join(" ")}`);
      }
    }
    texts.forEach((one, place) => texts.slice(place + 1).forEach((other) => {
      const axes = [...sides(one.corners), ...sides(other.corners)];
      if (axes.every((axis) => gap(one.corners, other.corners, axis) < -1)) {
        faults.push(`${title}: "${one.text}" lies on "${other.text}"`);
      }
    }));
  }
  return faults;
}
"""

PAGE_FAULTS = """
(width) => {
  const faults = [];
  const wide = document.documentElement.scrollWidth;
  if (wide > width) faults.push(`the page is ${wide} wide`);
  const hidden = ".unseen, .skip, dialog, nav, pre, .cards thead, details:not([open]) > :not(summary)";
  const clips = (above) => /auto|scroll|hidden/.test(getComputedStyle(above).overflowX);
  const scrolls = (each) => each.closest(hidden) || [...ancestors(each)].some(clips);
  const ancestors = function* (each) { while ((each = each.parentElement) && each !== document.body) yield each; };
  for (const each of document.querySelectorAll("body *")) {
    const own = [...each.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    const box = each.getBoundingClientRect();
    if (!own || !box.width || scrolls(each)) continue;
    const name = `${each.tagName} "${each.textContent.trim().slice(0, 40)}"`;
    if (box.left < -1 || box.right > width + 1) faults.push(`${name} reaches from ${box.left} to ${box.right}`);
    if (each.clientWidth && each.scrollWidth > each.clientWidth + 1) faults.push(`${name} is wider than its box`);
  }
  return faults;
}
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, classes in (("run", 12), ("one-class", 1)):
        write_run(folder / name, images=8, classes=classes, epochs=3, detections=8)
    made = {"run": build_page(folder / "run", plot_kinds=())[0]}
    both = [folder / "run", folder / "one-class"]
    made["comparison"] = build_comparison(both, folder / "comparison.html", plot_kinds=())[0]
    analysis = folder / "analysis"
    analysis.mkdir()
    record = load_record(folder / "run" / "detections.safetensors")
    write_analysis(record, analysis, "run, val", [("Images", "12")], [], plot_kinds=())
    made["analysis"] = analysis / "report.html"
    importance = {"lr0": 0.75, "mosaic": 0.25}
    figures = draw_evolution(some_trials(), folder / "evolution", importance, SPACE.start)
    evolution = evolution_page("coins", some_trials(), SPACE, epochs=3, importance=importance, figures=figures)
    effects = some_effects()
    ablation = ablation_page(
        "coins", some_runs(), effects, needed=((0.005, 40),), figures=draw_ablation(effects, folder / "ablation")
    )
    for name, page in (("evolution", evolution), ("ablation", ablation)):
        made[name] = folder / f"{name}.html"
        write_page(page, made[name])
    return made


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_and_no_text_lies_on_another(browser: Any, pages: dict[str, Path], name: str) -> None:
    with opened(browser, "about:blank", 1280, calm=False) as found:
        page = found.page
        page.add_init_script(NOTE_TEXTS)
        page.goto(pages[name].absolute().as_uri(), timeout=60_000)
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            assert page.evaluate(PAGE_FAULTS, width) == [], width
            assert page.evaluate(CHART_FAULTS) == [], width
        for scheme, theme in (("dark", DARK), ("light", LIGHT)):
            page.emulate_media(color_scheme=scheme)
            paper = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper').trim()")
            assert paper == theme.paper


def test_a_wide_table_is_cards_on_a_telephone_that_can_be_sorted(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["evolution"], 390, 800) as found:
        page = found.page
        table = page.locator("#trials table")
        rows = table.locator("tbody tr")
        assert rows.first.evaluate("row => getComputedStyle(row).display") == "grid"
        label = rows.first.locator("td").nth(2).evaluate("cell => getComputedStyle(cell, '::before').content")
        assert label == '"fitness"'
        page.locator("#trials .sort select").select_option(label="fitness")
        page.locator("#trials .sort button").click()
        assert rows.first.locator("td").nth(2).inner_text().endswith("0.543")  # the fittest first
        page.set_viewport_size({"width": 1280, "height": 800})
        assert rows.first.evaluate("row => getComputedStyle(row).display") == "table-row"
        assert not page.locator("#trials .sort").is_visible()
