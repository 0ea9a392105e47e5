"""Effects of an ablation's techniques, in words and tables: for the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lehr.plots.ablation import BAD, GOOD, label_of
from lehr.report.numbers import NOTHING, changed, interval, measured
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.search.effects import NO_DIFFERENCE

if TYPE_CHECKING:
    from lehr.search.effects import Effect

SIGNS = {
    "\N{BLACK UP-POINTING TRIANGLE}": GOOD,
    "\N{BLACK DOWN-POINTING TRIANGLE}": BAD,
    "\N{WHITE CIRCLE}": (NO_DIFFERENCE,),
}
"""Signs that stand for verdicts in the tables of pages."""
HEAD = ("technique", "without", "with", "change", "95% interval", "seeds", "")


def sign_of(verdict: str) -> str:
    """The sign of a verdict; empty for one that is written out."""
    return next((sign for sign, verdicts in SIGNS.items() if verdict in verdicts), "")


def legend_of(effects: Mapping[str, Sequence[Effect]]) -> str:
    """A sentence with the signs that effects have, and what each means."""
    found = {effect.verdict for of_metric in effects.values() for effect in of_metric}
    meanings = [f"{sign} {' or '.join(each for each in verdicts if each in found)}"
                for sign, verdicts in SIGNS.items() if found & set(verdicts)]  # fmt: skip
    return f"{', '.join(meanings)}." if meanings else ""


def effects_text(effects: Mapping[str, Sequence[Effect]]) -> str:
    """A block per metric with a line per technique, in aligned columns; a last line says what no verdict means.

    Args:
        effects: by metric.
    """
    blocks = [
        _aligned(label_of(metric), [_row(effect) for effect in of_metric])
        for metric, of_metric in effects.items()
        if of_metric
    ]
    if any(effect.verdict == NO_DIFFERENCE for of_metric in effects.values() for effect in of_metric):
        blocks.append(f"Without a verdict: {NO_DIFFERENCE}.")
    return "\n\n".join(blocks)


def effects_markdown(effects: Mapping[str, Sequence[Effect]]) -> str:
    """A Markdown table: a row per technique, a column per metric; the line below it says how to read it.

    Args:
        effects: by metric.
    """
    metrics = [metric for metric, of_metric in effects.items() if of_metric]
    lines = [["technique", *(label_of(metric) for metric in metrics)], ["---"] * (len(metrics) + 1)]
    for technique in techniques_of(effects):
        found = [effect_of(effects, technique, metric) for metric in metrics]
        lines.append([technique, *(NOTHING if effect is None else _sentence_part(effect) for effect in found)])
    table = "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)
    return f"{table}\n\nMean change with the technique on (95% interval); without a verdict: {NO_DIFFERENCE}.\n"


def answers(effects: Mapping[str, Sequence[Effect]], metric: str = "map") -> list[str]:
    """A sentence per technique: first what helps, then what hurts, then what is undecided.

    Args:
        effects: by metric.
        metric: the metric that decides; fitness if it is missing, and the first one if both are.
    """
    metric = next((name for name in (metric, "fitness", *effects) if effects.get(name)), metric)
    ranked = sorted(effects.get(metric, ()), key=lambda effect: (_rank(effect), -abs(effect.difference or 0.0)))
    return [_sentence(effect) for effect in ranked]


def techniques_of(effects: Mapping[str, Sequence[Effect]]) -> list[str]:
    """The techniques of any metric, in the order in which they first appear."""
    return list(dict.fromkeys(effect.technique for of_metric in effects.values() for effect in of_metric))


def effect_of(effects: Mapping[str, Sequence[Effect]], technique: str, metric: str) -> Effect | None:
    """Effect of a technique on a metric; None if it was not measured."""
    return next((effect for effect in effects.get(metric, ()) if effect.technique == technique), None)


def _sentence(effect: Effect) -> str:
    verdict = effect.verdict.replace(":", ",")
    if effect.difference is None:
        return f"{effect.technique}: {verdict}."
    change = f"{changed(effect.metric, effect.difference)} {label_of(effect.metric)}"
    within = interval(effect.metric, effect.low, effect.high)
    known = ", ".join(part for part in (within, counted(len(effect.pairs), "seed")) if part)
    if effect.verdict in (*GOOD, *BAD):
        return f"{effect.technique} {verdict}: {change} ({known})."
    return f"{effect.technique}: {verdict} ({change}, {known})."


def _sentence_part(effect: Effect) -> str:
    if effect.difference is None:
        return effect.verdict
    within = interval(effect.metric, effect.low, effect.high)
    change = changed(effect.metric, effect.difference)
    text = f"{change}{f' ({within})' if within else ''}"
    return text if effect.verdict == NO_DIFFERENCE else f"{text}, {effect.verdict}"


def _rank(effect: Effect) -> int:
    if effect.difference is None:
        return 3
    return 0 if effect.verdict in GOOD else 1 if effect.verdict in BAD else 2


def _row(effect: Effect) -> tuple[str, ...]:
    metric = effect.metric
    return (
        effect.technique,
        measured(metric, effect.without),
        measured(metric, effect.with_),
        changed(metric, effect.difference),
        interval(metric, effect.low, effect.high) or NOTHING,
        str(len(effect.pairs)),
        "" if effect.verdict == NO_DIFFERENCE else effect.verdict,
    )


def _aligned(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    """A titled table whose first and last columns begin, and whose others end, at the same place."""
    lines = [HEAD, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    last = len(HEAD) - 1
    text = [
        "  ".join(
            cell.ljust(width) if column in (0, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([title, *text])


def _escaped(text: str) -> str:
    """Text that ends no cell, and is neither a tag nor a link, an image or code."""
    text = one_line(text.replace("\n", " "))
    for mark, replaced in (
        ("\\", "\\\\"),
        ("|", "\\|"),
        ("&", "&amp;"),
        ("<", "&lt;"),
        *((m, f"\\{m}") for m in "[]`*"),
    ):
        text = text.replace(mark, replaced)
    return text
