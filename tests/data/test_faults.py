"""The vocabulary of faults: complete, and many of one kind are one line."""

from __future__ import annotations

import re
from pathlib import Path

import lehr
from lehr.data.faults import KINDS, describe_faults, group_faults
from lehr.sample import Fault, Severity


def test_every_kind_that_the_code_uses_is_in_the_vocabulary() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in Path(lehr.__file__).parent.rglob("*.py"))
    plain, of_images = r"\bFault\(\s*\"([a-z-]+)\"", r"ImageFault\(\w+, \"([a-z-]+)\""
    used = set(re.findall(plain, source)) | set(re.findall(of_images, source))
    assert len(used) > 10
    assert used <= set(KINDS)


def test_many_faults_of_a_kind_are_one_line_with_the_first_places_and_the_remedy() -> None:
    faults = [Fault("missing-label", Path(f"{i}.jpg"), "no label file") for i in range(5)]
    faults.append(Fault("polygon", Path("a.txt"), "holds polygons", 3, Severity.WARNING))
    faults += [Fault("malformed-line", Path(f"{i}.txt"), "is broken", i + 1) for i in range(7)]
    groups = group_faults(faults)
    lines = [str(group) for group in groups]
    assert lines[0].startswith("error: 7 unreadable labels, skipped. Correct or remove them.")
    assert lines[0].endswith("First: 0.txt:1; 1.txt:2; 2.txt:3")
    assert lines[1].startswith("error: 5 images without a label file") and "Restore the label files" in lines[1]
    assert lines[2] == "a.txt:3: warning: holds polygons [polygon]"
    assert describe_faults(faults) == [*lines, "`lehr data check` lists every one of them."]
    assert describe_faults([]) == []
    assert [len(group.lines()) for group in groups] == [5, 5, 1] and [len(group.lines(0)) for group in groups] == [
        7,
        5,
        1,
    ]
    assert groups[0].lines()[-1] == "  ... and 4 more of this kind" and groups[0].lines()[1] == f"  {faults[6]}"
