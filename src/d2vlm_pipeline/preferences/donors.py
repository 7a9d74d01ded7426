"""Wrong words that sound right: captions and phrases of the training split, for operators that need one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from functools import cached_property
from itertools import chain
from random import Random
from typing import NamedTuple

from d2vlm_pipeline.artifacts import digest_json
from d2vlm_pipeline.preferences.answers import match_case, read_captions
from d2vlm_pipeline.preferences.config import PHRASE_TASKS, TIMED_CAPTION_TASKS
from d2vlm_pipeline.timeline import GroundedResponse, Interval, Sample

_WORD = re.compile(r"\w+")
_FULL_STOP = re.compile(r"(?<=\w)\.(?=\s|$)")
_LOWER = "a"
# Candidates looked at for one near miss: enough to find one that shares most words, few enough to stay cheap.
_CANDIDATES = 8


class Words:
    """A sorted set of texts that answers "give me one like this, but different"."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(sorted(set(texts)))
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for index, text in enumerate(self.texts):
            for word in _words(text):
                self._by_word[word].append(index)

    def any_but(self, excluded: Set[str], rng: Random) -> str | None:
        """Some text outside `excluded`; None where none was found."""
        return next((text for text in self._drawn(self.texts, rng) if text_key(text) not in excluded), None)

    def near_miss(self, text: str, excluded: Set[str], rng: Random) -> str | None:
        """The text of a few draws that shares most words with `text`, but is neither it nor excluded."""
        wanted = _words(text)
        refused = excluded | {text_key(text)}
        found = [other for other in self._sharing(sorted(wanted), rng) if text_key(other) not in refused]
        if not found:
            return self.any_but(refused, rng)
        return max(found, key=lambda other: len(wanted & _words(other)))

    def _sharing(self, words: list[str], rng: Random) -> Iterator[str]:
        rows = [self._by_word[word] for word in words if word in self._by_word]
        for _ in range(_CANDIDATES if rows else 0):
            yield self.texts[rng.choice(rng.choice(rows))]

    @staticmethod
    def _drawn(texts: tuple[str, ...], rng: Random) -> Iterator[str]:
        """A few draws, then everything in order: terminates, and finds a text wherever one is left."""
        if texts:
            yield from (rng.choice(texts) for _ in range(_CANDIDATES))
            yield from texts


class TimedCaption(NamedTuple):
    """When something happens, and its caption; empty where it has none. Plain numbers: there are many."""

    start_s: float
    end_s: float
    caption: str


class DonorPool:
    """What the training split says: captions, open answers and denials by task, what is true of each video.

    Depends on the set of samples alone, not on their order; `digest` identifies it.
    """

    def __init__(
        self,
        captions: Iterable[str],
        phrases: dict[str, set[str]],
        denials: dict[str, set[str]],
        scenes: dict[str, set[TimedCaption]],
    ) -> None:
        self.captions = Words(captions)
        self.phrases = {task: Words(phrases[task]) for task in sorted(phrases)}
        self._denials = {task: sorted(denials[task]) for task in sorted(denials)}
        self._any_denial = sorted(set(chain.from_iterable(denials.values())))
        self._scenes = {video: tuple(sorted(scenes[video])) for video in sorted(scenes)}

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> DonorPool:
        """Pool of some samples; pass the training split, so that no test words enter training."""
        phrases: dict[str, set[str]] = defaultdict(set)
        denials: dict[str, set[str]] = defaultdict(set)
        scenes: dict[str, set[TimedCaption]] = defaultdict(set)
        captions: set[str] = set()
        for sample in samples:
            scenes[sample.video].update(_true_captions(sample))
            captions.update(_spoken_captions(sample))
            if sample.task in PHRASE_TASKS and sample.options is None:
                phrases[sample.task].add(plain(key_phrase(sample.response())))
            if sample.is_absent and sample.query_intervals == ():
                denials[sample.task].add(sample.answer)
        captions.update(timed.caption for timed in chain.from_iterable(scenes.values()) if timed.caption)
        return cls(captions, phrases, denials, scenes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        phrases = {task: words.texts for task, words in self.phrases.items()}
        return digest_json(["donors", self.captions.texts, phrases, self._denials, self._scenes])

    def true_during(self, video: str, *intervals: Interval) -> frozenset[str]:
        """Keys of captions that are true of the video somewhere in the intervals."""
        return frozenset(
            text_key(caption)
            for start_s, end_s, caption in self._scenes.get(video, ())
            if any(start_s < each.end_s and each.start_s < end_s for each in intervals)
        )

    def true_of(self, video: str) -> frozenset[str]:
        """Keys of all captions that are true somewhere in the video."""
        return frozenset(text_key(timed.caption) for timed in self._scenes.get(video, ()))

    def said_of(self, video: str) -> list[str]:
        """Captions that are true somewhere in the video, in order of time, each once."""
        return list(dict.fromkeys(timed.caption for timed in self._scenes.get(video, ()) if timed.caption))

    def times_of(self, video: str) -> list[tuple[float, float]]:
        """Start and end of everything that is known to happen in the video, in order, each time once."""
        return list(dict.fromkeys((timed.start_s, timed.end_s) for timed in self._scenes.get(video, ())))

    def denials(self, task: str) -> list[str]:
        """Answers that say the event does not occur: to questions of the task, or of any if it has none."""
        return self._denials.get(task, self._any_denial)


def key_phrase(response: GroundedResponse) -> str:
    """First sentence of an answer, up to its first interval, without full stop: what an open answer says."""
    opening = response.segments[0] if response.segments else ""
    return _FULL_STOP.split(opening.strip(), maxsplit=1)[0] if isinstance(opening, str) else ""


def plain(text: str) -> str:
    """A caption as it stands inside a sentence: lower case at the start, no closing punctuation."""
    return match_case(text.strip().rstrip(" .,;!"), _LOWER)


def _true_captions(sample: Sample) -> Iterator[TimedCaption]:
    for event in sample.events:
        yield TimedCaption(event.start_s, event.end_s, plain(event.caption))
    if sample.task == "rvc":
        for start_s, end_s in sample.query_intervals:
            yield TimedCaption(start_s, end_s, plain(sample.answer))


def _spoken_captions(sample: Sample) -> Iterator[str]:
    """Captions as the answer words them, which need not be the events' own."""
    answer = read_captions(sample.response().segments) if sample.task in TIMED_CAPTION_TASKS else None
    if answer is not None:
        yield from map(plain, answer.captions)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def text_key(text: str) -> str:
    """Equal for texts that differ only in case, punctuation or spacing."""
    return " ".join(_WORD.findall(text.lower()))
