"""Audit of a data set: near copies within and across splits, classes of one split, objects too small."""
