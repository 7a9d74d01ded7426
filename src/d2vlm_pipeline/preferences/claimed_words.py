"""Records about what is said, held against what is said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeGuard

from d2vlm_pipeline.preferences.answers import caption_in, texts_around
from d2vlm_pipeline.preferences.config import TIMED_CAPTION_TASKS
from d2vlm_pipeline.preferences.donors import key_phrase, text_key
from d2vlm_pipeline.timeline import FactorRecord, PreferencePair, Sample

_LETTERED = re.compile(r"\((?P<letter>[A-Z])\)\s*")
_SWAP = {"option_from", "option_to"}


def word_problems(
    record: FactorRecord,
    pair: PreferencePair,
    sample: Sample,
    captions: Sequence[str],
    places: Sequence[tuple[int, ...]],
) -> list[str]:
    """What a record about text or option says that is not so.

    Args:
        record: the record.
        pair: the pair that it belongs to.
        sample: the truth.
        captions: what the rejected side says of each of its events, where the task captions them.
        places: the true events that each event of the rejected side stands for.
    """
    if list(record.event_ids) != sorted(set(record.event_ids)):
        return [f"{record.operator} names events out of order"]
    if sample.task in TIMED_CAPTION_TASKS:
        said = {sources[0]: text for text, sources in zip(captions, places, strict=True) if len(sources) == 1}
        return _caption_problems(record, pair, said)
    if sample.options is not None:
        return _option_problems(record, pair, sample)
    if record.operator == "repeat":
        return _repeat_problems(record, pair)
    return _phrase_problems(record, pair, sample)


def _caption_problems(record: FactorRecord, pair: PreferencePair, said: dict[int, str]) -> list[str]:
    true = [caption_in(text) for text in texts_around(pair.chosen.segments)[1]]
    ids, magnitude = record.event_ids, record.magnitude
    if not ids or not said.keys() >= set(ids):
        return [f"{record.operator} names no events, or some that are not there"]
    if record.operator != "repeat":
        if magnitude != {"events": len(ids)}:
            return [f"{record.operator} touches {len(ids)} events and records {magnitude}"]
        alike = any(text_key(said[k]) == text_key(true[k]) for k in ids)
        return [f"{record.operator} leaves a caption in the same words"] if alike else []
    times, source = magnitude.get("times"), magnitude.get("source")
    if set(magnitude) == {"times"} and len(ids) == 1:
        is_right = _is_count(times, said[ids[0]]) and said[ids[0]] == ", ".join([true[ids[0]]] * (times + 1))
    else:
        is_right = set(magnitude) == {"source", "times"} and times == len(ids) and source not in ids
        copied = true[source] if isinstance(source, int) and 0 <= source < len(true) else None
        is_right = is_right and copied is not None and all(said[k].lower() == copied.lower() for k in ids)
    return [] if is_right else ["repeat says something else than it records"]


def _option_problems(record: FactorRecord, pair: PreferencePair, sample: Sample) -> list[str]:
    """Letter and words of the rejected option must be those of one other option, and the rest untouched."""
    options, right = sample.options or (), sample.answer_index or 0
    ours, theirs = _lettered(pair.chosen.answer_half), _lettered(pair.rejected.answer_half)
    if ours is None or theirs is None or record.event_ids:
        return ["the option cannot be read"]
    put = _recorded_option(record, options)
    if put is None or put == right or record.magnitude.get("option_from", right) != right:
        return [f"{record.operator} names an option that cannot be: {record.magnitude}"]
    letter = put if "option_to" in record.magnitude else right
    rest = _behind(ours[1], options[right]), _behind(theirs[1], options[put])
    says_words = rest[0] is not None
    if says_words != (rest[1] is not None) or (not says_words and ours[1] != theirs[1]):
        return ["letter and words of the rejected option are not the same one"]
    names_words = "words" in record.magnitude or record.operator == "distort"
    if theirs[0] != letter or rest[0] != rest[1] or names_words != says_words:
        return ["letter and words of the rejected option are not the recorded one"]
    return []


def _recorded_option(record: FactorRecord, options: Sequence[str]) -> int | None:
    """Index of the option that a record names, by number, by words, or by both alike."""
    index, words = record.magnitude.get("option_to"), record.magnitude.get("words")
    wanted = _SWAP if index is not None else set()
    wanted = wanted | ({"words"} if words is not None else set())
    if set(record.magnitude) != wanted or (index is None and words is None):
        return None
    if index is None:
        return options.index(words) if isinstance(words, str) and words in options else None
    if not isinstance(index, int) or not 0 <= index < len(options):
        return None
    return index if words is None or words == options[index] else None


def _lettered(answer: str) -> tuple[int, str] | None:
    """(index that the letter stands for, what follows)."""
    match = _LETTERED.match(answer)
    return None if match is None else (ord(match["letter"]) - ord("A"), answer[match.end() :])


def _behind(said: str, option: str) -> str | None:
    """What follows the option's words; None where they are not said."""
    return said[len(option) :] if said.lower().startswith(option.lower()) else None


def _repeat_problems(record: FactorRecord, pair: PreferencePair) -> list[str]:
    times = record.magnitude.get("times")
    is_record = set(record.magnitude) == {"times"} and not record.event_ids
    if not is_record or not _is_count(times, pair.rejected.answer_half):
        return ["repeat records no number of times"]
    said = " ".join([pair.chosen.answer_half.strip()] * (times + 1))
    return [] if pair.rejected.answer_half == said else ["repeat says something else than it records"]


def _is_count(times: int | float | str | None, said: str) -> TypeGuard[int]:
    """Whether it can be how often something is said again in these words; a huge number would fill memory."""
    return isinstance(times, int) and 0 < times <= len(said)


def _phrase_problems(record: FactorRecord, pair: PreferencePair, sample: Sample) -> list[str]:
    """Another first sentence and the rest as it was; or no reference to evidence that stands."""
    if record.operator == "wrong_text" and sample.task != "gvq":
        events = len(pair.chosen.evidence)
        is_right = record.magnitude == {"events": events} and record.event_ids == tuple(range(events))
        refers = any(isinstance(segment, int) for segment in pair.rejected.segments)
        return [] if is_right and not refers else ["wrong_text does not deny the evidence"]
    if record.magnitude != {"words": 1} or record.event_ids:
        return [f"{record.operator} records {record.magnitude} for a phrase"]
    true, wrong = pair.chosen.answer_half, pair.rejected.answer_half
    phrase = key_phrase(pair.chosen)
    before, _, behind = true.partition(phrase)
    kept = wrong.startswith(before) and wrong.endswith(behind) and len(wrong) > len(before) + len(behind)
    said = wrong[len(before) : len(wrong) - len(behind)]
    is_other = text_key(said) != text_key(phrase)
    return [] if kept and is_other else ["more than the key phrase is changed, or not even that"]
