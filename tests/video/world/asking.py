"""The questions of the demo world understood by brute force: text in, what it asks for out.

Nothing here uses how questions are made; only the wordings and the phrases are shared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product

from d2vlm_pipeline.timeline import Sample
from d2vlm_pipeline.video.world import ClipPlan, PlannedEvent
from d2vlm_pipeline.video.world.vocabulary import (
    ACTIONS,
    CLASSES,
    COLOURS,
    VERB,
    Query,
    noun_phrase,
    query_phrase,
)
from d2vlm_pipeline.video.world.wording import QUESTIONS

Slots = dict[str, str]


def readings(sample: Sample, kinds: tuple[str, ...]) -> Iterator[tuple[str, Slots]]:
    """Every kind of question, with what stands in its slots, that the text could be."""
    for kind in kinds:
        for wording in QUESTIONS[kind]:
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(wording))
            if match := re.fullmatch(pattern, sample.question):
                yield kind, match.groupdict()


def _phrases(phrase: Callable[[Query], str]) -> dict[str, Query]:
    parts = product((None, *COLOURS), (None, *CLASSES), (None, *ACTIONS))
    return {phrase(Query(*values)): Query(*values) for values in parts if any(values)}


PHRASES = {
    "query": _phrases(query_phrase),
    "noun": {
        noun_phrase(colour, thing): Query(colour, thing, None)
        for colour, thing in product((None, *COLOURS), (None, *CLASSES))
        if colour or thing
    },
}
RESTS = {
    "gvq/colour": {f"{c} that {VERB[a]}": Query(None, c, a) for c, a in product(CLASSES, ACTIONS)},
    "gvq/class": {f"something {k} {VERB[a]}": Query(k, None, a) for k, a in product(COLOURS, ACTIONS)},
    "gvq/action": {f"the {k} {c}": Query(k, c, None) for k, c in product(COLOURS, CLASSES)},
}
ATTRIBUTES = {"colour": 0, "class": 1, "action": 2}


def described(sample: Sample) -> Query:
    """What a grounding question describes; it must have exactly one meaning."""
    meanings = {
        PHRASES[slot][text]
        for _, slots in readings(sample, (sample.task,))
        for slot, text in slots.items()
        if text in PHRASES[slot]
    }
    assert len(meanings) == 1, (sample.question, meanings)
    return meanings.pop()


def asked_attribute(sample: Sample) -> tuple[Query, int] | None:
    """What a two-hop question describes, and the place of the attribute it asks for; None if it is none."""
    meanings = {
        (RESTS[kind][slots["rest"]], ATTRIBUTES[kind.split("/")[1]])
        for kind, slots in readings(sample, tuple(RESTS))
        if slots["rest"] in RESTS[kind]
    }
    assert len(meanings) <= 1, (sample.question, meanings)
    return meanings.pop() if meanings else None


def in_order(plan: ClipPlan) -> list[PlannedEvent]:
    return sorted(plan.events, key=lambda event: (event.start_s, event.end_s))


def matching(plan: ClipPlan, query: Query) -> list[PlannedEvent]:
    """The events that the words fit, in order of time."""
    return [
        event
        for event in in_order(plan)
        if all(asked in (None, got) for asked, got in zip(query, event.triple, strict=True))
    ]


def sentence(event: PlannedEvent) -> str:
    colour, thing, action = event.triple
    return f"a {colour} {thing} {VERB[action]}"


def value(event: PlannedEvent, place: int) -> str:
    return VERB[event.triple.action] if place == 2 else event.triple[place]


def spans(events: list[PlannedEvent]) -> list[tuple[float, float]]:
    return [(event.start_s, event.end_s) for event in events]
