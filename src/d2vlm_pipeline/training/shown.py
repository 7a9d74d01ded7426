"""What every frame of a densely captioned clip shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.model.layout import FrameLayout
from d2vlm_pipeline.model.packing import Prefix
from d2vlm_pipeline.timeline import Sample


@dataclass(frozen=True)
class ShownClip:
    """A clip with the captions of the events that each of its frames shows."""

    features_TNC: np.ndarray
    prefix: Prefix
    shown: Sequence[Sequence[str]]


def shown_clips(samples: Sequence[Sample], clips: StoredClips, layout: FrameLayout) -> list[ShownClip]:
    """The densely captioned clips of the training split.

    Raises:
        UserError: there is none.
    """
    found = []
    for sample in samples:
        if sample.split == "train" and sample.task == "dvc":
            features, timebase = clips.clip(sample.video)
            shown = [
                [event.caption for event in sample.events if event.start_s <= time_s < event.end_s]
                for time_s in timebase.times_s
            ]
            found.append(ShownClip(features, layout.prefix(timebase.times_s), shown))
    if not found:
        raise UserError("align: no dvc sample in the training split; give densely captioned clips")
    return found
