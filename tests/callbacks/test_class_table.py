"""The table of classes has each number in its column."""

from __future__ import annotations

from lehr.callbacks.console import class_table
from lehr.evaluation.metrics import ClassMetrics, Metrics


def test_each_number_stands_under_its_name() -> None:
    nothing = dict.fromkeys(Metrics.__slots__)
    classes = {
        "cat": ClassMetrics(map=0.11, map50=0.12, precision=0.13, recall=0.14, f1=0.15, instances=16),
        "dog": ClassMetrics(map=None, map50=None, precision=None, recall=None, f1=None, instances=0),
    }
    every = {"map": 0.21, "map50": 0.22, "precision": 0.23, "recall": 0.24, "f1": 0.25, "instances": 26}
    table = class_table(Metrics(**{**nothing, **every, "classes": classes}))
    head, *rows = (line.split() for line in table.splitlines())
    assert head == ["class", "instances", "P", "R", "F1", "mAP50", "mAP50-95"]
    assert rows == [
        ["all", "26", "0.230", "0.240", "0.250", "0.220", "0.210"],
        ["cat", "16", "0.130", "0.140", "0.150", "0.120", "0.110"],
        ["dog", "0", "-", "-", "-", "-", "-"],
    ]
