"""Class names of a VOC folder: those that occur, in the order of a list of them if there is one."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from lehr.data.formats.voc_objects import class_name
from lehr.data.limits import NAMES_BYTES
from lehr.data.text_files import read_text
from lehr.runtime.counted import counted
from lehr.sample import Fault, Severity

LISTS = ("labelmap.txt", "label_list.txt", "labels.txt", "classes.txt")
"""Lists of classes that labelling tools write; the first is CVAT's and datumaro's, with colours behind the names."""
NO_CLASSES = frozenset({"background", "__background__", "_background_", "__ignore__"})
"""Names that lists have for what is not an object."""


def voc_names(folder: Path, used: Counter[str]) -> tuple[tuple[str, ...], list[Fault]]:
    """Class names in the order in which they are numbered.

    Args:
        folder: where a list of them may be.
        used: objects of each class.
    """
    faults = list(_alike(folder, used))
    found = next((folder / name for name in LISTS if (folder / name).is_file()), None)
    listed = () if found is None else _listed(found)
    listed = tuple(name for name in listed if name in used or name.lower() not in NO_CLASSES)
    if found is None or not listed:
        return tuple(sorted(used)), faults
    missing = sorted(used.keys() - set(listed))
    if missing:
        message = (
            f"lacks {_some(missing)}, of which there are objects: it is not used, and classes are in the order of the "
            "alphabet"
        )
        return tuple(sorted(used)), [*faults, Fault("class-list", found, message, severity=Severity.WARNING)]
    message = f"gives the classes and their order: {_some(listed)}"
    return listed, [*faults, Fault("class-list", found, message, severity=Severity.NOTE)]


def _listed(path: Path) -> tuple[str, ...]:
    try:
        text = read_text(path, NAMES_BYTES)
    except OSError:
        return ()
    lines = [] if text is None else text.content.splitlines()
    names = [line.split(":")[0] if path.name == LISTS[0] else line for line in lines if not line.startswith("#")]
    return tuple(dict.fromkeys(filter(None, map(class_name, names))))


def _alike(folder: Path, used: Counter[str]) -> Iterable[Fault]:
    """Faults of names that differ in capitals, blanks, hyphens and the like alone."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(used):
        alike[re.sub(r"[\s_-]+", "", name).casefold()].append(name)
    for names in alike.values():
        if len(names) > 1:
            shown = " and ".join(f"'{name}' ({counted(used[name], 'object')})" for name in names)
            message = f"has the classes {shown}, which may be one. They are kept apart; give both one name if they are"
            yield Fault("similar-classes", folder, message, severity=Severity.WARNING)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
