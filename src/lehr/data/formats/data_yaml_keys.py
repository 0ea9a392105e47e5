"""Keys of data YAMLs: those that Lehr reads, and those of other programs."""

from __future__ import annotations

from lehr.sample import SPLITS

KEYS = ("path", *SPLITS, "names", "nc")
OTHER_NAMES = {"train": ("training",), "val": ("valid", "validation"), "test": ("testing",)}
"""Keys that stand for a split as well, where its own is not there."""
METADATA = frozenset(
    [
        "download",
        "roboflow",
        "author",
        "authors",
        "date",
        "description",
        "license",
        "licence",
        "url",
        "version",
        "info",
        "contributor",
        "year",
        "yaml_file",
        "dataset_name",
        "dataset",
        "project",
        "workspace",
        "source",
        "homepage",
        "citation",
        "created",
        "exported",
        "comment",
        "notes",
    ]
)
"""Keys that say who made a data set, and when: nothing to read."""
FOREIGN = frozenset(
    [
        "task",
        "channels",
        "kpt_shape",
        "flip_idx",
        "kpt_names",
        "skeleton",
        "colors",
        "augment",
        "augmentation",
        "augmentations",
        "minival",
        "train_labels",
        "val_labels",
        "test_labels",
        "label_map",
        "class_weights",
        "imgsz",
        "img_size",
        "batch",
        "epochs",
        "model",
        "depth",
        "masks_dir",
        "stuff_names",
        "train_path",
        "val_path",
        "test_path",
        "format",
        "split",
    ]
)
"""Keys of other programs' data YAMLs that Lehr has no use for."""
NAMES_KEYS = ("name", "classes", "class", "class_names", "classnames", "categories", "labels", "label_names")
"""Keys under which class names stand by mistake."""
MODEL_KEYS = frozenset({"backbone", "head", "anchors", "depth_multiple", "width_multiple", "scales"})
TRAINING_KEYS = frozenset({"lr0", "lrf", "momentum", "weight_decay", "mosaic", "hsv_h", "warmup_epochs"})
