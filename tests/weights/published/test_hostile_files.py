"""Hostile checkpoints: nothing in them runs, and each is refused at once, with a message that names file and reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import tests.weights.published.pickles as p
from tests.weights.published import hostile_archives, hostile_extents, hostile_names, hostile_numbers
from tests.weights.published.hostile_child import watched

SECONDS, BYTES = 2.0, 500 * 2**20
HOSTILE: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    f"{group}: {name}": hostile
    for group, files in {
        "name": hostile_names.FILES,
        "number": hostile_numbers.FILES,
        "extent": hostile_extents.FILES,
        "archive": hostile_archives.FILES,
    }.items()
    for name, hostile in files.items()
}
GOOD = {
    "good archive": p.archive(p.program(p.table(model=p.tensor(), epoch=p.value(3)))),
    "good old file": p.legacy(p.program(p.table(model=p.tensor(p.old_block()), epoch=p.value(3)))),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Outcomes of all files, read one after the other in a process that is watched."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, data in GOOD.items():
        (folder / f"{name}.pt").write_bytes(data)
    (folder / "good thing that ends.pt").write_bytes(hostile_names.FILES["os.system in an archive"][0])
    for number, (data, _) in enumerate(HOSTILE.values()):
        (folder / f"{number}.pt").write_bytes(data() if callable(data) else data)
    with (folder / "sparse.pt").open("wb") as file:
        file.write(GOOD["good archive"])
        file.truncate(5 * 2**30)
    there = set(folder.iterdir())
    lines = watched(folder)
    assert set(folder.iterdir()) == there
    return {each["file"]: each | {"path": f"{folder}/{each['file']}"} for each in lines}


def check(result: dict[str, Any], reason: str) -> None:
    """Check that a file was refused for a reason, at once, and that nothing else happened."""
    assert result["message"] is not None, "it was read"
    assert result["message"].startswith(f"{result['path']}: ") and re.search(reason, result["message"])
    assert "\n" not in result["message"] and len(result["message"]) < 1000
    assert result["seen"] == []
    assert result["seconds"] < SECONDS and result["bytes"] < BYTES


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=list(HOSTILE))
def test_a_hostile_file_is_refused_and_nothing_runs(number: int, results: dict[str, dict[str, Any]]) -> None:
    check(results[f"{number}.pt"], list(HOSTILE.values())[number][1])


def test_a_file_larger_than_any_checkpoint_is_refused(results: dict[str, dict[str, Any]]) -> None:
    check(results["sparse.pt"], "is larger than 4 GB")


def test_there_are_as_many_as_there_should_be() -> None:
    assert len(HOSTILE) >= 970
    assert len({data if isinstance(data, bytes) else name for name, (data, _) in HOSTILE.items()}) == len(HOSTILE)


def test_files_that_are_whole_are_read(results: dict[str, dict[str, Any]]) -> None:
    assert [results[f"{name}.pt"]["message"] for name in GOOD] == [None, None]
