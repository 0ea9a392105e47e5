"""`lehr data audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.cli.options import Data, Device
from lehr.options.help_groups import HelpGroup
from lehr.runtime.counted import counted

if TYPE_CHECKING:
    from lehr.analysis.suspects import Suspect
    from lehr.data.audit.findings import Finding
    from lehr.sample import Dataset, Sample

DEFAULT_IMGSZ = 640
PAGE, FINDINGS, SKIP = "audit.html", "audit.json", "skip.txt"


def audit(
    data: Data,
    *,
    weights: Annotated[Path | None, Parameter(group=HelpGroup.BASICS)] = None,
    imgsz: Annotated[int | None, Parameter(group=HelpGroup.BASICS, validator=Number(gte=1))] = None,
    device: Device = "auto",
    most: Annotated[int, Parameter(group=HelpGroup.OUTPUT, validator=Number(gte=0))] = 3,
    out: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT, metavar="FOLDER")] = None,
    json: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
) -> None:
    """Find leaks, copies, tiny objects and label errors.

    Near copies are found even if resized, cropped or brightened.
    `lehr data check` finds what cannot be read.

    Parameters
    ----------
    weights:
        Rank likely label errors, too, by these weights.
    imgsz:
        Longest side of images in training, pixels (unset: that of the weights, or 640).
    most:
        Findings of each kind to list; 0 lists all.
    out:
        Write audit.html, audit.json and skip.txt here; skip.txt is for `lehr train --skip`.
    json:
        Write all findings to this file.

    Examples
    --------
    Look for copies between the splits:
        lehr data audit data.yaml
    Find label errors with a trained model, and write a page:
        lehr data audit data.yaml --weights runs/train --out audit/
    """
    from lehr.cli.output import check_output, check_output_folder, say, write_json
    from lehr.data.audit.copy_findings import near_copy_findings
    from lehr.data.audit.findings import FindingKind, class_findings, small_findings
    from lehr.data.load import load_dataset
    from lehr.report.audit_page import Audit, audit_answers, audit_page
    from lehr.report.page import write_page
    from lehr.runtime.atomic_write import atomic_dir

    check_output(json, "--json")
    if out is not None:
        check_output_folder(out, "--out")
    dataset = load_dataset(data, needed=())
    copies, unread = near_copy_findings(dataset, say)
    suspects: list[tuple[str, Sample, Suspect]] = []
    if weights is not None:
        suspects, trained = _suspects(weights, data, dataset, imgsz, device)
        imgsz = imgsz or trained
    imgsz = imgsz or DEFAULT_IMGSZ
    labels = [_of_label(split, sample, suspect, dataset.names) for split, sample, suspect in suspects]
    findings = [*copies, *class_findings(dataset), *small_findings(dataset, imgsz), *labels]
    named = [(sample, suspect) for _, sample, suspect in suspects]
    result = Audit(dataset, imgsz, findings, named, unread, weights)
    for answer in audit_answers(result):
        say(answer)
    for kind in FindingKind:
        found = result.of_kind(kind)
        for finding in found[: most or None]:
            say(f"{finding.image}: {finding.reason} [{kind}, {finding.score:.2f}]")
        if most and len(found) > most:
            say(f"... and {len(found) - most} more [{kind}]")
    if json is not None:
        write_json(json, result.as_dict())
    if out is not None:
        from lehr.data.skip_list import write_skip_list

        def write(folder: Path) -> None:
            write_json(folder / FINDINGS, result.as_dict())
            write_skip_list(findings, folder / SKIP)
            write_page(audit_page(result, out / SKIP), folder / PAGE)

        atomic_dir(out, write, "Choose another --out.")
        skipped = len({finding.image for finding in findings if finding.skip})
        images = counted(skipped, "image")
        say(f"{out / PAGE}: the page. {out / SKIP}: {images} to train without, for lehr train --skip.")


def _suspects(
    weights: Path, data: str, dataset: Dataset, imgsz: int | None, device: str
) -> tuple[list[tuple[str, Sample, Suspect]], int]:
    """Split, image and suspect of each likely label error, the likeliest first; and the size of the model's images."""
    from lehr.analysis.record import make_record
    from lehr.analysis.suspects import find_suspects
    from lehr.cli.output import say
    from lehr.detector import Detector

    detector = Detector.load(weights, device=device)
    for note in detector.notes:
        say(note)
    found = []
    for split, samples in dataset.splits.items():
        if not any(len(sample.classes) for sample in samples):
            continue
        say(f"Comparing the labels of {split} with {weights}.")
        evaluation = detector.val(data, split=split, imgsz=imgsz, skip_broken=True)  # type: ignore[arg-type]
        record = make_record(evaluation)
        own = {name: number for number, name in enumerate(dataset.names)}
        numbers = [own.get(name, number) for number, name in enumerate(record.names)]
        found += [
            (split, record.samples[suspect.image], _renumbered(suspect, numbers)) for suspect in find_suspects(record)
        ]
    found.sort(key=lambda each: -each[2].score)
    return found, detector.model.imgsz


def _renumbered(suspect: Suspect, numbers: list[int]) -> Suspect:
    """A suspect with the data set's class numbers for those of the record."""
    from dataclasses import replace

    labelled, detected = suspect.class_id, suspect.found_class
    return replace(
        suspect,
        class_id=None if labelled is None else numbers[labelled],
        found_class=None if detected is None else numbers[detected],
    )


def _of_label(split: str, sample: Sample, suspect: Suspect, names: tuple[str, ...]) -> Finding:
    from lehr.data.audit.findings import Finding, FindingKind

    reason = f"{suspect.kind}: {suspect.reason(names)}"
    return Finding(FindingKind.LABEL, sample.path, split, reason, suspect.score, (), suspect.box)
