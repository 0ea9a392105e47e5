"""Pages of techniques say what the code does: options, defaults, formulas and figures; and where they know it from."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.pages import (
    FORMULA,
    ROOT,
    agrees,
    citations,
    code,
    defaults_in,
    evaluate,
    evaluate_in_turn,
    in_words,
    is_default,
    is_plain,
    loose_numbers,
    names_below,
    other_defaults,
    read_pages,
    without_source,
)
from tests.techniques.formulas import augmentation, course, covering, data, device, loss, scores, start, updates
from tests.techniques.formulas.check import Checks

PAGES = read_pages()
SECTIONS = (course, updates, start, data, loss, scores, augmentation, covering, device)
CHECKS = {name: checks for section in SECTIONS for name, checks in section.CHECKS.items()}
every_page = pytest.mark.parametrize("name", list(PAGES))


def test_a_formula_is_computed_as_python_would() -> None:
    values = {"a": np.array([[1.0], [4.0]]), "b": np.array([[2.0, 3.0], [5.0, 6.0]])}
    assert evaluate("round(2.5) + 3 * -a ** 2 / 2", values).tolist() == [[0.5], [-22.0]]
    assert evaluate("max(a, 3) - min(b) + sum(b) + mean(b)", values).tolist() == [[3 - 2 + 5 + 2.5], [4 - 5 + 11 + 5.5]]
    assert evaluate("exp(a) if a < 2 and b > 2 else pi", values)[0].tolist() == [np.pi, np.e]
    assert evaluate_in_turn({"c": "a + d", "d": "2 * a", "a": "a"}, "c", values).tolist() == [[3.0], [12.0]]
    assert names_below({"c": "a + exp(d)", "d": "2 * e * pi"}, "c") == {"a", "e"}


@pytest.mark.parametrize("text", ["a.real", "open(a)", "[a]", "a if", "'a'", "missing + 1", "(lambda: a)()", "a = 1"])
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"arithmetic|gives 'missing'"):
        evaluate(text, {"a": np.ones((1, 1))})


def test_defaults_are_found_in_their_form_and_in_others() -> None:
    text = "`--clip-norm` (10), `--patience N` (100 epochs), `--lr-schedule` (`linear`), `--rect` (off), `--box` (gain)"
    assert list(defaults_in(text)) == [
        *(("clip_norm", "10"), ("patience", "100 epochs"), ("lr_schedule", "`linear`"), ("rect", "off"))
    ]
    assert all(is_default(name, said) for name, said in defaults_in(text)) and not other_defaults(text)
    assert not is_default("clip_norm", "1") and not is_default("rect", "on") and not is_default("patience", "20")
    others = ["`--mosaic P`, 1 for all", "`hsv_h` 0.015", "off by default", "0 (the default) is", "Defaults: decay 1"]
    assert [len(other_defaults(each)) for each in others] == [1] * len(others)


def test_numbers_without_code_and_statements_without_source_are_found() -> None:
    text = "Of 1,000, `a = 3 * b` and `--mosaic 0.5` (Lin et al., 2017), 98% or 1e-3 of YOLOv5 float16, `--rect` (off)."
    found = [each.replace("`", "") for each in loose_numbers(text, ["Of 1,000"])]
    assert len(found) == 2 and "98%" in found[0] and "1e-3" in found[1]
    assert in_words("after {} of {}", (1000, 0.5)) == ["after 1000 of 0.5", "after 1,000 of 0.5"]
    assert agrees("1,000", 1000.4) and agrees("`0.39`", 0.3934) and not agrees("0.39", 0.396)
    said = "Nearly always.\n\nWith haze (He et al., 2019).\n- On cells: [ours](../results.md).\n- See [EMA](ema.md)."
    assert without_source(said) == ["Nearly always.", "- See [EMA](ema.md)."]


def test_what_is_compared_is_of_pages_that_there_are() -> None:
    assert CHECKS.keys() <= PAGES.keys()


@every_page
def test_formulas_are_what_the_code_computes(name: str) -> None:
    found = PAGES[name].formulas()
    formulas, checks = dict(found), CHECKS.get(name, Checks()).formulas
    assert len(found) == len(formulas), "two formulas of one name"
    assert formulas.keys() == checks.keys(), "each formula needs its code in tests/techniques/formulas"
    for each, check in checks.items():
        values = check.draw(np.random.default_rng(0))
        assert values.keys() == names_below(formulas, each, values.keys()), f"{each}: names that are drawn, and used"
        said, computed = evaluate_in_turn(formulas, each, values), check.code(**values)
        message = f"{each} = {formulas[each]}"
        np.testing.assert_allclose(np.broadcast_to(said, computed.shape), computed, check.rtol, 1e-12, err_msg=message)


@every_page
def test_code_in_the_formulas_section_is_a_formula_or_a_name(name: str) -> None:
    spans = code(PAGES[name].section("Formula"))
    loose = [span for span in spans if not re.fullmatch(FORMULA, f"`{span}`") and not is_plain(span)]
    assert not loose, "write formulas as `name = expression`, and the rest in words"


@every_page
def test_figures_are_those_of_the_code(name: str) -> None:
    checks = CHECKS.get(name, Checks())
    said = "\n".join(
        PAGES[name].section(title) for title in ("Idea", "Formula", "When it helps", "When it hurts", "Switch")
    )
    phrases = {words: in_words(words, value) for words, value in checks.figures.items()}
    missing = {words: each[-1] for words, each in phrases.items() if not any(one in said for one in each)}
    assert not missing, "the page says this otherwise than the code"
    known = [phrase for each in phrases.values() for phrase in each]
    for head in checks.tables:
        known += PAGES[name].table(head)[0]
    for words in checks.elsewhere:
        known += PAGES[name].table(words[2:])[0] if words.startswith("| ") else [words]
    for title in ("Idea", "Formula", "Switch"):
        loose = loose_numbers(PAGES[name].section(title), known)
        assert not loose, f"## {title}: numbers compared with nothing; see `Checks` in tests/techniques/formulas"


@every_page
def test_tables_are_what_the_code_computes(name: str) -> None:
    for head, compute in CHECKS.get(name, Checks()).tables.items():
        for row in PAGES[name].table(head)[1]:
            for column, value in compute(row).items():
                assert agrees(row[column], value), f"{row}: {column} is {value}"


@every_page
def test_what_comes_from_elsewhere_is_on_the_page_and_there(name: str) -> None:
    for words, file in CHECKS.get(name, Checks()).elsewhere.items():
        assert words in " ".join(PAGES[name].text.split())
        if file.endswith(".py"):
            assert name in (ROOT / file).read_text(encoding="utf-8")
        else:
            assert all(word in PAGES[name].section("Source") for word in file.split(" et al., "))


@every_page
def test_defaults_have_one_form(name: str) -> None:
    assert not other_defaults(PAGES[name].text), "write defaults as `--option` (VALUE), or leave them to the table"


@every_page
@pytest.mark.parametrize("title", ["When it helps", "When it hurts"])
def test_what_helps_and_hurts_has_a_source(name: str, title: str) -> None:
    loose = without_source(PAGES[name].section(title))
    assert not loose, "cite a work as (Name et al., year), or link to a measurement of ours, or leave it out"


@every_page
def test_works_that_are_cited_are_among_the_sources(name: str) -> None:
    page = PAGES[name]
    cited = {
        each
        for title in ("Idea", "Formula", "When it helps", "When it hurts")
        for each in citations(page.section(title))
    }
    source = page.section("Source")
    assert not {f"{author}, {year}" for author, year in cited if author not in source or year not in source}
