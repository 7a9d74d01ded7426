"""Does each record say truly what was done? Every claim is held against the two responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from d2vlm_pipeline.preferences.answers import caption_in, texts_around
from d2vlm_pipeline.preferences.claimed_amounts import (
    BOUNDARIES,
    Places,
    boundary_problems,
    event_set_problems,
)
from d2vlm_pipeline.preferences.claimed_words import word_problems
from d2vlm_pipeline.preferences.config import LIST_TASKS, SAMPLED, TIMED_CAPTION_TASKS
from d2vlm_pipeline.preferences.listed import hull, read_events
from d2vlm_pipeline.timeline import FactorRecord, GroundedResponse, PreferencePair, Sample

_EVENT_SET = {
    "add": ({"position", "added_s"}, {"events", "positions", "added_s"}),
    "delete": ({"events"},),
    "merge": ({"events", "hull_s"},),
    "split": ({"pieces", "shortest_s"},),
    "reorder": ({"events", "order"},),
}


@dataclass(frozen=True)
class _Claims:
    """The records of a pair, one at most on each kind of truth."""

    boundaries: FactorRecord | None
    words: FactorRecord | None
    event_set: FactorRecord | None

    @property
    def moved(self) -> frozenset[int]:
        return frozenset(self.boundaries.event_ids if self.boundaries else ())

    @property
    def reworded(self) -> frozenset[int]:
        return frozenset(self.words.event_ids if self.words else ())

    @property
    def split(self) -> frozenset[int]:
        is_split = self.event_set is not None and self.event_set.operator == "split"
        return frozenset(self.event_set.event_ids) if self.event_set and is_split else frozenset()


def claim_problems(pair: PreferencePair, sample: Sample) -> list[str]:
    """What the records say that is not so, or what is so and no record says; of a valid, well-formed pair."""
    if any(factor.operator == SAMPLED for factor in pair.factors):
        return _sampled_problems(pair.factors)
    claims = _sorted_claims(pair.factors)
    if claims is None:
        return ["two records on one axis"]
    places = _places(claims.event_set, len(pair.chosen.evidence), len(pair.rejected.evidence))
    if isinstance(places, str):
        return [places]
    problems = _event_problems(pair, sample, claims, places)
    if problems:
        return problems  # what follows counts on the events that the records tell of
    if claims.boundaries:
        problems += boundary_problems(claims.boundaries, pair, places)
    if claims.event_set:
        problems += event_set_problems(claims.event_set, pair, places)
    if claims.words:
        problems += word_problems(claims.words, pair, sample, _captions(pair.rejected, sample), places)
    return problems


def _sorted_claims(factors: Sequence[FactorRecord]) -> _Claims | None:
    """None where two records are about the same kind of truth."""
    kinds = {
        "boundaries": [factor for factor in factors if factor.operator in BOUNDARIES],
        "event_set": [factor for factor in factors if factor.operator in _EVENT_SET],
        "words": [factor for factor in factors if factor.axis in ("text", "option")],
    }
    if any(len(found) > 1 for found in kinds.values()):
        return None
    return _Claims(**{kind: found[0] if found else None for kind, found in kinds.items()})


def _sampled_problems(factors: Sequence[FactorRecord]) -> list[str]:
    if any(factor.operator != SAMPLED for factor in factors):
        return ["a sampled answer has no other records"]
    if len({factor.axis for factor in factors}) < len(factors):
        return ["two records on one axis"]
    scores = [factor.magnitude.get("score") for factor in factors]
    if not all(isinstance(score, int | float) and 0 <= score <= 1 for score in scores):
        return ["a sampled answer needs its score, from 0 to 1"]
    return ["a sampled answer touches no particular event"] if any(f.event_ids for f in factors) else []


def _places(record: FactorRecord | None, count: int, rejected: int) -> list[tuple[int, ...]] | str:
    """What the record says the rejected list is made of; a sentence where it makes no sense."""
    same: list[tuple[int, ...]] = [(k,) for k in range(count)]
    if record is None:
        return same
    ids, magnitude = record.event_ids, record.magnitude
    if set(magnitude) not in _EVENT_SET[record.operator]:
        return f"{record.operator} records {' '.join(sorted(magnitude)) or 'no magnitude'}"
    if record.operator == "add":
        positions = _numbers(magnitude.get("position", magnitude.get("positions")))
        is_rising = positions == sorted(set(positions))
        if ids or not positions or not is_rising or positions[-1] >= count + len(positions):
            return "add names places that are not in the list"
        for position in positions:
            same.insert(position, ())
        return same
    if not ids or list(ids) != sorted(set(ids)):
        return f"{record.operator} names no events, or not in order"
    if record.operator == "delete":
        kept = [place for place in same if place[0] not in ids]
        return kept or "delete leaves nothing"
    if record.operator == "merge":
        is_run = len(ids) > 1 and ids[-1] - ids[0] == len(ids) - 1
        return [*same[: ids[0]], ids, *same[ids[-1] + 1 :]] if is_run else "merge names no neighbours"
    if record.operator == "split":
        pieces = magnitude["pieces"]
        if len(ids) != 1 or not isinstance(pieces, int) or not 2 <= pieces <= rejected:
            return "split names one event and at least two pieces, no more than there are events"
        return [*same[: ids[0]], *([ids] * pieces), *same[ids[0] + 1 :]]
    order = _numbers(magnitude["order"])
    displaced = tuple(k for k, source in enumerate(order) if k != source)
    if sorted(order) != list(range(count)) or displaced != ids:
        return "reorder names an order that is none of these events"
    return [(source,) for source in order]


def _event_problems(pair: PreferencePair, sample: Sample, claims: _Claims, places: Places) -> list[str]:
    """Event by event: what no record names is untouched, and what one names is touched."""
    true, wrong = pair.chosen.evidence, pair.rejected.evidence
    if len(places) != len(wrong):
        return [f"the records make {len(places)} events, the rejected side has {len(wrong)}"]
    problems = []
    for interval, sources in zip(wrong, places, strict=True):
        first = sources[0] if sources else -1
        if not sources:
            if any(interval.intersects(each) for each in true):
                problems.append("an event said to be invented meets a true one")
        elif len(sources) > 1:
            if interval != hull(true[k] for k in sources):
                problems.append("events said to be merged are not spanned")
        elif first not in claims.split and (interval == true[first]) == (first in claims.moved):
            is_moved = first not in claims.moved
            told = "is moved, which no record says" if is_moved else "is said to be moved, and is not"
            problems.append(f"event {first} {told}")
    if sample.task in TIMED_CAPTION_TASKS:
        problems += _caption_problems(pair, sample, claims, places)
    if sample.task in (*TIMED_CAPTION_TASKS, *LIST_TASKS) and pair.rejected.segments != pair.chosen.segments:
        problems += _form_problems(pair, sample)
    return problems


def _caption_problems(pair: PreferencePair, sample: Sample, claims: _Claims, places: Places) -> list[str]:
    ours, theirs = _captions(pair.chosen, sample), _captions(pair.rejected, sample)
    if len(theirs) != len(places) or len(ours) != len(pair.chosen.evidence):
        return ["the answer does not caption every event"]
    problems = []
    for caption, sources in zip(theirs, places, strict=True):
        if len(sources) > 1:
            if caption.lower() != " and ".join(ours[k] for k in sources).lower():
                problems.append("a merged event does not say what its parts said, joined by and")
        elif sources and (caption == ours[sources[0]]) == (sources[0] in claims.reworded):
            is_other = sources[0] not in claims.reworded
            told = "has another caption, unrecorded" if is_other else "keeps a caption said to change"
            problems.append(f"event {sources[0]} {told}")
        elif not caption:
            problems.append("an invented event has no caption")
    return problems


def _form_problems(pair: PreferencePair, sample: Sample) -> list[str]:
    """The rejected list must be written as the true one is, whatever it lists."""
    ours, theirs = read_events(pair.chosen, sample.task), read_events(pair.rejected, sample.task)
    if ours is None or theirs is None:
        return ["an edited list is not in a form that can be read"]
    written = ours.write(theirs.events).segments
    return [] if written == pair.rejected.segments else ["the rejected list is written in another form"]


def _captions(response: GroundedResponse, sample: Sample) -> list[str]:
    """What is said of each event; nothing where the task gives events no captions."""
    if sample.task not in TIMED_CAPTION_TASKS:
        return []
    return [caption_in(text) for text in texts_around(response.segments)[1]]


def _numbers(text: int | float | str | None) -> list[int]:
    """Whole numbers of a record, rising or not; none where it holds something else."""
    if isinstance(text, int):
        return [text] if text >= 0 else []
    parts = text.split() if isinstance(text, str) else []
    return [int(part) for part in parts] if all(part.isdigit() for part in parts) else []
