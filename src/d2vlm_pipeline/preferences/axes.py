"""In what kinds of truth do two responses differ? Read off the responses, whatever made them."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from d2vlm_pipeline.preferences.answers import caption_in, texts_around
from d2vlm_pipeline.preferences.config import TIMED_CAPTION_TASKS
from d2vlm_pipeline.timeline import Axis, GroundedResponse, Interval, Sample

_LETTER = re.compile(r"\s*\(([A-Z])\)")
# Words that a sentence needs between its intervals whatever their number.
_JOINING = frozenset({"", "and"})


class _Event(NamedTuple):
    interval: Interval
    caption: str


class _Answer(NamedTuple):
    """A response as a reader sees it: its events, and the words that belong to none of them."""

    events: list[_Event]
    opening: str
    joining: frozenset[str]
    closing: str


def differing_axes(chosen: GroundedResponse, rejected: GroundedResponse, sample: Sample) -> frozenset[Axis]:
    """The kinds of truth in which two responses to a sample differ, read off the responses.

    Events, with their captions, count as the event set where their number or order differs: added or dropped
    ones, one in place of several that it spans, or the same ones rearranged. With the number unchanged a
    moved interval counts as boundaries. A leading "(B)" is the option, everything else said is text.
    """
    ours, theirs = _read(chosen, sample.task), _read(rejected, sample.task)
    spans, other_spans = [e.interval for e in ours.events], [e.interval for e in theirs.events]
    rearranged = spans != other_spans and sorted(spans, key=_start) == sorted(other_spans, key=_start)
    if len(spans) != len(other_spans) or rearranged:
        return _axes_of_event_change(ours, theirs)
    axes: set[Axis] = set()
    if spans != other_spans:
        axes.add("boundaries")
    letter, words = _letter_and_words(chosen, sample)
    other_letter, other_words = _letter_and_words(rejected, sample)
    if letter != other_letter:
        axes.add("option")
    if words != other_words:
        axes.add("text")
    return frozenset(axes)


def _axes_of_event_change(ours: _Answer, theirs: _Answer) -> frozenset[Axis]:
    axes: set[Axis] = {"event_set"}
    lost = _without(ours.events, theirs.events)
    gained = _without(theirs.events, ours.events)
    recaptioned = {event.interval for event in lost} & {event.interval for event in gained}
    lost = [event for event in lost if event.interval not in recaptioned]
    gained = [event for event in gained if event.interval not in recaptioned]
    spanned = _spans(gained, lost) or _spans(lost, gained)
    if lost and gained and not spanned:
        axes.add("boundaries")
    same_words = ours.opening == theirs.opening and ours.closing == theirs.closing
    same_words = same_words and theirs.joining <= ours.joining | _JOINING
    joined = _says_all(gained, lost) or _says_all(lost, gained)
    same_captions = joined or (not spanned and _agree(lost, gained))
    if recaptioned or not same_words or not same_captions:
        axes.add("text")
    return frozenset(axes)


def _read(response: GroundedResponse, task: str) -> _Answer:
    opening, texts = texts_around(response.segments)
    if task in TIMED_CAPTION_TASKS:
        captions = [caption_in(text) for text in texts]
        around = [text.replace(caption, "", 1) for text, caption in zip(texts, captions, strict=True)]
        closing = ""
    else:
        captions = [""] * len(texts)
        around, closing = texts[:-1], texts[-1] if texts else ""
    joining = frozenset(text.strip(" \t\n,.:;-\u2013\u2014!").lower() for text in around)
    # An answer without references (an ungrounded one) still has whatever evidence stands before it.
    captions += [""] * (len(response.evidence) - len(texts))
    events = [_Event(*pair) for pair in zip(response.evidence, captions, strict=True)]
    return _Answer(events, opening, joining, closing)


def _letter_and_words(response: GroundedResponse, sample: Sample) -> tuple[str, str]:
    """("B", " blue. …") for a choice, ("", whole answer) for anything else; `<evi>` stays in the words."""
    answer = response.answer_half
    match = _LETTER.match(answer) if sample.options is not None else None
    return (match.group(1), answer[match.end() :]) if match else ("", answer)


def _without(events: list[_Event], others: list[_Event]) -> list[_Event]:
    """Events that are not among the others, each of which stands for one only."""
    remaining = [*others]
    left = []
    for event in events:
        if event in remaining:
            remaining.remove(event)
        else:
            left.append(event)
    return left


def _spans(one: list[_Event], several: list[_Event]) -> bool:
    """Whether a single event reaches from the first start to the last end of the several."""
    if len(one) != 1 or len(several) < 2:
        return False
    hull = (min(e.interval.start_s for e in several), max(e.interval.end_s for e in several))
    return (one[0].interval.start_s, one[0].interval.end_s) == hull


def _says_all(one: list[_Event], several: list[_Event]) -> bool:
    """Whether the caption of a single event contains those of the several, in any case of letters."""
    return len(one) == 1 and all(e.caption.lower() in one[0].caption.lower() for e in several)


def _agree(events: list[_Event], others: list[_Event]) -> bool:
    """Whether one side says nothing that the other does not, or joins or repeats what the other says."""
    ours, theirs = Counter(e.caption for e in events), Counter(e.caption for e in others)
    mine, yours = ours - theirs, theirs - ours
    return not mine or not yours or _joins(yours, mine) or _joins(mine, yours)


def _joins(one: Counter[str], several: Counter[str]) -> bool:
    said = [caption.lower() for caption in one]
    return len(said) == 1 and all(caption.lower() in said[0] for caption in several)


def _start(interval: Interval) -> tuple[float, float]:
    return interval.start_s, interval.end_s
