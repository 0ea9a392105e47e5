"""Objects followed from frame to frame by ByteTrack (Zhang et al., 2022), as `trackers` of Roboflow has it.

supervision's own ByteTrack was removed in its version 0.30 in favour of that package.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lehr.detections import Detections
from lehr.errors import InputError
from lehr.prediction.frames import Clip, Frame
from lehr.prediction.pipeline import Predict
from lehr.runtime.installing import pip_install

LOWEST_SCORE = 0.1
"""Score from which ByteTrack takes detections to continue a track that nothing better fits."""
LOST_SECONDS = 1.0
"""Seconds for which an object that is not seen keeps its track."""
RATE = 30.0
"""Frames per second of images that are tracked, which have no rate."""
REMEDY = (
    f"Tracking needs the package trackers. In the folder of your clone of Lehr, run {pip_install('track')} && "
    "pip install --no-deps 'trackers>=2.6' (its other requirements would replace opencv-python-headless)."
)


class ObjectTracker:
    """Gives objects their tracks: each video or stream has its own, and images are followed as the frames of one.

    A track begins with a detection of the score that is asked for. Where its object is seen less clearly afterwards, a
    detection of a lower score continues it, and is then among the results.

    Args:
        conf: lowest score of a detection that begins a track, and of one that is found without.

    Raises:
        InputError: the package trackers is not installed.
    """

    def __init__(self, conf: float) -> None:
        try:
            from trackers.core.bytetrack.tracker import ByteTrackTracker
        except ImportError as error:
            raise InputError(f"{REMEDY} ({error})") from None
        self._make = ByteTrackTracker
        self._conf = conf
        self._trackers: dict[int, tuple[Clip | None, Any]] = {}

    @property
    def detection_conf(self) -> float:
        """Lowest score of the detections that it is to be given."""
        return min(self._conf, LOWEST_SCORE)

    def update(self, frame: Frame, detections: Detections) -> Detections:
        """Return the objects of a frame with their tracks, best first; called with each clip's frames in their order.

        Args:
            frame: the frame; one that could not be read changes nothing.
            detections: its objects, from `detection_conf` on.
        """
        if detections.fault is not None:
            return detections
        own = self._of_clip(frame.clip).update(detections.to_supervision(), timestamp=frame.time)
        followed = Detections.from_supervision(own, detections)
        tracks = followed.track_ids
        if tracks is None:
            tracks = np.full(len(followed), -1, np.int64)
        kept = (followed.scores > self._conf) | (tracks >= 0)
        return dataclasses.replace(
            detections,
            boxes=followed.boxes[kept],
            scores=followed.scores[kept],
            classes=followed.classes[kept],
            track_ids=np.where(tracks >= 0, tracks + 1, -1)[kept],
        )

    def following(self, find: Predict) -> Predict:
        """Return what finds the objects of some frames and gives them their tracks.

        Args:
            find: finds objects from `detection_conf` on; it is given each clip's frames in their order.
        """

        def track(frames: Sequence[Frame]) -> list[Detections]:
            return [self.update(frame, found) for frame, found in zip(frames, find(frames), strict=True)]

        return track

    def _of_clip(self, clip: Clip | None) -> Any:
        """The tracker of a clip, or of all images."""
        known = self._trackers.get(id(clip))
        if known is None:
            rate = RATE if clip is None else float(clip.rate)
            known = self._trackers[id(clip)] = (
                clip,
                self._make(
                    lost_track_buffer=round(LOST_SECONDS * 30),  # which it takes in frames of a thirtieth of a second
                    frame_rate=rate,
                    track_activation_threshold=self._conf,
                    high_conf_det_threshold=self._conf,
                    minimum_consecutive_frames=1,
                ),
            )
        return known[1]
