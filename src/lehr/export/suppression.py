"""Non-maximum suppression as the end of an ONNX graph, of standard operators alone.

It does what `lehr predict` does: only the best class of each row counts, a detection is dropped where it overlaps a
better one of its class, and the best of an image are kept. Images that go in together stay apart by their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lehr.export.names import BOXES, DETECTIONS, LAYER, SCORES, SUPPRESSION
from lehr.weights.export_metadata import Suppression

if TYPE_CHECKING:
    import onnx

TAIL = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
suppression (float[batch, rows, 4] boxes, float[batch, rows, {classes}] scores) => (float[found, 7] detections)
<
  int64 max_det = {{{max_det}}}, float iou = {{{iou!r}}}, float confidence = {{{conf!r}}}, float none = {{0.0}},
  int64[1] first = {{0}}, int64[1] second = {{1}}, int64[1] third = {{2}}, int64[2] image_and_row = {{0, 2}},
  int64[1] at_most = {{{max_det}}}{every_class}
>
{{
  best = ReduceMax <keepdims = 0> (scores, third)
  class = ArgMax <axis = 2, keepdims = 0> (scores)
  {candidates}
  kept = NonMaxSuppression (boxes, candidates, max_det, iou, confidence)
  kept_rows = Gather <axis = 1> (kept, image_and_row)
  kept_scores = GatherND (best, kept_rows)
  nothing = Mul (best, none)
  remaining = ScatterND (nothing, kept_rows, kept_scores)
  shape = Shape (remaining)
  rows = Gather (shape, second)
  count = Min (rows, at_most)
  ranked, ranked_row = TopK <axis = 1> (remaining, count)
  is_kept = Greater (ranked, none)
  places_by_column = NonZero (is_kept)
  places = Transpose <perm = [1, 0]> (places_by_column)
  row = GatherND (ranked_row, places)
  score = GatherND (ranked, places)
  image = Gather <axis = 1> (places, first)
  row_column = Unsqueeze (row, second)
  image_row = Concat <axis = 1> (image, row_column)
  box = GatherND (boxes, image_row)
  class_of = GatherND (class, image_row)
  score_column = Unsqueeze (score, second)
  class_column = Unsqueeze (class_of, second)
  image_number = Cast <to = 1> (image)
  class_number = Cast <to = 1> (class_column)
  detections = Concat <axis = 1> (image_number, box, score_column, class_number)
}}
"""
"""In ONNX's text; kept scores are put back at their rows, so that one TopK orders each image's, and 0 is none."""
OF_CLASS = """class_column_of_row = Unsqueeze (class, third)
  is_best = Equal (class_column_of_row, every_class)
  of_best = Where (is_best, scores, none)
  candidates = Transpose <perm = [0, 2, 1]> (of_best)"""
EVERY_CLASS = ", int64[1, 1, {classes}] every_class = {{{numbers}}}"
OF_ANY_CLASS = "candidates = Unsqueeze (best, second)"


def with_suppression(proto: onnx.ModelProto, nms: Suppression, classes: int) -> onnx.ModelProto:
    """Return a model with suppression behind it: one output `detections` (found, 7) in place of boxes and scores.

    Its rows are image, x1, y1, x2, y2, score, class, the best first within an image.

    Args:
        proto: with the outputs `boxes` and `scores`.
        nms: what suppresses what.
        classes: number of classes.
    """
    import onnx.compose
    import onnx.parser

    numbers = ", ".join(map(str, range(classes)))
    tail = onnx.parser.parse_model(
        TAIL.format(
            ir=proto.ir_version,
            opset=next(each.version for each in proto.opset_import if each.domain == ""),
            classes=classes,
            max_det=nms.max_det,
            iou=float(nms.iou),
            conf=float(nms.conf),
            every_class="" if nms.agnostic else EVERY_CLASS.format(classes=classes, numbers=numbers),
            candidates=OF_ANY_CLASS if nms.agnostic else OF_CLASS,
        )
    )
    for node in tail.graph.node:
        node.name = f"{SUPPRESSION}/{node.output[0]}"
        entry = node.metadata_props.add()
        entry.key, entry.value = LAYER, SUPPRESSION
    tail = onnx.compose.add_prefix(tail, "nms/", rename_nodes=False, rename_inputs=False, rename_outputs=False)
    return onnx.compose.merge_models(proto, tail, io_map=[(BOXES, BOXES), (SCORES, SCORES)], outputs=[DETECTIONS])
