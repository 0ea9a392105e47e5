"""Destinations of results: one kind of file per module, each an `Output` of `lehr.prediction.frames`."""
