"""Pages and tables of studies: one file that stands alone, right numbers, and awkward data."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lehr.errors import InputError
from lehr.report.ablation_page import AblationRun, ablation_page, draw_ablation
from lehr.report.effects_table import answers, effects_markdown, effects_text
from lehr.report.evolution_page import draw_evolution, evolution_page
from lehr.report.numbers import changed, interval, measured, value_text
from lehr.report.page import Page, render_page, write_page
from lehr.report.pieces import Figure, Section
from lehr.search.effects import Effect
from lehr.search.records import Record
from lehr.search.space import Parameter, Space

SPACE = Space(
    {
        "lr0": Parameter(1e-5, 0.1, log=True),
        "mosaic": Parameter(0.0, 1.0),
        "optimizer": Parameter(choices=("SGD", "AdamW")),
    },
    {"lr0": 0.01, "mosaic": 1.0, "optimizer": "SGD"},
    ("warmup_epochs is not searched.",),
)
ODD = "<script>alert('x')</script>"


UNSEEN = "no difference seen at this sample size"


class Reader(HTMLParser):
    """What a browser would see: tags with their attributes, and each table's rows of texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.texts: list[str] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._cell:
            self.tables[-1][-1][-1] += f" {data}" if self.tables[-1][-1][-1] else data


def some_trials() -> list[Record]:
    values: dict[str, Any] = {"lr0": 0.01, "mosaic": 1.0, "optimizer": "SGD"}
    better: dict[str, Any] = {"lr0": 0.0999, "mosaic": 0.5, "optimizer": "SGD"}
    numbers = {"map": 0.48, "map50": 0.7004}
    return [
        Record(0, "finished", values, 0.5, (0.3, 0.4, 0.5), numbers, 61.0, 900.0, "a:1", "trials/0000"),
        Record(1, "finished", better, 0.5434, (0.3, 0.4, 0.5434), {}, 3599.6, 2048.0, "b:2", "trials/0001"),
        Record(2, "pruned", better, 0.2, (0.2,), {}, 9.0, None, "a:1", "trials/0002", 2, "below the median"),
        Record(3, "diverged", better, 0.0, (), {}, None, None, "a:1", "trials/0003"),
        Record(4, "failed", better, None, (), {}, None, None, "a:1", "trials/0004", 3, f"out of memory {ODD}"),
        Record(5, "waiting", {}),
    ]


def some_effects() -> dict[str, list[Effect]]:
    unseen = "no difference seen at this sample size"
    return {
        "map": [
            Effect("mixup", "map", 0.5, 0.48, -0.02, -0.031, -0.009, (-0.02,) * 3, (0, 1, 2), "hurts"),
            Effect("ema", "map", 0.5, 0.5003, 0.0003, -0.01, 0.0106, (0.0003,) * 3, (0, 1, 2), unseen),
            Effect("warmup", "map", 0.5, 0.51, 0.01, None, None, (0.01,), (0,), "one seed: no interval"),
            Effect("mosaic", "map", 0.5, 0.543, 0.043, 0.021, 0.066, (0.03, 0.04, 0.059), (0, 1, 2), "helps"),
            Effect("a|<b>", "map", None, None, None, None, None, (), (), "not measured"),
        ],
        "seconds": [Effect("mosaic", "seconds", 600.0, 665.0, 65.0, 50.0, 80.0, (65.0,) * 3, (0, 1, 2), "costs")],
        "memory": [Effect("ema", "memory", 900.0, 800.0, -100.0, -1536.0, 10.0, (-100.0,) * 3, (0, 1, 2), unseen)],
        "f1": [],
    }


def some_runs() -> list[AblationRun]:
    runs = []
    for slot, (on, seed) in enumerate([(("mosaic", "ema"), 0), (("ema",), 0), (("mosaic",), 1), ((), 1)]):
        metrics = {"map": 0.4 + slot / 100, "map50": 0.6}
        record = Record(slot, "finished", {}, 0.5, (0.5,), metrics, 90.0 + slot, 700.0, "a:1", f"trials/{slot:04}")
        runs.append(AblationRun(record, on, seed))
    return [*runs, AblationRun(Record(4, "failed", {}, note=ODD), ("mosaic",), 2)]


@pytest.fixture(scope="module")
def evolution(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("study")
    importance = {"lr0": 0.75, "mosaic": 0.25}
    figures = draw_evolution(some_trials(), folder / "plots", importance, SPACE.start)
    page = evolution_page(
        f"coins {ODD}",
        some_trials(),
        SPACE,
        epochs=3,
        importance=importance,
        figures=figures,
        command="lehr train --hyp 'runs/my study/hyp_evolved.yaml' --model yolov8n",
    )
    write_page(page, folder / "report.html")
    assert sorted(each.name for each in folder.iterdir()) == ["plots", "report.html"]
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("study")
    figures = draw_ablation(some_effects(), folder / "plots")
    page = ablation_page("coins", some_runs(), some_effects(), needed=((0.005, 40), (0.02, 5)), figures=figures)
    write_page(page, folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(params=["evolution", "ablation"])
def page(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def test_the_page_needs_no_other_file_and_no_network(page: str) -> None:
    reader = Reader(page)
    for tag, attributes in reader.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), (tag, name)
    assert not re.search(r"https?:|//[a-z]|@import|@font-face|url\(", page, re.IGNORECASE)
    scripts = [attributes for tag, attributes in reader.tags if tag == "script"]
    assert scripts and not any("src" in script for script in scripts)
    policy = next(each["content"] for tag, each in reader.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and "default-src 'none'" in policy


def test_the_pictures_are_within_the_page_and_described(page: str) -> None:
    pictures = [attributes for tag, attributes in Reader(page).tags if tag == "img"]
    assert pictures
    for picture in pictures:
        kind, _, data = str(picture["src"]).partition(",")
        assert kind == "data:image/svg+xml;base64" and b"</svg>" in base64.b64decode(data, validate=True)
        assert picture["alt"]


def test_names_are_text_and_never_tags(evolution: str, ablation: str) -> None:
    assert ODD not in evolution and ODD not in ablation
    assert any(ODD in text for text in Reader(evolution).texts) and any(ODD in text for text in Reader(ablation).texts)
    assert "<b>" not in ablation


def test_the_page_is_for_phones_paper_and_the_dark(page: str) -> None:
    assert 'name="viewport"' in page and "@media print" in page and "prefers-color-scheme: dark" in page


def test_every_trial_is_a_row_with_its_numbers(evolution: str) -> None:
    head, *rows = Reader(evolution).tables[1]
    assert head[:8] == ["trial", "state", "fitness", "mAP50-95", "mAP50", "epochs", "time", "memory"]
    assert [row[0] for row in rows] == ["0", "1 best", "2", "3", "4", "5"]
    assert rows[0][1:8] == ["finished", "0.500", "0.480", "0.700", "3", "1:01", "900 MiB"]
    assert rows[1][1:8] == ["finished", "0.543", "-", "-", "3", "1:00:00", "2.0 GiB"]
    assert rows[2][1:3] == ["pruned", "0.200"] and rows[2][9:] == ["a:1", "2", "trials/0002", "below the median"]
    assert rows[4][1:4] == ["failed", "-", "-"] and rows[5][1] == "waiting" and rows[5][8] == "-"
    assert rows[1][8] == "3 values lr0 0.0999, mosaic 0.5, optimizer SGD"


def test_the_best_values_stand_beside_those_at_the_start_and_the_bounds(evolution: str) -> None:
    head, *rows = Reader(evolution).tables[0]
    assert head == ["parameter", "at the start", "best", "bounds", "importance", "remark"]
    assert rows == [
        ["lr0", "0.01", "0.0999", "1e-05 to 0.1", "75%", "at the upper bound"],
        ["mosaic", "1", "0.5", "0 to 1", "25%", ""],
        ["optimizer", "SGD", "SGD", "SGD or AdamW", "-", "unchanged"],
    ]


def test_the_search_is_summed_up(evolution: str) -> None:
    summary = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", evolution))
    states = {name: summary[f"Trials {name}"] for name in ("finished", "pruned", "diverged", "failed", "waiting")}
    assert states == {"finished": "2", "pruned": "1", "diverged": "1", "failed": "1", "waiting": "1"}
    assert summary["Best fitness"] == "0.543" and summary["Fitness of the current values"] == "0.500"
    assert summary["Epochs trained, of those planned"] == "7 of 18 (39%)"  # 3 + 3 + 1 of 6 trials of 3
    assert summary["Hours of training"] == "1.0" and summary["Workers"] == "2: a:1, b:2"
    texts = "\n".join(Reader(evolution).texts)
    assert "Trial 1 is the best: fitness 0.543, +0.043 over the current values (trial 0, 0.500)." in texts
    assert "lehr train --hyp 'runs/my study/hyp_evolved.yaml'" in texts and "warmup_epochs is not searched." in texts


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "No trial has finished yet"),
        ([Record(0, "waiting", {})], "No trial has finished yet"),
        ([Record(0, "finished", {"lr0": 0.01}, 0.5)], "best so far: fitness 0.500; no other has finished."),
        (
            [Record(0, "finished", {}, 0.5), Record(1, "finished", {}, 0.5)],
            "none of the 1 other finished trial is better",
        ),
        ([Record(0, "failed", {}), Record(1, "finished", {}, 0.5)], "has not finished, so there is nothing to compare"),
        (
            [Record(0, "diverged", {}, float("nan"), (float("nan"),), {"map": float("nan")})],
            "No trial has finished yet",
        ),
    ],
)
def test_an_odd_search_gets_a_page_too(records: Sequence[Record], said: str) -> None:
    text = render_page(
        evolution_page("odd", records, SPACE, epochs=3, importance={}, command="lehr train --hyp hyp.yaml")
    )
    assert said in text
    assert ("lehr train --hyp" in text) == any(each.state == "finished" for each in records)
    best, *trials = Reader(text).tables
    assert len(best) == 4 and sum(len(table) - 1 for table in trials) == len(records)
    assert not any("nan" in cell for table in (best, *trials) for row in table for cell in row)


def test_every_technique_is_one_row_with_each_metric(ablation: str) -> None:
    head, *rows = Reader(ablation).tables[0]
    assert head == ["technique", "mAP50-95", "time", "memory"]
    assert [row[0] for row in rows] == ["mixup", "ema", "warmup", "mosaic", "a|<b>"]
    assert rows[3] == ["mosaic", "▲  +0.043 0.021 to 0.066 helps", "▼  +1:05 0:50 to 1:20 costs", "-"]
    unseen = "no difference seen at this sample size"
    assert rows[1] == ["ema", f"○  0.000 -0.010 to 0.011 {unseen}", "-", f"○  -100 MiB -1.5 GiB to 10 MiB {unseen}"]
    assert rows[2][1] == "+0.010 one seed: no interval" and rows[4][1] == "- not measured"


def test_a_verdict_with_a_sign_is_shown_once_in_the_caption_and_read_aloud_in_each_cell(ablation: str) -> None:
    assert f"▲ helps, ▼ hurts or costs, ○ {UNSEEN}." in ablation
    shown = re.sub(r'<span class="unseen">.*?</span>', "", ablation)
    assert shown.count(UNSEEN) == 2  # the sentence about ema at the top, and the caption


def test_every_run_is_a_row_and_the_seeds_needed_are_told(ablation: str) -> None:
    _, needed, runs = Reader(ablation).tables
    assert needed == [["true difference of mAP50-95", "seeds needed"], ["0.005", "40"], ["0.020", "5"]]
    assert [row[:4] for row in runs[1:]] == [
        ["0", "mosaic, ema", "0", "finished"],
        ["1", "ema", "0", "finished"],
        ["2", "mosaic", "1", "finished"],
        ["3", "none", "1", "finished"],
        ["4", "mosaic", "2", "failed"],
    ]
    assert runs[1][4:] == ["0.500", "0.600", "0.400", "1:30", "700 MiB", "trials/0000", "-"]
    assert runs[5][4:] == ["-", "-", "-", "-", "-", "-", ODD]


def test_the_page_warns_of_many_comparisons_only_where_there_are_some(ablation: str) -> None:
    # Three techniques have an interval of mAP50-95: 1 - 0.95^3 = 0.143.
    assert "about one in twenty" in ablation and "With 3 techniques, at least one does in about 14%" in ablation
    one = {"map": [some_effects()["map"][3]]}
    assert not ablation_page("one", [], one).notes


def test_what_helps_is_told_first_then_what_hurts_then_what_cannot_be_told() -> None:
    assert answers(some_effects()) == [
        "mosaic helps: +0.043 mAP50-95 (0.021 to 0.066, 3 seeds).",
        "mixup hurts: -0.020 mAP50-95 (-0.031 to -0.009, 3 seeds).",
        "warmup: one seed, no interval (+0.010 mAP50-95, 1 seed).",
        "ema: no difference seen at this sample size (0.000 mAP50-95, -0.010 to 0.011, 3 seeds).",
        "a|<b>: not measured.",
    ]
    assert answers(some_effects(), "seconds") == ["mosaic costs: +1:05 time (0:50 to 1:20, 3 seeds)."]
    assert answers({"seconds": some_effects()["seconds"]})[0].startswith("mosaic costs")
    assert answers({}) == [] and answers({"map": []}) == []


@pytest.mark.parametrize("effects", [{}, {"map": []}])
def test_an_ablation_without_a_result_gets_a_page_too(effects: Mapping[str, list[Effect]], tmp_path: Path) -> None:
    text = render_page(ablation_page("none", [], effects, figures=draw_ablation(effects, tmp_path)))
    assert "no technique can be judged" in text and not Reader(text).tables


def test_effects_are_a_markdown_table_that_no_name_breaks() -> None:
    *lines, _, key = effects_markdown(some_effects()).splitlines()
    assert "without a verdict: no difference seen at this sample size" in key
    assert lines[:2] == ["| technique | mAP50-95 | time | memory |", "| --- | --- | --- | --- |"]
    assert lines[5] == "| mosaic | +0.043 (0.021 to 0.066), helps | +1:05 (0:50 to 1:20), costs | - |"
    assert lines[6] == "| a\\|&lt;b> | not measured | - | - |" and len(lines) == 7
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {5}


def test_effects_are_aligned_columns_for_the_terminal() -> None:
    *blocks, legend = effects_text(some_effects()).split("\n\n")
    assert legend == f"Without a verdict: {UNSEEN}." and not any(UNSEEN in block for block in blocks)
    assert [block.splitlines()[0] for block in blocks] == ["mAP50-95", "time", "memory"]
    lines = blocks[0].splitlines()
    assert re.split(r"\s{2,}", lines[5]) == ["mosaic", "0.500", "0.543", "+0.043", "0.021 to 0.066", "3", "helps"]
    end = lines[1].index("seeds") + len("seeds")
    assert [line[:end].split()[-1] for line in lines[1:]] == ["seeds", "3", "3", "1", "3", "0"]
    assert all(line[end : end + 2].isspace() or len(line) == end for line in lines[1:])
    assert effects_text({}) == ""


@pytest.mark.parametrize(
    ("metric", "value", "told", "as_change"),
    [
        ("map", 0.12345, "0.123", "+0.123"),
        ("map", -0.0004, "0.000", "0.000"),
        ("fitness", -0.5, "-0.500", "-0.500"),
        ("seconds", 5.4, "0:05", "+0:05"),
        ("seconds", -3725.0, "-1:02:05", "-1:02:05"),
        ("memory", 1023.0, "1023 MiB", "+1023 MiB"),
        ("memory", -1536.0, "-1.5 GiB", "-1.5 GiB"),
        ("map", None, "-", "-"),
        ("map", float("nan"), "-", "-"),
    ],
)
def test_numbers_are_told_with_sign_and_unit(metric: str, value: float | None, told: str, as_change: str) -> None:
    assert measured(metric, value) == told and changed(metric, value) == as_change


def test_values_and_intervals_are_told_short() -> None:
    assert interval("map", -0.1, 0.25) == "-0.100 to 0.250" and interval("map", None, 0.2) == ""
    assert [value_text(each) for each in (0.000123456, 3, True, "SGD")] == ["0.0001235", "3", "True", "SGD"]


def empty_page(*figures: Figure) -> Page:
    return Page("a", "lehr evolve", (), (), (), [Section("plots", "Plots", figures)])


def test_a_page_that_fails_leaves_the_old_one_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_page(empty_page(), path)
    before = path.read_text()
    with pytest.raises(InputError, match=r"gone\.svg: cannot be read"):
        write_page(empty_page(Figure("a", tmp_path / "gone.svg", "nothing")), path)
    with pytest.raises(InputError, match=r"a\.gif: pages hold images of the kinds"):
        write_page(empty_page(Figure("a", tmp_path / "a.gif", "nothing")), path)
    with pytest.raises(InputError, match="cannot be written"):
        write_page(empty_page(), tmp_path / "no" / "report.html")
    assert path.read_text() == before and [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_photographs_keep_their_colours_in_the_dark(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "a.svg").write_bytes(b"<svg/>")
    text = render_page(empty_page(*(Figure("a", tmp_path / f"a.{kind}", "a") for kind in ("png", "svg"))))
    photograph, drawing = (attributes for tag, attributes in Reader(text).tags if tag == "img")
    assert photograph["src"] == "data:image/png;base64,iVBORw==" and set(photograph) == set(drawing) == {"src", "alt"}
    assert "filter:" not in text  # drawings turn dark themselves


def test_a_page_holds_no_control_characters() -> None:
    """Pages are shown by terminals too."""
    record = Record(0, "failed", {"lr0": 0.1}, worker="a\x1b[2J:1", folder="\u202et", note="x\x1b]0;y\x07\x9b\nz")
    page = evolution_page("title\x1b", [record], SPACE, epochs=3, importance={})
    text = render_page(page)
    assert not set(text) & {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e"} - {"\n"}
    assert "x\\x1b]0;y" in text


@pytest.mark.parametrize(
    "name",
    ["[x](javascript:alert(1))", "![x](http://a/b.png)", "`code`", "**x**", "a\nb", "<b>", "a\x1b[2J", "\u202ex"],
)
def test_a_name_is_no_link_no_image_and_no_line_of_its_own_in_markdown(name: str) -> None:
    effect = Effect(name, "map", 0.1, 0.2, 0.1, None, None, (0.1,), (0,), "helps")
    lines = effects_markdown({"map": [effect]}).splitlines()
    assert len(lines) == 5 and lines[2].startswith("| ")
    assert not re.search(r"(?<!\\)[\[\]`*]|<(?!/)|[\x00-\x1f\u202e]", lines[2].partition(" | ")[0])
