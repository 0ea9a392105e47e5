"""Techniques describe themselves: completely, without contradiction, and each for itself."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lehr
from lehr.cli.explanation import explanation
from lehr.config import build_config
from lehr.errors import InputError
from lehr.models.family import YOLOV8
from lehr.options import option_names
from lehr.preview import Preview, preview
from lehr.search.switches import choose
from lehr.technique import PAGES, Section, State, Technique, shell_options
from lehr.techniques import catalog
from lehr.techniques.catalog import own_techniques, register_technique, techniques

ROOT = Path(__file__).parents[2]
SOURCE = Path(lehr.__file__).parent
OF_NO_TECHNIQUE = {
    *(
        "data",
        "imgsz",
        "workers",
        "cache",
        "scaled_decoding",
        "skip",
        "skip_broken",
        "difficult",
        "keep_val",
        "model",
        "depth",
        "width",
        "epochs",
        "max_det",
    ),
    *(
        "cls",
        "obj",
        "cls_pw",
        "obj_pw",
        "profile",
        "device",
        "processes",
        "parallel",
        "restarts",
        "timeout",
    ),
    *("seed", "project", "name", "checkpoint_minutes", "deterministic", "callback", "strict_callbacks"),
    *("digests", "report", "loggers"),
}
"""Options that no technique owns; a new option belongs here or to a technique."""
ANYTHING = {"augmentation": ["my_package.fog:Fog=0.5"]}
"""Values for options that a user must give, where "10" is none."""
NEEDED = {"keep_val": "y"}
"""Options that switches need besides their own."""
ALL = list(own_techniques())


def a_run(**options: Any) -> Preview:
    return preview(build_config({"data": "x", "epochs": 300, **options}), images=205, classes=3)


def model_for(technique: Technique) -> str:
    return "yolov8n" if technique.suits(YOLOV8) else "yolov5n"


def test_every_option_belongs_to_one_technique_or_to_none_on_purpose() -> None:
    owned = Counter(option for technique in ALL for option in technique.options)
    assert set(owned) == set(option_names()) - OF_NO_TECHNIQUE
    assert not [option for option, owners in owned.items() if owners > 1]


def test_every_technique_has_a_page_and_every_page_a_technique() -> None:
    pages = [technique.page for technique in ALL]
    assert len(pages) == len(set(pages))
    files = {path.stem for path in (ROOT / PAGES).glob("*.md")} - {"README", "hyperparameter-files"}
    assert set(pages) == files
    assert all((ROOT / technique.path).is_file() for technique in ALL)


def test_names_of_techniques_and_switches_are_used_once() -> None:
    switches = [switch for technique in ALL for switch in technique.switches]
    names = Counter([*(switch.name for switch in switches), *(each for switch in switches for each in switch.aliases)])
    assert set(names.values()) == {1} and "all" not in names
    assert len({technique.name for technique in ALL}) == len(ALL)


@pytest.mark.parametrize("technique", ALL, ids=lambda technique: technique.page)
def test_the_files_that_a_technique_names_are_there(technique: Technique) -> None:
    assert (SOURCE.parent / (own_techniques()[technique].replace(".", "/") + ".py")).is_file()
    assert all((SOURCE / file).is_file() for file in technique.code)


@pytest.mark.parametrize("technique", ALL, ids=lambda technique: technique.page)
def test_switches_are_of_the_technique_s_own_options_and_allowed(technique: Technique) -> None:
    for switch in technique.switches:
        assert switch.on.keys() == switch.off.keys() <= set(technique.options)
        for side in (switch.on, switch.off):
            build_config(
                {"data": "x", **NEEDED, **{option: value for option, value in side.items() if value is not ...}}
            )
        given = {option: ANYTHING.get(option, "10") if value is ... else value for option, value in switch.on.items()}
        assert switch.is_on(given) and not switch.is_on(switch.off)


@pytest.mark.parametrize(
    "technique",
    [each for each in ALL if each.switches and each.name != "optimizer" and not each.switches[0].one_of_several],
    ids=lambda each: each.page,
)
def test_an_ablation_s_sides_are_on_and_off_in_the_run_as_well(technique: Technique) -> None:
    switch = technique.switches[0]
    on = {option: ANYTHING.get(option, "10") if value is ... else value for option, value in switch.on.items()}
    usual = {"model": model_for(technique), "optimizer": "SGD", **NEEDED}
    state = technique.in_run(a_run(**usual | on))
    assert state.on or state.no_effect == "cpu supports nothing faster than float32"
    assert not technique.in_run(a_run(**usual | switch.off)).on


@pytest.mark.parametrize("model", ["yolov8n", "yolov5n"])
@pytest.mark.parametrize("technique", ALL, ids=lambda technique: technique.page)
def test_a_state_says_its_values_and_how_to_change_it_by_options_that_there_are(
    technique: Technique, model: str
) -> None:
    state = technique.in_run(a_run(model=model))
    assert bool(state.value) or not state.on
    assert state.change or (state.on and all(switch.one_of_several for switch in technique.switches))
    named = {word.removeprefix("no-").replace("-", "_") for word in re.findall(r"--([a-z-]+)", state.change)}
    assert named <= set(option_names())
    assert state.on or named or "anchors" in state.change


def test_a_technique_of_the_other_kind_of_family_is_off_and_says_which_family_has_it() -> None:
    matching = next(each for each in ALL if each.page == "anchor-matching")
    assert matching.in_run(a_run(model="yolov5n")).on
    assert matching.in_run(a_run()) == State(False, change="a family with anchors, such as yolov5n")
    assigner = next(each for each in ALL if each.page == "task-aligned-assignment")
    assert "without anchors" in assigner.in_run(a_run(model="yolov3-spp")).change


def test_options_are_written_as_the_shell_takes_them() -> None:
    given = {"clip_norm": 10.0, "rect": True, "sync_bn": False, "amp": "off", "weights": None, "freeze": ...}
    said = "--clip-norm 10 --rect --no-sync-bn --amp off leave out --weights --freeze VALUE"
    assert shell_options(given) == said


def test_the_index_is_what_the_techniques_say() -> None:
    script = runpy.run_path(str(ROOT / PAGES / "index.py"))
    text = (ROOT / PAGES / "README.md").read_text(encoding="utf-8")
    assert script["with_tables"](text) == text, "out of date: run `make docs-index`"
    assert all(f"({path.name})" in text for path in (ROOT / PAGES).glob("*.md") if path.stem != "README")


@pytest.mark.parametrize("technique", ALL, ids=lambda technique: technique.page)
def test_a_page_s_table_of_options_is_what_the_options_say(technique: Technique) -> None:
    script = runpy.run_path(str(ROOT / PAGES / "index.py"))
    text = (ROOT / technique.path).read_text(encoding="utf-8")
    assert script["with_options"](text, technique) == text, "out of date: run `make docs-index`"
    assert all(f"\n| `{script['shell_name'](option)}` | " in text for option in technique.options)


def test_a_table_of_options_gives_their_defaults_and_ranges() -> None:
    script = runpy.run_path(str(ROOT / PAGES / "index.py"))
    rows = {
        "ema_decay": "| 0.9999 | at least 0, below 1 | Decay of",
        "translate": "| 0.1 | 0 to 0.9 | Shift",
        "augment_on": "| auto | `auto`, `cpu`, `device` | Device that augments",
        "autoanchor": "| auto | `auto`, `always`, `off` | Fit",
        "image_weights": "| off | on, off | Show",
        "freeze": "| none | text | Number of first layers",
        "box": "| YOLOv8 7.5, with anchors 0.05 | at least 0 | Gain of the box loss. |",
    }
    for option, row in rows.items():
        assert row in script["option_table"]((option,))


def test_techniques_stand_in_the_order_of_the_sections() -> None:
    order = list(Section)
    places = [order.index(technique.section) for technique in techniques()]
    assert places == sorted(places)


def test_the_command_line_s_help_loads_no_technique() -> None:
    code = "import sys; sys.argv = ['lehr', '--help']\nfrom lehr.cli.app import main\ntry: main()\n"
    code += "except SystemExit: print([name for name in sys.modules if name.startswith('lehr.technique')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that is installed, without modules yet; its entry point is `lehr_other:TECHNIQUE`."""
    info = tmp_path / "lehr_other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lehr-other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lehr.techniques]\nother = lehr_other:TECHNIQUE\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lehr_other", raising=False)
    catalog._table.cache_clear()
    yield tmp_path / "lehr_other.py"
    catalog._table.cache_clear()
    sys.modules.pop("lehr_other", None)


OTHER = """
from lehr.technique import Section, State, Switch, Technique

TECHNIQUE = Technique(
    name="tiny images",
    page="https://example.org/tiny",
    section=Section.DATA,
    why="quick",
    state=lambda run: State(run.config.imgsz < 100, f"{run.config.imgsz} pixels"),
    switches=(Switch("SWITCH", {"imgsz": 64}, {"imgsz": 640}),),
)
"""


def test_another_package_adds_a_technique_by_an_entry_point(other_package: Path) -> None:
    other_package.write_text(OTHER.replace("SWITCH", "tiny"))
    config = build_config({"imgsz": 64})
    lines = "tiny images: 64 pixels\n      quick\n      https://example.org/tiny; off: --imgsz 640\n"
    assert lines in explanation(config)
    assert choose(["tiny"], config)["tiny"].off == {"imgsz": 640}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("TECHNIQUE = 3", ["lehr-other", "3 is not a Technique"]),
        ("import nothing_of_this_name", ["lehr-other", "No module named 'nothing_of_this_name'"]),
        (OTHER.replace("tiny images", "mosaic"), ["lehr-other", "another Technique named 'mosaic'"]),
        (OTHER.replace("SWITCH", "mosaic"), ["'tiny images' and 'mosaic' both have a switch named 'mosaic'"]),
    ],
)
def test_another_package_s_technique_that_cannot_be_used_is_named(
    other_package: Path, text: str, words: list[str]
) -> None:
    other_package.write_text(text)
    with pytest.raises(InputError) as error:
        techniques()
    assert all(word in str(error.value) for word in words), error.value


def test_a_program_registers_a_technique_for_itself(other_package: Path) -> None:
    other_package.write_text(OTHER.replace("SWITCH", "tiny"))
    mine = Technique(
        name="mine",
        page="https://example.org/mine",
        section=Section.COURSE,
        why="better",
        state=lambda run: State(True, "always"),
    )
    register_technique(mine)
    names = [each.name for each in techniques()]
    assert names.index("early stopping") < names.index("mine") < names.index("pretrained start")
    assert "tiny images" in names
