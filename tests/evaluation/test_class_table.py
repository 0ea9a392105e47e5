"""The table of classes has each number in its column."""

from __future__ import annotations

from lehr.evaluation.class_table import class_table
from lehr.evaluation.metrics import ClassMetrics, Metrics

SAME = {"map_max_det": 0.1101, "map50_max_det": 0.1199}
"""Averages over all detections kept that are COCO's to three digits."""
NOTHING = ClassMetrics(
    map=None,
    map50=None,
    map_max_det=None,
    map50_max_det=None,
    precision=None,
    recall=None,
    f1=None,
    instances=0,
)


def test_each_number_stands_under_its_name() -> None:
    nothing = dict.fromkeys(Metrics.__slots__)
    classes = {
        "cat": ClassMetrics(**SAME, map=0.11, map50=0.12, precision=0.13, recall=0.14, f1=0.15, instances=16),
        "dog": NOTHING,
    }
    every = {
        "map": 0.21,
        "map50": 0.22,
        "map_max_det": 0.2101,
        "map50_max_det": 0.2199,
        "max_det": 300,
        "precision": 0.23,
        "recall": 0.24,
        "f1": 0.25,
        "instances": 26,
    }
    table = class_table(Metrics(**{**nothing, **every, "classes": classes}))
    head, *rows = (line.split() for line in table.splitlines())
    assert head == ["class", "instances", "P", "R", "F1", "mAP50", "mAP50-95"]
    assert rows == [
        ["all", "26", "0.230", "0.240", "0.250", "0.220", "0.210"],
        ["cat", "16", "0.130", "0.140", "0.150", "0.120", "0.110"],
        ["dog", "0", "-", "-", "-", "-", "-"],
    ]


def test_averages_over_all_detections_kept_are_shown_where_they_differ_from_cocos() -> None:
    nothing = dict.fromkeys(Metrics.__slots__)
    cat = ClassMetrics(0.11, 0.12, 0.51, 0.62, precision=0.13, recall=0.14, f1=0.15, instances=160)
    every = {"map": 0.21, "map50": 0.22, "map_max_det": 0.21, "map50_max_det": 0.22, "max_det": 500, "instances": 160}
    table = class_table(Metrics(**{**nothing, **every, "classes": {"cat": cat, "dog": NOTHING}}))
    head, _, row, none = table.splitlines()
    assert head.split()[-4:] == ["mAP50", "mAP50-95", "mAP50_500", "mAP50-95_500"]
    assert row.split() == ["cat", "160", "0.130", "0.140", "0.150", "0.120", "0.110", "0.620", "0.510"]
    assert none.split() == ["dog", "0", *"-------"]
    assert len({len(line) for line in table.splitlines()}) == 1
