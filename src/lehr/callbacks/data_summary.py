"""Keeping numbers of the data in the run's folder, so that a page can be made when the data are gone."""

from __future__ import annotations

import numpy as np

from lehr.analysis.data_summary import DATA_SUMMARY, save_data_summary, summarize_anchors, summarize_data
from lehr.callbacks.callback import Callback
from lehr.callbacks.events import PretrainRoutineEnd
from lehr.models.anchor_head import AnchorHead
from lehr.techniques.autoanchor import object_sizes


class DataSummaryCallback(Callback):
    """Writes `data.json` when data and model are ready."""

    def on_pretrain_routine_end(self, event: PretrainRoutineEnd) -> None:
        """Summarize the data, and the anchors of a model that has some."""
        if event.dataset is None:
            return
        config, head = event.run.config, event.run.model.head
        summary = summarize_data(event.dataset, config.imgsz)
        if isinstance(head, AnchorHead):
            anchors = head.pixel_anchors.double().cpu().numpy()
            sizes = object_sizes(event.dataset.splits["train"], config.imgsz)
            fit = summarize_anchors(anchors.astype(np.float64), sizes, config.loss.anchor_t)
            summary = summary.model_copy(update={"anchors": fit})
        save_data_summary(event.run.folder / DATA_SUMMARY, summary)
