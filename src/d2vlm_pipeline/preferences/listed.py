"""An answer about several events as a list that can be written again with other events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from d2vlm_pipeline.preferences.answers import CaptionForm, ListForm, read_captions, read_list
from d2vlm_pipeline.preferences.config import TIMED_CAPTION_TASKS
from d2vlm_pipeline.timeline import GroundedResponse, Interval


class ListedEvent(NamedTuple):
    """An interval of an answer and its caption, which is empty where the answer only lists intervals."""

    interval: Interval
    caption: str


class EventAnswer(NamedTuple):
    """An answer as its events and the form that writes them."""

    form: ListForm | CaptionForm
    events: tuple[ListedEvent, ...]

    @property
    def has_captions(self) -> bool:
        """Whether each event has words of its own."""
        return isinstance(self.form, CaptionForm)

    def write(self, events: Sequence[ListedEvent]) -> GroundedResponse:
        """The same answer for other events, at least one."""
        if isinstance(self.form, CaptionForm):
            segments = self.form.build([event.caption for event in events])
        else:
            segments = self.form.build(len(events))
        return GroundedResponse(evidence=tuple(event.interval for event in events), segments=segments)


def read_events(response: GroundedResponse, task: str) -> EventAnswer | None:
    """Events and form of a response with at least one interval; None where its form is not recognised."""
    intervals = response.evidence
    if task in TIMED_CAPTION_TASKS:
        captioned = read_captions(response.segments)
        if captioned is None:
            return None
        events = map(ListedEvent, intervals, captioned.captions)
        return EventAnswer(captioned.form, tuple(events))
    form = read_list(response.segments)
    return None if form is None else EventAnswer(form, tuple(ListedEvent(each, "") for each in intervals))


def hull(intervals: Iterable[Interval]) -> Interval:
    """From the first start to the last end of at least one interval."""
    listed = list(intervals)
    return Interval(start_s=min(each.start_s for each in listed), end_s=max(each.end_s for each in listed))
