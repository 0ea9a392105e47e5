"""`lehr data check|stats|split|convert`; `audit` is in a separate file."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.cli.options import Data
from lehr.options.help_groups import HelpGroup
from lehr.runtime.counted import counted

if TYPE_CHECKING:
    from lehr.sample import Fault

Out = Annotated[
    Path, Parameter(group=HelpGroup.BASICS, metavar="FOLDER", help="Folder to write; must be new or empty.")
]


def check(
    data: Data,
    *,
    most: Annotated[int, Parameter(group=HelpGroup.OUTPUT, validator=Number(gte=0))] = 3,
    json: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    fix: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT, metavar="FOLDER")] = None,
) -> int:
    """Report every fault, with file and line.

    The exit code is 1 where there are errors. Training skips or refuses errors; warnings only look wrong; notes say how
    something ambiguous was read. Every image is decoded.

    Parameters
    ----------
    most:
        Faults of each kind to list; 0 lists all.
    json:
        Write all faults to this file.
    fix:
        Write a corrected copy in YOLO layout to this folder. Only what is certain is corrected; changes.txt lists it.

    Examples
    --------
    Check a data set before training:
        lehr data check data.yaml
    Write a corrected copy:
        lehr data check data.yaml --fix corrected/
    """
    from lehr.cli.output import check_output, check_output_folder, say, write_json
    from lehr.data.check import check_dataset
    from lehr.data.faults import count_kinds, group_faults
    from lehr.data.load import load_dataset
    from lehr.data.mend import CHANGES, mend, write_mended
    from lehr.sample import Severity

    check_output(json, "--json")
    if fix is not None:
        check_output_folder(fix, "--fix")
    dataset = load_dataset(data)
    faults = check_dataset(dataset)
    for group in group_faults(faults):
        for line in group.lines(most):
            say(line)
    if json is not None:
        rows = [
            {"kind": f.kind, "severity": str(f.severity), "path": str(f.path), "line": f.line, "message": f.message}
            for f in faults
        ]
        write_json(json, rows)
    count = Counter(fault.severity for fault in faults)
    images = sum(len(samples) for samples in dataset.splits.values())
    summary = (
        f"{data}: {counted(images, 'usable image')}, {counted(count[Severity.ERROR], 'error')}, "
        f"{counted(count[Severity.WARNING], 'warning')}"
    )
    say(summary + (f" ({count_kinds(faults)})" if faults else ""))
    if fix is not None:
        mended = mend(dataset, faults)
        write_mended(mended, fix)
        copied = sum(len(samples) for samples in mended.dataset.splits.values())
        say(
            f"{fix / 'data.yaml'}: {counted(copied, 'image')}; {counted(len(mended.changed), 'fault')} corrected, "
            f"{len(mended.left)} not, "
            f"{counted(len(mended.missing), 'image')} not copied: see {fix / CHANGES}"
        )
    return 1 if count[Severity.ERROR] else 0


def stats(data: Data) -> None:
    """Describe the splits: images, objects and sizes.

    Examples
    --------
    See how many objects of each class there are:
        lehr data stats data.yaml
    """
    from lehr.cli.output import say
    from lehr.data.faults import describe_faults
    from lehr.data.load import load_dataset
    from lehr.data.stats import describe
    from lehr.runtime.plain_text import one_line

    dataset = load_dataset(data)
    described = describe(dataset)
    say(f"{data}: {counted(len(dataset.names), 'class')}")
    for line in describe_faults(dataset.faults):
        say(line)
    rows: list[tuple[str, list[str]]] = [("", list(described))]
    rows += [
        ("images", [str(each.images) for each in described.values()]),
        ("without objects", [str(each.background) for each in described.values()]),
        ("objects", [str(each.instances) for each in described.values()]),
        ("most in an image", [str(each.max_objects) for each in described.values()]),
        ("small (< 32x32 px)", [str(each.small) for each in described.values()]),
        ("medium", [str(each.medium) for each in described.values()]),
        ("large (>= 96x96 px)", [str(each.large) for each in described.values()]),
        ("median image, px", [_sides(each.median_size) for each in described.values()]),
        ("median object, px", [_sides(each.median_box) for each in described.values()]),
    ]
    if any(each.difficult or each.crowds for each in described.values()):
        rows += [
            ("difficult, not evaluated", [str(each.difficult) for each in described.values()]),
            ("crowds, not evaluated", [str(each.crowds) for each in described.values()]),
        ]
    for name in dataset.names:
        own = [f"{each.objects[name]} in {each.images_with[name]}" for each in described.values()]
        rows.append((f"{one_line(name)}, objects in images", own))
    width = max(len(title) for title, _ in rows)
    for title, values in rows:
        say(f"{title:<{width}} " + " ".join(f"{value:>14}" for value in values))


def _sides(size: tuple[float, float]) -> str:
    """Width and height, to a tenth of a pixel."""
    return "x".join(f"{round(side, 1):g}" for side in size)


def split(
    data: Data,
    *,
    out: Out,
    ratios: Annotated[str, Parameter(group=HelpGroup.BASICS)] = "0.7,0.3",
    seed: Annotated[int, Parameter(group=HelpGroup.BASICS)] = 0,
    group_by: Annotated[str, Parameter(group=HelpGroup.BASICS, metavar="KIND")] = "auto",
) -> None:
    """Split all images again, stratified by class.

    The same seed gives the same splits. A YOLO data set gets a new data.yaml; its images stay where they are. Other
    layouts are written as YOLO, with copies.

    Parameters
    ----------
    ratios:
        Shares of train and val, or of train, val and test.
    seed:
        Seed of the split.
    group_by:
        What stays in one split: auto, folder, video or none. `auto`: images of the same content; `video`: names that
        differ in their last number. A regular expression groups by its first group.

    Examples
    --------
    Split into 80% for training and 20% for validation:
        lehr data split data.yaml --out split/ --ratios 0.8,0.2
    Keep the frames of each video together:
        lehr data split data.yaml --out split/ --group-by video
    """
    from lehr.cli.output import check_output_folder, say
    from lehr.data.check import refuse_unusable
    from lehr.data.formats.yolo_labels import label_path
    from lehr.data.groups import describe_groups, group_samples
    from lehr.data.load import load_dataset
    from lehr.data.split import parse_ratios, split_samples
    from lehr.data.write import linked_from_outside, lost_in_writing, write_dataset, write_lists
    from lehr.errors import InputError

    shares = parse_ratios(ratios)
    check_output_folder(out, "--out")
    dataset = load_dataset(data)
    every = {sample.path: sample for each in dataset.splits.values() for sample in each}
    samples = sorted(every.values(), key=lambda sample: str(sample.path))
    if not samples:
        raise InputError(f"{data}: has no usable image. Run `lehr data check`.")
    groups = group_samples(samples, group_by)
    dealt = split_samples(samples, shares, seed, groups)
    empty = [name for name, each in dealt.items() if not each]
    if empty:
        raise InputError(
            f"--ratios {ratios} --group-by {group_by}: leaves '{empty[0]}' without an image; there are {len(samples)} "
            f"images in {counted(len(set(groups)), 'group')}. Choose another grouping, or give it more."
        )
    as_split = replace(dataset, splits=dict(dealt))
    lines = describe_groups(samples, groups, group_by)
    if all(sample.label_path in (None, label_path(sample.path)) for sample in samples):
        write_lists(as_split, out)
    else:
        refuse_unusable(dataset)
        write_dataset(as_split, "yolo", out)
        lines += [*lost_in_writing(as_split, "yolo"), *linked_from_outside(as_split)]
    counts = ", ".join(f"{name} {len(each)}" for name, each in dealt.items())
    for line in (*lines, f"{out / 'data.yaml'}: {counts} images", *_skipped(dataset.faults)):
        say(line)


def convert(
    data: Data, *, to: Annotated[Literal["yolo", "coco", "datasets"], Parameter(group=HelpGroup.BASICS)], out: Out
) -> None:
    """Write a data set in another layout.

    Its images are copied. A folder of Hugging Face `save_to_disk` is read, too.

    Parameters
    ----------
    to:
        Layout to write; `datasets` is that of Hugging Face.

    Examples
    --------
    Convert VOC to YOLO:
        lehr data convert VOC2007/ --to yolo --out yolo/
    Convert YOLO to COCO:
        lehr data convert data.yaml --to coco --out coco/
    """
    from lehr.cli.output import check_output_folder, say
    from lehr.data.check import refuse_unusable
    from lehr.data.load import load_dataset
    from lehr.data.write import linked_from_outside, lost_in_writing, write_dataset
    from lehr.integrations.hugging_face import save_datasets, unpacked

    check_output_folder(out, "--out")
    with unpacked(data) as source:
        dataset = load_dataset(source)
        refuse_unusable(dataset)
        if to == "datasets":
            save_datasets(dataset, out)
        else:
            write_dataset(dataset, to, out)
    counts = ", ".join(f"{name} {len(each)}" for name, each in dataset.splits.items())
    kept = ("crowd", "difficult") if to == "coco" else ()
    lines = [
        *lost_in_writing(dataset, to),
        *(linked_from_outside(dataset) if source == data else ()),
        f"{out}: {counts} images {'for datasets.load_from_disk' if to == 'datasets' else f'in {to.upper()} layout'}",
    ]
    for line in (*lines, *_skipped(tuple(fault for fault in dataset.faults if fault.kind not in kept))):
        say(line)


def _skipped(faults: tuple[Fault, ...]) -> list[str]:
    """Return lines on what was changed or skipped in a written data set."""
    from lehr.data.faults import describe_faults
    from lehr.sample import Severity

    lines = describe_faults(fault for fault in faults if fault.severity is not Severity.NOTE)
    return ["Changed or skipped:", *lines] if lines else []
