"""Small data sets, changed in every way that files go wrong, are read right or refused: a few seconds of the fuzzer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from benchmarks.fuzz import painted
from benchmarks.fuzz.dialects import MUTATIONS
from benchmarks.fuzz.judge import FAILED, READ, judge
from benchmarks.fuzz.painted import PAINTINGS, PaintedSet
from benchmarks.fuzz_data import make_mutant, run_mutants

SEED = 18
EACH = 20
MakeSet = Callable[[], PaintedSet]
SETS: tuple[MakeSet, ...] = (
    painted.yolo,
    painted.yolo_lists,
    painted.darknet,
    painted.class_list,
    painted.coco,
    painted.voc,
    painted.cvat,
)


@pytest.mark.parametrize("kind", MUTATIONS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged images
def test_no_mutant_ends_in_a_traceback_a_hang_or_a_box_on_another_object(kind: str, tmp_path: Path) -> None:
    mutants = list(run_mutants(tmp_path, EACH, SEED, {kind: MUTATIONS[kind]}))
    failed = [each for each in mutants if each.outcome.result == FAILED]
    assert not failed, "\n".join(f"{each.number}: {each.made.about}\n{each.outcome.message}" for each in failed)
    assert {each.outcome.result for each in mutants} != {READ}  # the changes matter


@pytest.mark.parametrize("make", SETS, ids=lambda make: make.__name__)
def test_unchanged_sets_are_read_and_crossed_images_are_noticed(make: MakeSet, tmp_path: Path) -> None:
    assert _outcome(make(), tmp_path / "whole") == READ
    one, other = next((a, b) for a, b in combinations(PAINTINGS, 2) if a.size == b.size and a.objects != b.objects)
    crossed = make()
    places = [next(name for name in crossed.files if name.endswith(f"/{each.stem}.png")) for each in (one, other)]
    for place, shown in zip(places, (other, one), strict=True):
        crossed.files[place] = painted.encoded(shown)
    assert _outcome(crossed, tmp_path / "crossed") == FAILED


@pytest.mark.parametrize(("make", "label"), [(painted.yolo, b""), (painted.voc, b"<annotation></annotation>")])
def test_objects_that_are_lost_without_a_word_are_noticed(make: MakeSet, label: bytes, tmp_path: Path) -> None:
    made = make()
    place = next(name for name in made.files if name.endswith(("/train1.txt", "/train1.xml")))
    made.files[place] = label
    assert _outcome(made, tmp_path / "set") == FAILED
    made.whole = False
    assert _outcome(made, tmp_path / "set") == READ


def test_a_mutant_is_the_same_for_its_seed() -> None:
    for kind in MUTATIONS:
        assert make_mutant(kind, 3, 1).files == make_mutant(kind, 3, 1).files
        assert any(make_mutant(kind, 3, 1).files != make_mutant(kind, 3, seed).files for seed in range(2, 6))


def _outcome(made: PaintedSet, root: Path) -> str:
    painted.write(made, root)
    result = judge(made, root).result
    shutil.rmtree(root)
    return result
