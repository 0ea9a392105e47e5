"""Categories of one or several COCO JSON as one numbering of classes, matched by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.data.formats.coco_ids import id_text, match_ids, plain_text, shown
from lehr.data.formats.coco_json import CocoFile
from lehr.errors import InputError
from lehr.sample import Fault, Severity


@dataclass(slots=True)
class _Category:
    """A category of a file.

    Attributes:
        id: as given.
        name: without spaces around it.
        parent: its supercategory; empty if there is none.
        count: annotations of it.
    """

    id: Any
    name: str
    parent: str
    count: int = 0


@dataclass(slots=True)
class Classes:
    """Classes of a data set.

    Attributes:
        names: the class names.
        of_annotation: by split, int64 (n,), the class of each annotation; -1 if the category is unknown.
        faults: how categories were read, where they could have been meant otherwise.
    """

    names: tuple[str, ...]
    of_annotation: dict[str, NDArray[np.int64]]
    faults: list[Fault] = field(default_factory=list)


def number_classes(files: Mapping[str, CocoFile]) -> Classes:
    """Number the categories of all files alike: by the ids of the first file, those of others by their names.

    Raises:
        InputError: a category has no usable id or name, an id or a name stands for two categories, or there is none.
    """
    faults: list[Fault] = []
    own: dict[str, list[_Category]] = {}
    found: dict[str, NDArray[np.int64]] = {}
    for split, file in files.items():
        own[split] = _categories_of(file, faults)
        matches = match_ids(file.annotations.category_ids, [category.id for category in own[split]])
        found[split] = matches.found
        if matches.by_text:
            faults.append(_note(file, "id-as-text", f"{matches.by_text} annotations {_AS_TEXT}"))
        counts = np.bincount(matches.found[matches.found >= 0], minlength=len(own[split]))
        for category, count in zip(own[split], counts.tolist(), strict=True):
            category.count = count
    dropped, background = _grouping(own), _background(own)
    first = next(iter(files.values()))
    if dropped:
        message = f"the category '{dropped}' only groups the others and has no annotations; it is not a class"
        faults.append(_note(first, "grouping-category", message))
    for name in sorted(background):
        message = (
            f"the category '{name}' has no annotations, and no class is needed for the background, so it is not one"
        )
        faults.append(_note(first, "grouping-category", message))
    names: list[str] = []
    of_annotation: dict[str, NDArray[np.int64]] = {}
    for split, file in files.items():
        kept = [c for c in own[split] if not (dropped and _is_root(c, own[split])) and c.name not in background]
        _require_distinct(file, kept)
        number = _add_names(names, file, first, kept, faults)
        order = np.array([number.get(category.name, -1) for category in own[split]] + [-1], np.int64)
        of_annotation[split] = order[found[split]]
    if not names:
        raise InputError(f"{first.path}: names no categories, so there is nothing to learn.")
    return Classes(tuple(names), of_annotation, [*faults, *_alike(files, names)])


_AS_TEXT = "refer to their category as text where its id is a number, or the other way round; they are matched as text"


def _categories_of(file: CocoFile, faults: list[Fault]) -> list[_Category]:
    """Check the categories of a file, and sort them by id where all ids are numbers."""
    categories: dict[str, _Category] = {}
    for position, record in enumerate(file.categories, 1):
        given = record.get("name")
        if given is None or isinstance(given, dict | list) or not str(given).strip():
            raise InputError(
                f"{file.path}: category {position} (id {shown(record.get('id'))}) has no usable name "
                f"({shown(json.dumps(given))})."
            )
        name = plain_text(given if isinstance(given, str) else json.dumps(given)).strip()
        key = None if isinstance(record.get("id"), list) else id_text(record.get("id"))
        if key is None:
            found = shown(json.dumps(record.get("id"))) if "id" in record else "missing"
            raise InputError(
                f"{file.path}: the category '{name}' has no usable id ({found}). Give each category its own number."
            )
        same = categories.setdefault(key, _Category(record["id"], name, _parent(record)))
        if same.name != name:
            raise InputError(
                f"{file.path}: the categories '{same.name}' and '{name}' both have the id {shown(key)}, so annotations "
                "cannot be told apart. Give each a unique id, or export again."
            )
    if all(key.lstrip("-").isdecimal() for key in categories):
        return [categories[key] for key in sorted(categories, key=int)]
    return list(categories.values())


def _parent(record: dict[str, Any]) -> str:
    parent = record.get("supercategory")
    return plain_text(parent).strip() if isinstance(parent, str) else ""


def _is_root(category: _Category, others: list[_Category]) -> bool:
    """Return whether all other categories name this one as their supercategory, as in exports of Roboflow."""
    return (
        len(others) > 1
        and category.count == 0
        and category.parent in ("", "none")
        and all(other.parent == category.name for other in others if other is not category)
    )


def _grouping(own: Mapping[str, list[_Category]]) -> str | None:
    """Return the name of the category that groups all others; None if there is none, or it has annotations."""
    roots = {category.name for categories in own.values() for category in categories if _is_root(category, categories)}
    if len(roots) != 1:
        return None
    (name,) = roots
    used = any(c.count and c.name == name and c.parent != name for categories in own.values() for c in categories)
    return None if used else name


def _background(own: Mapping[str, list[_Category]]) -> set[str]:
    """Return the names of categories for the background, as some tools add one, that have no annotations."""
    used = {category.name for categories in own.values() for category in categories if category.count}
    named = {category.name for categories in own.values() for category in categories}
    return {name for name in named - used if name.strip("_").lower() in ("background", "bg")}


def _require_distinct(file: CocoFile, categories: list[_Category]) -> None:
    seen: dict[str, _Category] = {}
    for category in categories:
        other = seen.setdefault(category.name, category)
        if other is not category:
            raise InputError(
                f"{file.path}: two categories are named '{category.name}' "
                f"(ids {shown(other.id)} and {shown(category.id)}). Rename one, or, if they are one class, "
                "give the annotations of both one id."
            )


def _add_names(
    names: list[str], file: CocoFile, first: CocoFile, categories: list[_Category], faults: list[Fault]
) -> dict[str, int]:
    """Number the categories of a file, add those that are new, and say in what the file differs from the first."""
    if not names:
        names += [category.name for category in categories]
        return {name: number for number, name in enumerate(names)}
    numbers = {name: number for number, name in enumerate(names)}
    own = {category.name: id_text(category.id) for category in categories}
    free = [name for name in names if name not in own]
    differing, extra = [], []
    for category in categories:
        if category.name in numbers:
            continue
        alike = [name for name in free if _plain(name) == _plain(category.name)]
        if len(alike) == 1:
            numbers[category.name] = numbers[alike[0]]
            differing.append(f"'{category.name}' is taken for '{alike[0]}'")
            free.remove(alike[0])
        elif category.count:
            numbers[category.name] = len(names)
            names.append(category.name)
            extra.append(f"'{category.name}'")
    if differing:
        message = f"categories are written otherwise than in {first.path}: {', '.join(differing)}"
        faults.append(Fault("categories-differ", file.path, message, severity=Severity.WARNING))
    if extra:
        message = (
            f"has categories that {first.path} lacks: {', '.join(extra)}. They are classes without training images"
        )
        faults.append(Fault("categories-differ", file.path, message, severity=Severity.WARNING))
    theirs = {_record_name(record): id_text(record.get("id")) for record in first.categories}
    lacking = [name for name in free if name in theirs]
    otherwise = [name for name, key in own.items() if name in theirs and theirs[name] != key]
    what = [f"lacks {', '.join(lacking)}"] if lacking else []
    what += (
        [f"numbers {', '.join(otherwise[:5])}{', ...' if len(otherwise) > 5 else ''} otherwise"] if otherwise else []
    )
    if what:
        message = f"of the categories of {first.path} it {' and '.join(what)}; they are matched by name"
        faults.append(_note(file, "categories-differ", message))
    return numbers


def _record_name(record: dict[str, Any]) -> str:
    given = record.get("name")
    return plain_text(given if isinstance(given, str) else json.dumps(given)).strip()


def _plain(name: str) -> str:
    return "".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _alike(files: Mapping[str, CocoFile], names: list[str]) -> list[Fault]:
    """Say which names differ only in case or spaces."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(name.casefold().split()), []).append(name)
    same = [" and ".join(f"'{name}'" for name in group) for group in groups.values() if len(group) > 1]
    if not same:
        return []
    message = f"names of classes differ only in case or spaces: {', '.join(same)}. If they are one, name them alike"
    return [Fault("categories-differ", next(iter(files.values())).path, message, severity=Severity.WARNING)]


def _note(file: CocoFile, kind: str, message: str) -> Fault:
    return Fault(kind, file.path, message, severity=Severity.NOTE)
