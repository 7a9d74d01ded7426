"""Is a pair wrong in exactly the recorded factor? Looks at the two responses, not at how they were made."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from d2vlm_pipeline.preferences.answers import caption_in, texts_around
from d2vlm_pipeline.preferences.config import OPERATOR_VERSION, SPECS, TIMED_CAPTION_TASKS
from d2vlm_pipeline.timeline import (
    Axis,
    FactorRecord,
    GroundedResponse,
    Interval,
    PreferencePair,
    ResponseError,
    Sample,
    TimeBase,
    parse_response,
)

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


def check_pair(
    pair: PreferencePair,
    sample: Sample,
    *,
    duration_s: float | None = None,
    timebase: TimeBase | None = None,
) -> list[str]:
    """Faults of a pair, empty for a sound one.

    Args:
        pair: the pair to check.
        sample: the sample it claims to be about.
        duration_s: length of the clip, if intervals are to be held against it.
        timebase: sampled frames of the clip, if the two sides are to differ on frames as well.
    """
    if pair.sample_id != sample.id:
        return [f"about sample {pair.sample_id}, not {sample.id}"]
    problems = [] if pair.chosen == sample.response() else ["chosen is not the truth"]
    problems += _rendering_problems(pair.rejected)
    problems += [problem for factor in pair.factors for problem in _record_problems(factor, pair, sample)]
    problems += _axis_problems(pair, sample)
    if duration_s is not None:
        late = [interval for interval in pair.rejected.evidence if interval.end_s > duration_s]
        problems += [f"interval ends at {interval.end_s} s of {duration_s} s" for interval in late]
    if timebase is not None and not _differ_on_frames(pair, timebase):
        problems.append("chosen and rejected are the same on the sampled frames")
    return problems


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


def _axis_problems(pair: PreferencePair, sample: Sample) -> list[str]:
    named = {axis for factor in pair.factors for axis in _named_axes(factor)}
    found = differing_axes(pair.chosen, pair.rejected, sample)
    problems = [f"differs in {axis}, which no factor records" for axis in sorted(found - named)]
    return problems + [f"records {axis}, in which the sides agree" for axis in sorted(named - found)]


def _named_axes(factor: FactorRecord) -> set[Axis]:
    """The axes that a record names: its own, and the option where its magnitude says which one was put."""
    return {factor.axis, "option"} if "option_to" in factor.magnitude else {factor.axis}


def _record_problems(factor: FactorRecord, pair: PreferencePair, sample: Sample) -> list[str]:
    problems = []
    if pair.operator_version != OPERATOR_VERSION:
        problems.append(f"operator version {pair.operator_version}, this is version {OPERATOR_VERSION}")
    spec = next((spec for operator, spec in SPECS.items() if operator == factor.operator), None)
    if spec is None:
        return [*problems, f"unknown operator {factor.operator}"]
    if factor.axis != spec.axis:
        problems.append(f"{factor.operator} records axis {factor.axis} instead of {spec.axis}")
    if sample.task not in spec.tasks:
        problems.append(f"{factor.operator} is not for task {sample.task}")
    missing = [event_id for event_id in factor.event_ids if event_id >= len(pair.chosen.evidence)]
    return problems + [f"touches event {event_id}, which the answer does not have" for event_id in missing]


def _rendering_problems(response: GroundedResponse) -> list[str]:
    try:
        read_back = parse_response(response.render(), response.evidence)
    except ResponseError as error:
        return [f"rejected cannot be read back: {error}"]
    return [] if read_back == response else ["rejected is read back as another response"]


def _differ_on_frames(pair: PreferencePair, timebase: TimeBase) -> bool:
    chosen, rejected = (
        [timebase.frames_of(interval) for interval in side.evidence] for side in (pair.chosen, pair.rejected)
    )
    return chosen != rejected or pair.chosen.render() != pair.rejected.render()


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
    """Whether the captions of one side, which may be empty, are all among those of the other."""
    ours, theirs = Counter(e.caption for e in events), Counter(e.caption for e in others)
    return ours <= theirs or theirs <= ours


def _start(interval: Interval) -> tuple[float, float]:
    return interval.start_s, interval.end_s
