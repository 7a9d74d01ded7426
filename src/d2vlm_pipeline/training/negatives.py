"""Questions of other clips as examples of what does not happen: few data sets hold enough of them.

A question is borrowed from another clip of the training split where the captions of this one rule its event
out: no caption here holds all the words that the question takes from its event's caption.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.timeline import Sample

_FUNCTION_WORDS = frozenset({"a", "an", "and", "at", "by", "from", "in", "into", "of", "on", "the", "to"})
_WORD = re.compile(r"\w+")


def borrow_absent(samples: Sequence[Sample], per_clip: int, seed: int) -> list[Sample]:
    """Up to so many absent samples for every captioned clip; which ones depends on seed and samples alone.

    Only tasks that have an absent sample of their own are borrowed from: it lends its answer. Clips without
    captions get none, since nothing says what they lack.
    """
    denials = _denials(samples)
    lenders = (sample for sample in samples if sample.task in denials and _can_lend(sample))
    donors = [(donor, _asked_words(donor)) for donor in sorted(lenders, key=lambda sample: sample.id)]
    borrowed = []
    for video, captions in sorted(_captions(samples).items()):
        rng = random.Random(derive_seed(seed, "borrow", video))
        suited = (
            donor
            for donor, words in rng.sample(donors, len(donors))
            if donor.video != video and not any(words <= caption for caption in captions)
        )
        for place, donor in zip(range(per_clip), suited, strict=False):
            borrowed.append(_denied(donor, video, f"{video}/borrowed/{place}", denials[donor.task]))
    return borrowed


def _denials(samples: Iterable[Sample]) -> dict[str, str]:
    """By task the answer of its first absent sample."""
    absent = [sample for sample in samples if sample.is_absent]
    return {
        sample.task: sample.answer for sample in sorted(absent, key=lambda sample: sample.id, reverse=True)
    }


def _captions(samples: Iterable[Sample]) -> Mapping[str, list[frozenset[str]]]:
    """By clip the words of every caption that any of its samples gives an event."""
    found: dict[str, list[frozenset[str]]] = defaultdict(list)
    for sample in samples:
        found[sample.video].extend(_words(event.caption) for event in sample.events if event.caption)
    return {video: captions for video, captions in found.items() if captions}


def _can_lend(sample: Sample) -> bool:
    """Whether the question makes sense elsewhere and says in words what it asks for."""
    return bool(sample.events and not sample.query_intervals and not sample.options and _asked_words(sample))


def _asked_words(sample: Sample) -> frozenset[str]:
    """Content words that the question shares with the captions of all its events."""
    words = _words(sample.question)
    for event in sample.events:
        words &= _words(event.caption)
    return words


def content_words(text: str) -> list[str]:
    """The words of a text that say what happens, in their order."""
    return [word for word in _WORD.findall(text.lower()) if word not in _FUNCTION_WORDS]


def _words(text: str) -> frozenset[str]:
    return frozenset(content_words(text))


def _denied(donor: Sample, video: str, name: str, answer: str) -> Sample:
    return donor.model_copy(update={"id": name, "video": video, "events": (), "answer": answer})
