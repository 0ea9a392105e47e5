"""`lehr data check|stats|split|convert`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from lehr.sample import Fault

app = App(name="data", help="Check, describe, split and convert data sets.")

Source = Annotated[str, Parameter(help="A data YAML, a folder, a VOC folder, a COCO JSON, or `shapes` (generated).")]
Out = Annotated[Path, Parameter(help="The folder to write; must not exist or be empty.")]


@app.command
def check(
    data: Source, *, most: Annotated[int, Parameter(validator=Number(gte=0))] = 100, json: Path | None = None
) -> int:
    """Report everything that is wrong, with file and line; exit 1 when there are errors.

    Decodes every image. Errors are what training skips or refuses; warnings only look wrong.

    Parameters
    ----------
    most:
        Faults listed; 0 lists all.
    json:
        Write all faults to this file.
    """
    from lehr.cli.output import check_output, say, write_json
    from lehr.data.check import check_dataset, count_kinds
    from lehr.data.load import load_dataset
    from lehr.sample import Severity

    check_output(json, "--json")
    dataset = load_dataset(data)
    faults = check_dataset(dataset)
    listed = faults if most == 0 else faults[:most]
    for fault in listed:
        say(str(fault))
    if len(listed) < len(faults):
        say(f"... and {len(faults) - len(listed)} more; --most 0 lists all")
    if json is not None:
        rows = [
            {"kind": f.kind, "severity": str(f.severity), "path": str(f.path), "line": f.line, "message": f.message}
            for f in faults
        ]
        write_json(json, rows)
    count = Counter(fault.severity for fault in faults)
    images = sum(len(samples) for samples in dataset.splits.values())
    summary = f"{data}: {images} usable images, {count[Severity.ERROR]} errors, {count[Severity.WARNING]} warnings"
    say(summary + (f" ({count_kinds(faults)})" if faults else ""))
    return 1 if count[Severity.ERROR] else 0


@app.command
def stats(data: Source) -> None:
    """Describe the splits: images, objects of each class, and their sizes."""
    from lehr.cli.output import say
    from lehr.data.check import count_kinds
    from lehr.data.load import load_dataset
    from lehr.data.stats import describe

    dataset = load_dataset(data)
    described = describe(dataset)
    say(f"{data}: {len(dataset.names)} classes")
    if dataset.faults:
        say(f"faults: {count_kinds(dataset.faults)}; `lehr data check` lists them")
    rows: list[tuple[str, list[str]]] = [("", list(described))]
    rows += [
        ("images", [str(each.images) for each in described.values()]),
        ("without objects", [str(each.background) for each in described.values()]),
        ("objects", [str(each.instances) for each in described.values()]),
        ("most in an image", [str(each.max_objects) for each in described.values()]),
        ("small (< 32x32 px)", [str(each.small) for each in described.values()]),
        ("medium", [str(each.medium) for each in described.values()]),
        ("large (>= 96x96 px)", [str(each.large) for each in described.values()]),
        ("median image, px", ["{:g}x{:g}".format(*each.median_size) for each in described.values()]),
        ("median object, px", ["{:g}x{:g}".format(*each.median_box) for each in described.values()]),
    ]
    if any(each.difficult or each.crowds for each in described.values()):
        rows += [
            ("difficult, not evaluated", [str(each.difficult) for each in described.values()]),
            ("crowds, not evaluated", [str(each.crowds) for each in described.values()]),
        ]
    for name in dataset.names:
        own = [f"{each.objects[name]} in {each.images_with[name]}" for each in described.values()]
        rows.append((f"{name}, objects in images", own))
    width = max(len(title) for title, _ in rows)
    for title, values in rows:
        say(f"{title:<{width}} " + " ".join(f"{value:>14}" for value in values))


@app.command
def split(data: Source, *, out: Out, ratios: str = "0.7,0.3", seed: int = 0) -> None:
    """Split all images anew, stratified by class: the same seed deals them the same way.

    A YOLO data set gets a new data.yaml with lists of its images; other layouts are written as YOLO, with copies.

    Parameters
    ----------
    ratios:
        Shares of train and val, or of train, val and test; they add up to 1.
    seed:
        Seed of the dealing.
    """
    from lehr.cli.output import check_output_folder, say
    from lehr.data.formats.yolo_labels import label_path
    from lehr.data.load import load_dataset
    from lehr.data.split import parse_ratios, split_samples
    from lehr.data.write import write_dataset, write_lists
    from lehr.sample import Dataset

    shares = parse_ratios(ratios)
    check_output_folder(out, "--out")
    dataset = load_dataset(data)
    samples = sorted((s for each in dataset.splits.values() for s in each), key=lambda sample: str(sample.path))
    stripe = Dataset(dataset.source, dataset.names, dict(split_samples(samples, shares, seed)), dataset.faults)
    if all(sample.label_path in (None, label_path(sample.path)) for sample in samples):
        write_lists(stripe, out)
    else:
        write_dataset(stripe, "yolo", out)
    counts = ", ".join(f"{name} {len(each)}" for name, each in stripe.splits.items())
    say(f"{out / 'data.yaml'}: {counts} images")
    _tell_skipped(dataset.faults)


@app.command
def convert(data: Source, *, to: Literal["yolo", "coco"], out: Out) -> None:
    """Write a data set in another layout, with copies of its images.

    Parameters
    ----------
    to:
        The layout to write.
    """
    from lehr.cli.output import check_output_folder, say
    from lehr.data.check import refuse_unusable
    from lehr.data.load import load_dataset
    from lehr.data.write import write_dataset

    check_output_folder(out, "--out")
    dataset = load_dataset(data)
    refuse_unusable(dataset)
    write_dataset(dataset, to, out)
    counts = ", ".join(f"{name} {len(each)}" for name, each in dataset.splits.items())
    say(f"{out}: {counts} images in {to.upper()} layout")
    kept = ("crowd", "difficult") if to == "coco" else ()
    _tell_skipped(tuple(fault for fault in dataset.faults if fault.kind not in kept))


def _tell_skipped(faults: tuple[Fault, ...]) -> None:
    from lehr.cli.output import say
    from lehr.data.check import count_kinds

    if faults:
        say(f"Not written as it stood: {count_kinds(faults)}; `lehr data check` lists them")
