"""Clip plan → samples of every task, with exact truth."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.timeline import Event, Sample
from d2vlm_pipeline.video.world.config import WorldConfig
from d2vlm_pipeline.video.world.plan import ClipPlan, PlannedEvent, mutate
from d2vlm_pipeline.video.world.vocabulary import (
    ACTIONS,
    CLASSES,
    COLOURS,
    VERB,
    Query,
    Triple,
    caption,
    near_miss,
    noun_phrase,
    partial_queries,
    query_phrase,
)
from d2vlm_pipeline.video.world.wording import ABSENT_ANSWER, listed, wording

_LETTERS = "ABCDE"
_OPTIONS = 4


class _Draft(NamedTuple):
    """A question before it has an id and a clip."""

    task: str
    question: str
    answer: str
    events: tuple[PlannedEvent, ...] = ()
    query_events: tuple[PlannedEvent, ...] = ()
    options: tuple[str, ...] | None = None
    answer_index: int | None = None


class _Clip(NamedTuple):
    """What the question makers share: the clip's events in order of their start, and a stream of chance."""

    split: str
    events: tuple[PlannedEvent, ...]
    rng: random.Random
    absent_share: float

    def ask(self, kind: str, **parts: str) -> str:
        return wording(kind, self.split, self.rng).format(**parts)

    def matching(self, query: Query) -> tuple[PlannedEvent, ...]:
        return tuple(event for event in self.events if query.matches(event.triple))

    @property
    def unique(self) -> list[PlannedEvent]:
        """Events whose triple occurs once in the clip."""
        triples = [event.triple for event in self.events]
        return [event for event in self.events if triples.count(event.triple) == 1]


def world_samples(plans: Sequence[ClipPlan], config: WorldConfig) -> list[Sample]:
    """All questions about all clips; each clip's depend on the seed and its own plan alone."""
    return [sample for plan in plans for sample in _clip_samples(plan, config)]


def _clip_samples(plan: ClipPlan, config: WorldConfig) -> Iterator[Sample]:
    rng = random.Random(derive_seed(plan.seed, "questions"))
    events = tuple(sorted(plan.events, key=lambda event: (event.start_s, event.end_s)))
    clip = _Clip(plan.split, events, rng, config.absent_share)
    counts: dict[str, int] = {}
    for draft in _drafts(clip):
        index = counts[draft.task] = counts.get(draft.task, -1) + 1
        yield _to_sample(plan, config, draft, index)


def _to_sample(plan: ClipPlan, config: WorldConfig, draft: _Draft, index: int) -> Sample:
    return Sample(
        id=f"{plan.clip_id}/{draft.task}/{index}",
        video=plan.video,
        task=draft.task,
        source=f"demo-world-{config.tier}",
        split=plan.split,
        question=draft.question,
        query_intervals=[(event.start_s, event.end_s) for event in draft.query_events],
        events=[Event(start_s=e.start_s, end_s=e.end_s, caption=caption(e.triple)) for e in draft.events],
        answer=draft.answer,
        options=None if draft.options is None else list(draft.options),
        answer_index=draft.answer_index,
    )


def _drafts(clip: _Clip) -> Iterator[_Draft]:
    """The core tasks of every clip, then a few of the others, so that every task code is met."""
    for event in clip.rng.sample(clip.unique, min(3, len(clip.unique))):
        yield _tvg(clip, event)
    yield from (_tal(clip) for _ in range(2))
    yield _dense(clip, "dvc")
    yield from (draft for _ in range(2) if (draft := _gvq(clip)) is not None)
    yield _attribute_choice(clip)
    yield _order_choice(clip)
    others = (make(clip) for make in clip.rng.sample(_OTHERS, len(_OTHERS)))
    # Few clips can ask for a similar event, so those that can always do.
    extra = [_tem(clip), *(draft for draft in others if draft is not None)]
    yield from [draft for draft in extra if draft is not None][:3]


def _smallest(queries: list[Query], rng: random.Random, fits: Callable[[Query], bool]) -> Query | None:
    """One of the queries with the fewest attributes that fit."""
    fitting = [query for query in queries if fits(query)]
    if not fitting:
        return None
    fewest = min(query.named for query in fitting)
    return rng.choice([query for query in fitting if query.named == fewest])


def _absent_query(clip: _Clip) -> Query:
    """A description that no event meets, of as many attributes as one that some event does meet.

    Its length must not give it away. Where it names two attributes or more, some event shares all but one.
    """
    named = _single_query(clip, clip.rng.choice(clip.unique)).named
    while True:
        near = clip.rng.choice(clip.events).triple
        place = clip.rng.randrange(3)
        pool: tuple[str, ...] = (COLOURS, CLASSES, ACTIONS)[place]
        parts = [clip.rng.choice(pool) if index == place else kept for index, kept in enumerate(near)]
        other = Triple(*parts)  # type: ignore[arg-type]
        absent = [query for query in partial_queries(other) if not clip.matching(query) and query[place]]
        if fitting := [query for query in absent if query.named == named]:
            return clip.rng.choice(fitting)


def _single_query(clip: _Clip, event: PlannedEvent) -> Query:
    """The shortest description that means this event and no other; exists because its triple is unique."""
    query = _smallest(partial_queries(event.triple), clip.rng, lambda query: clip.matching(query) == (event,))
    if query is None:
        raise ValueError(f"no query singles out {event.triple}")
    return query


def _tvg(clip: _Clip, event: PlannedEvent) -> _Draft:
    if clip.rng.random() < clip.absent_share:
        return _Draft("tvg", clip.ask("tvg", query=query_phrase(_absent_query(clip))), ABSENT_ANSWER)
    query = query_phrase(_single_query(clip, event))
    return _Draft("tvg", clip.ask("tvg", query=query), "The event happens in <evi>.", (event,))


def _tal(clip: _Clip) -> _Draft:
    if clip.rng.random() < clip.absent_share:
        return _Draft("tal", clip.ask("tal", query=query_phrase(_absent_query(clip))), ABSENT_ANSWER)
    queries = [query for event in clip.events for query in partial_queries(event.triple)]
    several = [query for query in queries if len(clip.matching(query)) > 1]
    query = clip.rng.choice(several or queries)
    found = clip.matching(query)
    return _Draft(
        "tal",
        clip.ask("tal", query=query_phrase(query)),
        f"The action happens in {listed(len(found))}.",
        found,
    )


def _dense(clip: _Clip, task: str) -> _Draft:
    answer = " ".join(f"<evi>, {caption(event.triple)}." for event in clip.events)
    return _Draft(task, clip.ask(task), answer, clip.events)


def _epm(clip: _Clip) -> _Draft | None:
    for event in clip.rng.sample(clip.unique, len(clip.unique)):
        queries = [query for query in partial_queries(event.triple) if query.action is None]
        query = _smallest(queries, clip.rng, lambda query, event=event: clip.matching(query) == (event,))  # type: ignore[misc]
        if query is not None:
            noun = noun_phrase(query.colour, query.object_class)
            return _Draft("epm", clip.ask("epm", noun=noun), "The event happens in <evi>.", (event,))
    return None


def _evs(clip: _Clip) -> _Draft:
    triple = clip.rng.choice(clip.events).triple
    query = clip.rng.choice([Query(triple.colour, None, None), Query(None, triple.object_class, None)])
    found = clip.matching(query)
    noun = noun_phrase(query.colour, query.object_class)
    return _Draft("evs", clip.ask("evs", noun=noun), f"The summary locates in {listed(len(found))}.", found)


def _vhd(clip: _Clip) -> _Draft:
    event = clip.rng.choice(clip.unique)
    query = query_phrase(_single_query(clip, event))
    return _Draft("vhd", clip.ask("vhd", query=query), "The highlight moment happens at <evi>.", (event,))


def _rvc(clip: _Clip) -> _Draft:
    event = clip.rng.choice(clip.events)
    return _Draft("rvc", clip.ask("rvc"), f"{caption(event.triple)}.", query_events=(event,))


def _tem(clip: _Clip) -> _Draft | None:
    """Only where a triple occurs exactly twice: then the other occurrence is the one right answer."""
    for event in clip.rng.sample(clip.events, len(clip.events)):
        others = [other for other in clip.events if other.triple == event.triple and other != event]
        if len(others) == 1:
            return _Draft(
                "tem", clip.ask("tem"), "The similar event happens in <evi>.", (others[0],), (event,)
            )
    return None


def _choice(clip: _Clip, right: str, others: list[str], spare: list[str]) -> tuple[tuple[str, ...], int, str]:
    """Options, the right one at a uniform place; wrong ones from the clip first, then the vocabulary."""
    wrong = list(dict.fromkeys(option for option in others if option != right))
    clip.rng.shuffle(wrong)
    more = [option for option in dict.fromkeys(spare) if option != right and option not in wrong]
    clip.rng.shuffle(more)
    options = [right, *(wrong + more)[: _OPTIONS - 1]]
    clip.rng.shuffle(options)
    place = options.index(right)
    return tuple(options), place, f"({_LETTERS[place]}) {right}"


def _attribute_question(
    clip: _Clip, event: PlannedEvent, place: int
) -> tuple[str, str, list[str], list[str]] | None:
    """Ask for one attribute by the other two; None where those two do not single the event out."""
    parts = [None if index == place else part for index, part in enumerate(event.triple)]
    known = Query(*parts)  # type: ignore[arg-type]
    if clip.matching(known) != (event,):
        return None
    colour, object_class, action = event.triple
    kind, rest = (
        ("gvq/colour", f"{object_class} that {VERB[action]}"),
        ("gvq/class", f"something {colour} {VERB[action]}"),
        ("gvq/action", f"the {colour} {object_class}"),
    )[place]
    values = [_value(other.triple, place) for other in clip.events]
    return clip.ask(kind, rest=rest), _value(event.triple, place), values, _vocabulary(place)


def _value(triple: Triple, place: int) -> str:
    return VERB[triple.action] if place == 2 else str(triple[place])


def _vocabulary(place: int) -> list[str]:
    return [VERB[action] for action in ACTIONS] if place == 2 else list((COLOURS, CLASSES)[place])


def _askable(clip: _Clip) -> tuple[PlannedEvent, tuple[str, str, list[str], list[str]]] | None:
    places = [(event, place) for event in clip.events for place in range(3)]
    for event, place in clip.rng.sample(places, len(places)):
        question = _attribute_question(clip, event, place)
        if question is not None:
            return event, question
    return None


def _gvq(clip: _Clip) -> _Draft | None:
    found = _askable(clip)
    if found is None:
        return None
    event, (question, right, others, spare) = found
    options, place, answer = _choice(clip, right, others, spare)
    text = f"{answer}. The relevant event happens in <evi>."
    return _Draft("gvq", question, text, (event,), options=options, answer_index=place)


def _attribute_choice(clip: _Clip) -> _Draft:
    found = _askable(clip)
    if found is None:
        return _order_choice(clip)
    _, (question, right, others, spare) = found
    options, place, answer = _choice(clip, right, others, spare)
    return _Draft("mcq", question, f"{answer}.", options=options, answer_index=place)


def _caption_choice(clip: _Clip, event: PlannedEvent) -> tuple[tuple[str, ...], int, str]:
    """Captions of the clip's events; where it has too few, the drift from near-miss to near-miss goes on.

    Made-up captions around the right one would give it away: it would be the one most like the others.
    """
    triples = list(dict.fromkeys(other.triple for other in clip.events))
    shown = len(triples)
    while len(triples) < _OPTIONS:
        kin = [sum(near_miss(triple, other) for other in triples) for triple in triples]
        lonely = [triple for triple, count in zip(triples, kin, strict=True) if count == min(kin)]
        other = mutate(clip.rng, clip.rng.choice(lonely))
        if other not in triples:
            triples.append(other)
    captions = [caption(triple) for triple in triples]
    return _choice(clip, caption(event.triple), captions[:shown], captions[shown:])


def _order_choice(clip: _Clip) -> _Draft:
    kind, event = clip.rng.choice((("mcq/first", clip.events[0]), ("mcq/last", clip.events[-1])))
    options, place, answer = _caption_choice(clip, event)
    return _Draft("mcq", clip.ask(kind), f"{answer}.", options=options, answer_index=place)


def _rar(clip: _Clip) -> _Draft:
    index = clip.rng.randrange(len(clip.events) - 1)
    options, place, answer = _caption_choice(clip, clip.events[index + 1])
    return _Draft(
        "rar",
        clip.ask("rar"),
        f"{answer}.",
        query_events=(clip.events[index],),
        options=options,
        answer_index=place,
    )


def _eca(clip: _Clip) -> _Draft:
    event = clip.rng.choice(clip.events)
    options, place, answer = _caption_choice(clip, event)
    return _Draft(
        "eca", clip.ask("eca"), f"{answer}.", query_events=(event,), options=options, answer_index=place
    )


def _rvq(clip: _Clip) -> _Draft:
    event, attribute = clip.rng.choice(clip.events), clip.rng.randrange(3)
    values = [_value(other.triple, attribute) for other in clip.events]
    right = _value(event.triple, attribute)
    options, place, answer = _choice(clip, right, values, _vocabulary(attribute))
    question = clip.ask(("rvq/colour", "rvq/class", "rvq/action")[attribute])
    return _Draft("rvq", question, f"{answer}.", query_events=(event,), options=options, answer_index=place)


_OTHERS: tuple[Callable[[_Clip], _Draft | None], ...] = (
    _epm,
    _evs,
    _vhd,
    lambda clip: _dense(clip, "slc"),
    lambda clip: _dense(clip, "tvc"),
    _rvc,
    _rar,
    _eca,
    _rvq,
)
