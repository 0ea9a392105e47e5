"""The page of an evaluation of any weights on any split: quality, mistakes, suspects; its figures and numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from lehr.analysis.analyse import Analysis, analyse
from lehr.analysis.record import DetectionRecord
from lehr.analysis.record_file import save_record
from lehr.checkpoint.run_folder import DETECTIONS, PAGE, PLOTS
from lehr.report.drawing import draw_sections
from lehr.report.page import Page, write_page
from lehr.report.pieces import Section
from lehr.report.sections.mistakes import mistakes_section
from lehr.report.sections.quality import quality_section
from lehr.report.sections.suspects import suspects_section
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.plain_text import as_json

NUMBERS = "analysis.json"
REMEDY = "Make room, or choose another folder."


class Findings:
    """Sections on the detections of some weights, which are read and analysed once, when a section asks.

    Args:
        load: reads the detections; None if there are none.
    """

    def __init__(self, load: Callable[[], DetectionRecord | None]) -> None:
        self._load = load

    @cached_property
    def record(self) -> DetectionRecord | None:
        """The detections and the objects."""
        return self._load()

    @cached_property
    def analysis(self) -> Analysis | None:
        """Their analysis."""
        return None if self.record is None else analyse(self.record)

    def quality(self) -> Section | None:
        """Return the section on quality."""
        found = self.analysis
        return None if found is None else quality_section(found.quality, found.confusion)

    def mistakes(self) -> Section | None:
        """Return the section on mistakes."""
        found = self.analysis
        if found is None:
            return None
        return mistakes_section(found.record, found.mistakes, None if found.gains is None else found.gains.kinds)

    def suspects(self) -> Section | None:
        """Return the section on suspected label errors."""
        return None if self.record is None else suspects_section(self.record)


def write_analysis(
    record: DetectionRecord,
    folder: Path,
    title: str,
    summary: Sequence[tuple[str, str]],
    notes: Sequence[str],
    *,
    plot_kinds: Sequence[str] = (".png", ".svg"),
) -> tuple[list[str], list[str]]:
    """Write the page of an evaluation, its figures, its numbers as JSON, and its detections into a folder.

    Args:
        record: the detections and the objects.
        folder: the folder, which is there.
        title: of the page.
        summary: labels and values at its top.
        notes: what to keep in mind, a paragraph each.
        plot_kinds: endings of the figures' files; none draws none.

    Returns:
        The results, a sentence each; and the names of figures that were not drawn because matplotlib is missing.

    Raises:
        InputError: a file cannot be written.
    """
    findings = Findings(lambda: record)
    found = findings.analysis
    assert found is not None
    made = (findings.quality(), findings.mistakes(), findings.suspects())
    sections = [section for section in made if section is not None]
    answers = list(sections[0].answers[:2])
    save_record(record, folder / DETECTIONS)
    with atomic_file(folder / NUMBERS, REMEDY) as temporary:
        temporary.write_text(as_json(found.as_dict()) + "\n", encoding="utf-8")
    write_page(Page(title, "lehr val", answers, summary, notes, sections), folder / PAGE)
    return answers, draw_sections(sections, folder / PLOTS, kinds=plot_kinds)
