"""A certificate: an export has been run in its own runtime on real images, and computes what its model does."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lehr.backends.exported_network import ExportedNetwork
from lehr.data.batch_makers import EvalBatches
from lehr.data.cache import ImageStore
from lehr.data.load import load_dataset, require_split
from lehr.errors import LehrError
from lehr.evaluation.shared_classes import share_classes
from lehr.export.agreement import Agreement, Side, batch_of, compare_networks, requests_of
from lehr.export.latency import Latency, measure_latency
from lehr.export.parting import Parting, find_parting
from lehr.export.tolerance import TOLERANCES, Tolerance
from lehr.models.detection import DetectionModel
from lehr.models.fuse import fuse
from lehr.models.module_copy import copy_module
from lehr.models.network import PADDING
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.counted import counted
from lehr.runtime.cpu_name import cpu_name
from lehr.runtime.plain_text import one_line
from lehr.sample import Dataset, Sample
from lehr.version import __version__

FEWEST, MOST = 32, 1000
"""Images: with fewer than the first in the validation split those of the training join; more than the second are not
looked at, but as many evenly over the split."""
ENDING = ".certificate.json"
TIMED = 8
"""Images that latency is measured on."""
MIN_MAP = 0.01
"""Average precision below which it is not compared: a model that has learned nothing yet has thousands of detections of
almost equal scores, whose order rounding changes. Boxes, scores and detections are compared all the same."""


class ExportMismatch(LehrError):
    """An export that does not compute what its model does."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Measurements of an export.

    Attributes:
        name: of the export.
        variant: of the model.
        precision: that the export computes in.
        runtime: that it was run in.
        data: what `--data` named.
        images: that were compared.
        notes: on the images, one line each.
        tolerance: within which it passes.
        agreement: boxes, scores and detections.
        latency: of the model, its BatchNorm folded, and of the export; milliseconds per image.
        threads: that both computed with.
        bytes: of the model's weights, and of the export.
        parting: where it parts; None if it passes.
        reasons: what is outside the tolerance, one line each; empty if it passes.
    """

    name: str
    variant: str
    precision: str
    runtime: str
    data: str
    images: int
    notes: tuple[str, ...]
    tolerance: Tolerance
    agreement: Agreement
    latency: tuple[Latency, Latency]
    threads: int
    bytes: tuple[int, int]
    parting: Parting | None
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """True if everything is within the tolerance."""
        return not self.reasons

    def describe(self) -> list[str]:
        """The measurements, one per line."""
        own, agreement = self.agreement.metrics, self.agreement
        assert own is not None
        lines = [
            f"Certificate: {counted(self.images, 'image')} of {self.data}, {self.runtime} against "
            f"{self.variant} in torch."
        ]
        lines += self.notes
        if agreement.boxes is not None and agreement.scores is not None:
            lines.append(f"Boxes differ by {agreement.boxes:.2g} pixels at most, scores by {agreement.scores:.2g}.")
        lines.append(
            f"Detections: {agreement.detections} of the model, {agreement.found} of the export, {agreement.unmatched} "
            "without a counterpart."
        )
        for title, name in (("mAP50", "map50"), ("mAP50-95", "map")):
            before, after = (_number(getattr(metrics, name)) for metrics in own)
            lines.append(f"{title}: {before} of the model, {after} of the export.")
        model, export = self.latency
        threads = f"{self.threads} thread" + ("s" if self.threads != 1 else "")
        lines.append(
            f"Latency: {model.median:.1f} ms of the model (95 %: {model.p95:.1f}), {export.median:.1f} ms of the "
            f"export (95 %: {export.p95:.1f}): {model.median / export.median:.2f} times as fast, {threads}."
        )
        lines.append(f"Size: {self.bytes[0] / 1e6:.1f} MB of weights, {self.bytes[1] / 1e6:.1f} MB of the export.")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        own, agreement = self.agreement.metrics, self.agreement
        assert own is not None
        both = ("model", "export")
        return {
            "format": 1,
            "export": self.name,
            "passed": self.passed,
            "model": self.variant,
            "precision": self.precision,
            "runtime": self.runtime,
            "data": self.data,
            "images": self.images,
            "tolerance": asdict(self.tolerance),
            "boxes": agreement.boxes,
            "scores": agreement.scores,
            "detections": {
                "model": agreement.detections,
                "export": agreement.found,
                "unmatched": agreement.unmatched,
            },
            "map50": {side: metrics.map50 for side, metrics in zip(both, own, strict=True)},
            "map": {side: metrics.map for side, metrics in zip(both, own, strict=True)},
            "latency_ms": {side: asdict(each) for side, each in zip(both, self.latency, strict=True)},
            "threads": self.threads,
            "bytes": dict(zip(both, self.bytes, strict=True)),
            "parting": None if self.parting is None else asdict(self.parting),
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "lehr": __version__,
            "torch": str(torch.__version__),
            "machine": cpu_name() or platform.machine(),
        }

    def write(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            InputError: it cannot be written.
        """
        with atomic_file(path, "Choose another --out.") as temporary:
            temporary.write_text(json.dumps(self.as_dict(), indent=2) + "\n", encoding="utf-8")

    def require(self) -> None:
        """Check that it passes.

        Raises:
            ExportMismatch: something is outside the tolerance; with the stage or layer that parts first.
        """
        if self.reasons:
            found = "" if self.parting is None else f"\n{self.parting.describe()}"
            reasons = "\n".join(self.reasons)
            raise ExportMismatch(
                f"{self.name}: does not compute what {self.variant} does, and is not kept.\n{reasons}{found}"
            )


def certificate_path(export: Path) -> Path:
    """The path of an export's certificate: `model.onnx` has `model.onnx.certificate.json`."""
    return export.with_name(export.name + ENDING)


def certify(
    model: DetectionModel,
    export: ExportedNetwork,
    data: str,
    *,
    rounds: int = 30,
    on_batch: Callable[[int], None] = lambda done: None,
) -> Certificate:
    """Compare an export with its model on the validation split of a data set.

    Args:
        model: in eval mode; not changed.
        export: what was made of it, in its own runtime.
        data: what `--data` takes.
        rounds: of the measurement of latency.
        on_batch: called after each batch with the count of images done.

    Raises:
        InputError: the data cannot be used, or have no class that the model knows.
    """
    if model.device.type != "cpu":
        model = copy_module(model).cpu().eval()
    dataset = load_dataset(data, needed=("val",))
    samples, notes = choose_images(dataset)
    shared = share_classes(samples, dataset.names, model.names, data)
    tolerance = TOLERANCES[export.metadata.precision]
    store = ImageStore(shared.samples, export.imgsz)
    original = Side(model, EvalBatches(store, export.imgsz, fixed_size=export.fixed_size))
    other = Side(export, EvalBatches(store, export.imgsz, fixed_size=export.fixed_size, grey=export.padding))
    bounds = (tolerance.boxes or 4.0, tolerance.scores or 0.1)
    agreement = compare_networks(
        original, other, shared.samples, shared.names, shared.columns, bounds, on_batch=on_batch
    )
    reasons = [*_of_preparation(export), *reasons_outside(agreement, tolerance)]
    parting = None
    if reasons:
        request = requests_of(original)[agreement.worst]
        batches = batch_of(original, request), other.make(request)
        parting = find_parting(model, export, batches, tolerance)
    images = [original.make(request).normalized()[:1] for request in requests_of(original)[:TIMED]]
    latency = measure_latency((fuse(model), export), images, rounds)
    return Certificate(
        export.path.name,
        model.variant,
        export.metadata.precision,
        export.runtime.title,
        one_line(data),
        agreement.images,
        (*notes, *shared.notes),
        tolerance,
        agreement,
        (latency[0], latency[1]),
        torch.get_num_threads(),
        (_bytes_of(model), size_of(export.path)),
        parting,
        tuple(reasons),
    )


def choose_images(dataset: Dataset) -> tuple[list[Sample], list[str]]:
    """Choose the images of a certificate: the validation split, with some of the training where it is small.

    Raises:
        InputError: there are none.
    """
    samples = list(require_split(dataset, "val", objects=False))
    notes = []
    if len(samples) < FEWEST:
        more = list(dataset.splits.get("train", ()))[: FEWEST - len(samples)]
        if more:
            notes.append(
                f"The validation split has {counted(len(samples), 'image')}; "
                f"{counted(len(more), 'training image joins', 'training images join')} them."
            )
        samples += more
    if len(samples) > MOST:
        notes.append(f"{MOST} of {len(samples)} images, evenly over the split.")
        places = np.linspace(0, len(samples) - 1, MOST).round().astype(int)
        samples = [samples[place] for place in places.tolist()]
    if len(samples) < FEWEST:
        notes.append(
            f"{counted(len(samples), 'image is', 'images are')} all there are; a certificate should have {FEWEST}."
        )
    return samples, notes


def _of_preparation(export: ExportedNetwork) -> list[str]:
    """In what an export wants its images prepared in another way than its model, one line each."""
    if export.padding == PADDING:
        return []
    return [f"Images are padded with {export.padding}; the model was trained with {PADDING}."]


def reasons_outside(agreement: Agreement, tolerance: Tolerance) -> list[str]:
    """Return the measurements outside the tolerance, one per line.

    Args:
        agreement: of an export with its model, with the numbers of both.
        tolerance: of its precision.
    """
    reasons = []
    if tolerance.boxes is not None and agreement.boxes is not None and agreement.boxes > tolerance.boxes:
        reasons.append(f"Boxes differ by {agreement.boxes:.3g} pixels; {tolerance.boxes:g} are allowed.")
    if tolerance.scores is not None and agreement.scores is not None and agreement.scores > tolerance.scores:
        reasons.append(f"Scores differ by {agreement.scores:.3g}; {tolerance.scores:g} is allowed.")
    every = agreement.detections + agreement.found
    if tolerance.detections is not None and agreement.unmatched > tolerance.detections * every:
        reasons.append(f"{agreement.unmatched} of {every} detections have no counterpart on the other side.")
    assert agreement.metrics is not None
    for title, name in (("mAP50", "map50"), ("mAP50-95", "map")):
        own, other = (getattr(metrics, name) or 0.0 for metrics in agreement.metrics)
        loss, bound = own - other, getattr(tolerance, name)
        if max(own, other) < MIN_MAP:
            continue
        if (abs(loss) if tolerance.both_ways else loss) > bound:
            reasons.append(f"{title} is {other:.4f} instead of {own:.4f}; {bound:g} is allowed.")
    return reasons


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(each.stat().st_size for each in (path.rglob("*") if path.is_dir() else (path,)) if each.is_file())


def _bytes_of(model: DetectionModel) -> int:
    """Bytes of a model's weights."""
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
