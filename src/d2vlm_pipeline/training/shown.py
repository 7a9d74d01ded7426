"""What every frame of a densely captioned clip shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.model.layout import FrameLayout
from d2vlm_pipeline.model.packing import Prefix
from d2vlm_pipeline.timeline import Sample, TimeBase
from d2vlm_pipeline.training.negatives import content_words

TRAIN_SPLIT = "train"
NOTHING = "nothing happens"


@dataclass(frozen=True)
class ShownClip:
    """A clip with the captions of the events that each of its frames shows."""

    features_TNC: np.ndarray
    prefix: Prefix
    shown: Sequence[Sequence[str]]


def shown_clips(samples: Sequence[Sample], clips: StoredClips, layout: FrameLayout) -> list[ShownClip]:
    """The densely captioned clips of the training split.

    Raises:
        UserError: there is none, or their captions say nothing.
    """
    found = []
    for sample in captioned(samples):
        features, timebase = clips.clip(sample.video)
        shown = captions_shown(sample, timebase)
        found.append(ShownClip(features, layout.prefix(timebase.times_s), shown))
    if not captions_of(found):
        raise UserError("align: no event of a dvc sample has a caption with words; give it one")
    return found


def captions_of(clips: Sequence[ShownClip]) -> list[str]:
    """Every caption with words of its own that some frame shows, sorted."""
    found = {caption for clip in clips for captions in clip.shown for caption in captions}
    return sorted(caption for caption in found if content_words(caption))


def captioned(samples: Sequence[Sample]) -> list[Sample]:
    """The dense captions of the training split.

    Raises:
        UserError: there are none.
    """
    found = [sample for sample in samples if sample.split == TRAIN_SPLIT and sample.task == "dvc"]
    if not found:
        raise UserError("align: no dvc sample in the training split; give densely captioned clips")
    return found


def captions_shown(sample: Sample, timebase: TimeBase) -> list[list[str]]:
    """By frame the captions of the events that it shows, where they have one."""
    told = [event for event in sample.events if event.caption.strip()]
    return [
        [event.caption for event in told if event.start_s <= time_s < event.end_s]
        for time_s in timebase.times_s
    ]


def in_words(captions: Sequence[str]) -> str:
    """What a frame shows, as one text."""
    return " and ".join(captions) or NOTHING
