"""Pages in a real browser: everything is drawn, everything can be reached by keyboard, nothing asks the network."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.chromium import opened

from lehr.report.page import Page, write_page
from lehr.report.pieces import (
    Cell,
    Chart,
    Column,
    Gallery,
    Marker,
    Matrix,
    Note,
    Section,
    Series,
    Table,
    Thumbnail,
)

ODD = "<script>alert(1)</script>"
COLOURED = """canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const colour = data.slice(i, i + 3);
    if (data[i + 3] > 100 && Math.max(...colour) - Math.min(...colour) > 40) count++;
  }
  return count;
}"""
"""Pixels of a canvas that are not grey: axes and grids are grey, lines and bars are not."""
CONTRASTS = """() => {
  const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const seen = (colours) => {
    paint.clearRect(0, 0, 1, 1);
    for (const colour of colours) { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); }
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  };
  const light = (c) => 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
  const found = [];
  for (const each of document.querySelectorAll('body *:not(script, style, noscript)')) {
    const says = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!each.checkVisibility() || !says) continue;
    const chain = [];
    for (let up = each; up; up = up.parentElement) chain.unshift(getComputedStyle(up).backgroundColor);
    const back = light(seen(chain)), ink = light(seen([...chain, getComputedStyle(each).color]));
    found.push([(Math.max(back, ink) + 0.05) / (Math.min(back, ink) + 0.05), each.outerHTML.slice(0, 80)]);
  }
  return found;
}"""
"""The contrast of each text to what is behind it, and the element."""


def a_jpeg(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (160, 120), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def a_page(classes: int = 3) -> Page:
    """Return a page with every kind of piece, its names those of an enemy."""
    names = [ODD, *(f"class {number}" for number in range(1, classes))]
    share = [number / 50 for number in range(51)]
    curves = [Series(name, share, [1 - x ** (1 + n) for x in share]) for n, name in enumerate(["all", *names])]
    marks = [Marker(0.25, f"warmup ends {ODD}"), Marker(0.26, "best epoch")]
    charts = [
        Chart("steps", f"Steps {ODD}", "recall", "precision", curves, "Curves.", draw="steps", y_range=(0, 1)),
        Chart("lines", "Lines", "epoch", "loss", [Series("a", [1, 2, 3], [3, None, 1e-3])], "A line.", markers=marks),
        Chart("logarithm", "Logarithm", "epoch", "norm", [Series("a", [1, 2, 3], [0, 10, 1000])], "A.", log_y=True),
        Chart(
            "bars", "Bars", "class", "objects",
            [Series("train", range(classes), range(3, classes + 3)), Series("val", range(classes), [1] * classes)],
            "Bars.", draw="bars", labels=names,
        ),
        Chart("points", "Points", "width", "height", [Series("a", [3, 1, 1, 2], [1, 2, 3, 4])], "P.", draw="points"),
        Chart("alone", "One epoch", "epoch", "AP", [Series("AP", [1], [0.5])], "One value.", y_range=(0, 1)),
    ]  # fmt: skip
    counts = [[row * column for column in range(len(names))] for row in range(len(names))]
    images = [
        Thumbnail(
            a_jpeg(colour), f"An image {ODD}", f"{ODD}{number}.jpg", "two misses", (f"kind: {kind}", f"class: {ODD}")
        )
        for number, (colour, kind) in enumerate([("red", "miss"), ("green", "background"), ("blue", "miss")])
    ]
    rows = [[Cell(text), Cell(text, float(text))] for text in ("2", "10", "1")]
    table = Table("Numbers", [Column("text"), Column("number", True)], rows)
    return Page(
        f"A run {ODD}", "lehr train", [f"All is well {ODD}"], [("Model", ODD)], (),
        [
            Section("curves", "Curves", charts),
            Section("quality", "Quality", [Matrix("confusion", "Found", names, names, counts, "truth", "as"), table]),
            Section("mistakes", "Mistakes", [Gallery("worst", "Worst", images), Note("A note.")]),
        ],
    )  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(a_page(), path)
    return path


def test_every_figure_is_drawn_and_names_are_text(browser: Any, file: Path) -> None:
    with opened(browser, file) as found:
        page = found.page
        canvases = page.query_selector_all(".plot canvas")
        assert len(canvases) == 6 == len(page.query_selector_all(".plot[data-drawn=yes]"))
        assert all(canvas.evaluate(COLOURED) > 20 for canvas in canvases)
        assert page.eval_on_selector_all(".thumbnail img", "all => all.map(each => each.naturalWidth)") == [160] * 3
        assert page.inner_text("h1") == f"A run {ODD}" and ODD in page.inner_text(".answers")
        assert ODD in page.inner_text("#curves .legend") and ODD in page.inner_text(".shaded")
        assert page.query_selector_all("script:not([type])")[0].inner_text().startswith('"use strict"')
        assert page.evaluate("document.scripts.length") == 5  # values of charts; tables, galleries, uPlot, charts


def test_no_script_but_the_page_s_own_runs(browser: Any, file: Path, tmp_path: Path) -> None:
    attack = "<script>document.title = 'run'</script><img src=x onerror='alert(2)'></main>"
    (tmp_path / "enemy.html").write_text(file.read_text().replace("</main>", attack))
    with opened(browser, tmp_path / "enemy.html", calm=False) as found:
        assert found.page.title() != "run"
        refused = [line for line in found.complaints if "Content Security Policy" in line]
        assert len(refused) == len(found.complaints) >= 2


def test_values_are_a_table_too_and_move_by_keyboard(browser: Any, file: Path) -> None:
    with opened(browser, file) as found:
        page = found.page
        plot = page.locator("#curves .chart").nth(1)
        plot.locator(".plot").focus()
        page.keyboard.press("ArrowRight")
        assert plot.locator(".at").inner_text() == "epoch: 1" and plot.locator(".value").inner_text() == "3"
        page.keyboard.press("End")
        assert plot.locator(".at").inner_text() == "epoch: 3" and plot.locator(".value").inner_text() == "0.001"
        assert "epoch: 3. a 0.001" in plot.locator("output").inner_text()
        plot.locator("summary").press("Enter")
        rows = plot.locator("tbody tr").all_inner_texts()
        assert [row.split() for row in rows] == [["1", "3"], ["2", "-"], ["3", "0.001"]]
        assert "0.25: warmup ends" in plot.locator(".values").inner_text()
        button = plot.locator(".legend button").first
        button.press("Enter")
        assert button.get_attribute("aria-pressed") == "false"
        assert plot.locator("canvas").evaluate(COLOURED) == 0


def test_images_enlarge_and_are_filtered_by_keyboard(browser: Any, file: Path) -> None:
    with opened(browser, file) as found:
        page = found.page
        page.select_option("#mistakes select >> nth=0", "kind: miss")
        assert page.inner_text(".shown") == "2 of 3 shown"
        assert page.locator(".thumbnail:visible").count() == 2
        page.locator(".thumbnail:visible").nth(1).press("Enter")
        assert page.is_visible("dialog") and page.inner_text("#large-name") == f"{ODD}2.jpg"
        assert page.eval_on_selector("dialog img", "image => image.naturalWidth") == 160
        page.keyboard.press("ArrowRight")
        assert page.inner_text("#large-name") == f"{ODD}0.jpg"
        page.keyboard.press("Escape")
        assert not page.is_visible("dialog")
        assert page.evaluate("document.activeElement.textContent") == f"{ODD}0.jpg"


def test_tables_are_sorted_by_their_numbers(browser: Any, file: Path) -> None:
    with opened(browser, file) as found:
        head = found.page.locator(".sortable th button").nth(1)
        for order in (["1", "2", "10"], ["10", "2", "1"]):
            head.press("Enter")
            assert found.page.locator(".sortable tbody td:first-child").all_inner_texts() == order


def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser: Any, file: Path) -> None:
    with opened(browser, file) as found:
        page = found.page
        wanted = page.evaluate(
            "[...document.querySelectorAll('a, button, select, summary, input, [tabindex=\"0\"]')]"
            ".filter(each => each.checkVisibility()).length"
        )
        reached = set()
        for _ in range(wanted + 2):
            page.keyboard.press("Tab")
            place, width, is_body = page.evaluate(
                "[[...document.querySelectorAll('*')].indexOf(document.activeElement),"
                " getComputedStyle(document.activeElement).outlineWidth, document.activeElement === document.body]"
            )
            if not is_body:
                reached.add(place)
                assert width != "0px"
        assert len(reached) == wanted > 20


def test_text_is_legible_in_light_and_dark_and_on_a_telephone(browser: Any, file: Path) -> None:
    with opened(browser, file, 360, 740, color_scheme="light", reduced_motion="reduce") as found:
        page = found.page
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
        papers = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            ratios = page.evaluate(CONTRASTS)
            assert len(ratios) > 50
            assert [each for each in ratios if each[0] < 4.5] == [], scheme  # WCAG 2.2, 1.4.3
        assert len(papers) == 2


def test_of_many_classes_most_wait_to_be_chosen(browser: Any, tmp_path: Path) -> None:
    write_page(a_page(30), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as found:
        page = found.page
        buttons = page.locator("#curves .legend").first.locator("button[aria-pressed]")
        assert buttons.count() == 31
        pressed = buttons.evaluate_all("all => all.filter(b => b.getAttribute('aria-pressed') === 'true').length")
        assert pressed == 8
        assert page.locator(".shaded tbody tr").count() == 30
        assert page.evaluate("document.documentElement.scrollWidth") <= 1200


def test_a_page_prints(browser: Any, file: Path) -> None:
    with opened(browser, file, color_scheme="dark") as found:
        found.page.emulate_media(media="print")
        assert found.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not found.page.is_visible("nav")
        assert found.page.pdf()[:5] == b"%PDF-"
