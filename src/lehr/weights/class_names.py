"""Classes by their names: which class of some weights each class of a data set is.

A class is matched by its name, whatever its number. A name that differs only in case, blanks, hyphens and underscores
is taken as the same where that is certain: where no other class, of either side, is left that is written alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence


def match_names(names: Sequence[str], known: Sequence[str]) -> dict[int, int]:
    """Match classes by name: the index of each one among `known`, by its index among `names`; those without are absent.

    Of several classes of the same name the first counts.

    Args:
        names: the classes of the data, or of a model.
        known: those of the weights.
    """
    places = {name: place for place, name in reversed(list(enumerate(known)))}
    exact = {index: places[name] for index, name in enumerate(names) if name in places}
    left = [index for index in range(len(names)) if index not in exact]
    if not left:
        return exact
    taken = set(exact.values())
    free = [place for place in range(len(known)) if place not in taken]
    ours, theirs = ({index: _folded(text[index]) for index in part} for text, part in ((names, left), (known, free)))
    count_ours, count_theirs = Counter(ours.values()), Counter(theirs.values())
    by_form = {form: place for place, form in theirs.items()}
    alike = {index: by_form[form] for index, form in ours.items() if count_ours[form] == count_theirs[form] == 1}
    return dict(sorted((exact | alike).items()))


def _folded(name: str) -> str:
    """A name without what writers differ in."""
    return re.sub(r"[\s_-]+", " ", name.strip()).casefold()
