"""Options tell of themselves what may change when a run goes on, and what each machine of a study has its own of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lehr.config import build_config
from lehr.errors import InputError
from lehr.options import GROUPS, LOCAL, MAY_CHANGE, DataOptions, describe_may_change, in_current_form, option_names

ANYTHING = {
    *("device", "processes", "parallel", "restarts", "timeout", "workers", "cache"),
    *("patience", "checkpoint_minutes", "compile", "cuda_graphs", "profile", "callback", "strict_callbacks"),
    *("digests", "report", "loggers"),
}


def test_what_changes_neither_batches_nor_model_nor_rates_may_change_when_a_run_goes_on() -> None:
    assert {name for name, only in MAY_CHANGE.items() if not only} == ANYTHING
    assert {name: only for name, only in MAY_CHANGE.items() if only} == {
        "epochs": "more",
        "data": "the same, elsewhere",
        "keep_val": "the same, elsewhere",
        "skip": "the same, elsewhere",
    }


def test_each_machine_of_a_study_has_its_own_places_and_devices() -> None:
    places = {"project", "name", "data", "keep_val", "skip", "cache", "callback", "strict_callbacks", "digests"}
    places |= {"report", "loggers"}
    assert places | {"device", "processes", "restarts", "timeout", "workers", "profile", "checkpoint_minutes"} == LOCAL


def test_every_group_says_why_its_other_options_cannot_change() -> None:
    reasons = [group.fixed_because for group in GROUPS.values()]
    assert all(reasons) and len(set(reasons)) == len(GROUPS)


def test_what_may_be_anything_is_told_before_what_is_bounded() -> None:
    told = describe_may_change()
    same = r"\(the same, elsewhere\)"
    assert re.match(
        rf"--workers, --cache, .*, --data {same}, --skip {same}, --keep-val {same} and --epochs \(more\)$", told
    )


def test_documentation_names_what_may_change() -> None:
    page = (Path(__file__).parents[1] / "docs/reliability.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"You may change these options when resuming:(.*?)\.\s+Any other", page, re.S)
    assert {flag.replace("-", "_") for flag in re.findall(r"`--([a-z-]+)`", sentence)} == MAY_CHANGE.keys()
    assert MAY_CHANGE.keys() <= option_names().keys()


@pytest.mark.parametrize(
    ("given", "meant"), [(-1, "auto"), ("-1", "auto"), ("auto", "auto"), ("0.5", 0.5), (16.0, 16), ("24", 24)]
)
def test_a_batch_is_a_count_a_share_or_automatic(given: object, meant: object) -> None:
    batch = DataOptions.model_validate({"batch": given}).batch
    assert batch == meant and type(batch) is type(meant)


@pytest.mark.parametrize("given", [0, -2, 1.5, "many", None])
def test_a_batch_that_is_none_of_these_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="a count of at least 1, a share"):
        DataOptions.model_validate({"batch": given})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *((True, "auto"), ("true", "auto"), ("on", "auto"), (1, "auto"), ("auto", "auto"), ("AUTO", "auto")),
        *((False, "off"), ("false", "off"), ("no", "off"), (0, "off"), ("off", "off"), ("always", "always")),
    ],
)
def test_autoanchor_is_a_choice_or_the_familiar_switch(given: object, meant: str) -> None:
    assert build_config({"autoanchor": given}).flat()["autoanchor"] == meant
    others = {"epochs": 3, "gone": 7}
    assert in_current_form({"autoanchor": given, **others}) == {"autoanchor": meant, **others}


@pytest.mark.parametrize("given", ["sometimes", 2, None])
def test_any_other_autoanchor_is_refused_once(given: object) -> None:
    with pytest.raises(InputError) as error:
        build_config({"autoanchor": given})
    assert str(error.value) == f"options: --autoanchor is {given!r}; it must be auto, always or off."
