"""Outputs of `lehr predict`: places checked before the work, then one output a kind of file that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lehr.cli.output import check_output
from lehr.errors import InputError

if TYPE_CHECKING:
    from lehr.prediction.frames import Output

LABELS, CROPS = "labels", "crops"
"""Folders within that of the run."""


@dataclass(frozen=True, slots=True)
class WantedFiles:
    """Files that are asked for.

    Attributes:
        save: annotated images and videos.
        labels: YOLO labels.
        scores: scores in labels.
        crops: objects cut out.
        json: file of all results, or None; and so the following.
        jsonl: lines of JSON while it runs.
        csv: a row per object.
        coco: COCO results.
        coco_ids: JSON whose ids of images and categories COCO results have.
    """

    save: bool = True
    labels: bool = False
    scores: bool = False
    crops: bool = False
    json: Path | None = None
    jsonl: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    coco_ids: Path | None = None

    @property
    def in_folder(self) -> bool:
        """Return whether the run needs a folder."""
        return self.save or self.labels or self.crops

    def check(self) -> None:
        """Check, before any work is done, that all can be written.

        Raises:
            InputError: one cannot, would replace something else, or is asked for twice; or an option lacks its other.
        """
        if self.scores and not self.labels:
            raise InputError("--save-conf is about labels. Add --save-labels.")
        if self.coco_ids is not None and self.coco is None:
            raise InputError("--coco-ids is about COCO results. Add --coco FILE.")
        given: dict[Path, str] = {}
        for option, path in self._by_option().items():
            check_output(path, option)
            if path is not None and not path.is_char_device():
                other = given.setdefault(path.resolve(), option)
                if other != option:
                    raise InputError(f"{option} {path}: is the file of {other}, too. Choose another {option} file.")
        if self.coco_ids is not None:
            from lehr.prediction.outputs.coco_results import read_coco_ids

            read_coco_ids(self.coco_ids)

    def outputs(self, folder: Path | None) -> list[Output]:
        """The outputs of all that is asked for.

        Args:
            folder: of the run; None where it needs none.

        Raises:
            InputError: a file cannot be made, or --coco-ids cannot be read.
        """
        from lehr.prediction.outputs.annotated_images import AnnotatedImages
        from lehr.prediction.outputs.annotated_videos import AnnotatedVideos
        from lehr.prediction.outputs.coco_results import CocoResults, read_coco_ids
        from lehr.prediction.outputs.crops import Crops
        from lehr.prediction.outputs.json_file import JsonFile, JsonLines
        from lehr.prediction.outputs.source_names import SourceNames
        from lehr.prediction.outputs.table import Table
        from lehr.prediction.outputs.yolo_labels import YoloLabels

        names = SourceNames()
        outputs: list[Output] = []
        if folder is not None:
            outputs += [AnnotatedImages(folder, names), AnnotatedVideos(folder, names)] if self.save else []
            outputs += [YoloLabels(folder / LABELS, names, self.scores)] if self.labels else []
            outputs += [Crops(folder / CROPS, names)] if self.crops else []
        outputs += [] if self.json is None else [JsonFile(self.json)]
        outputs += [] if self.csv is None else [Table(self.csv)]
        if self.coco is not None:
            outputs.append(CocoResults(self.coco, None if self.coco_ids is None else read_coco_ids(self.coco_ids)))
        outputs += [] if self.jsonl is None else [JsonLines(self.jsonl)]
        return outputs

    def describe(self, folder: Path | None) -> list[str]:
        """Say where everything is, a line each."""
        lines = []
        if folder is not None:
            lines += [f"Annotated copies in {folder}"] if self.save else []
            lines += [f"Labels in {folder / LABELS}"] if (folder / LABELS).is_dir() else []
            lines += [f"Crops in {folder / CROPS}"] if (folder / CROPS).is_dir() else []
        return lines

    def _by_option(self) -> dict[str, Path | None]:
        return {"--json": self.json, "--jsonl": self.jsonl, "--csv": self.csv, "--coco": self.coco}
