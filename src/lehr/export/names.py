"""Names in the graphs of exports."""

IMAGES, BOXES, SCORES, DETECTIONS = "images", "boxes", "scores", "detections"
"""The input and the outputs."""
LAYER = "layer"
"""Key, in the metadata of each node of ONNX, of the layer that it belongs to, e.g. "model.0.conv"."""
DECODE, SUPPRESSION = "decode", "suppression"
"""Layers of what follows the head."""
