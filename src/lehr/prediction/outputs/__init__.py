"""Where results of prediction go: one kind of file a module, each an `Output` of `lehr.prediction.frames`."""
