"""The pages on evolution and ablation name the bounds and figures of the code."""

from __future__ import annotations

import inspect
import re

import pytest
from tests.pages import ROOT, in_words, joined, prose

from lehr.models.family import YOLOV5, YOLOV8, Family
from lehr.search import effects, genetic, space
from lehr.search.ablation import MAX_FACTORIAL


def page(name: str) -> str:
    return joined(prose((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")))


def bounds(text: str) -> dict[str, str]:
    """Bounds by parameter, as the table of the page has them: pairs of columns, several parameters in a cell."""
    found: dict[str, str] = {}
    lines = text[text.index("| parameter | bounds |") :].split("\n\n")[0].splitlines()[2:]
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for names, words in zip(cells[::2], cells[1::2], strict=True):
            found |= dict.fromkeys(re.sub(r" \(.*\)", "", names).split(", "), words)
    return found


@pytest.mark.parametrize("family", [YOLOV5, YOLOV8], ids=lambda family: family.name)
def test_the_bounds_of_a_search_are_those_of_its_page(family: Family) -> None:
    varied = {name: each for name, each in space._table(family).items() if each.gain > 0}
    said = bounds(page("evolution"))
    assert said.keys() - {"dfl"} == varied.keys() - {"dfl"}
    for name, parameter in varied.items():
        words = said[name]
        own = re.search(r"\(YOLOv8 (.*)\)", words) if family is YOLOV8 else None
        assert (own[1] if own else re.split(r"[,(]", words)[0].strip()) == str(parameter).replace("e-0", "e-"), name
        assert ("logarithmic" in words) == parameter.log, name


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("`anchors` ({} to {})", (int(space.TABLE["anchors"].low), int(space.TABLE["anchors"].high))),
        ("`fl_gamma` ({} to {})", (space.TABLE["fl_gamma"].low, space.TABLE["fl_gamma"].high)),
        ("normal * uniform * {}` with probability {}", (genetic.SIGMA, genetic.MUTATION)),
        ("the factor is limited to {} to {}", (genetic.MIN_FACTOR, genetic.MAX_FACTOR)),
        ("rounded to {} digits", genetic.DIGITS),
    ],
)
def test_figures_of_a_search_are_those_of_its_page(words: str, value: object) -> None:
    assert any(each in page("evolution") for each in in_words(words, value))


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("every subset, for at most {}", MAX_FACTORIAL),
        ("Its {}% interval", round(100 * effects.LEVEL)),
        ("resampled {} times", inspect.signature(effects.effects).parameters["draws"].default),
    ],
)
def test_figures_of_an_ablation_are_those_of_its_page(words: str, value: object) -> None:
    assert any(each in page("ablation") for each in in_words(words, value))
