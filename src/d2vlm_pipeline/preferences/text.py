"""`distort` and `repeat`: the right times with the wrong words."""

from __future__ import annotations

import re
from random import Random

from d2vlm_pipeline.preferences.answers import CaptionedAnswer, match_case, read_captions
from d2vlm_pipeline.preferences.config import TIMED_CAPTION_TASKS
from d2vlm_pipeline.preferences.donors import key_phrase, plain
from d2vlm_pipeline.preferences.scene import ANSWER_FORM, NO_DONOR, NO_EVENTS, Edit, NotApplicable, Scene
from d2vlm_pipeline.timeline import GroundedResponse

_OPTION = re.compile(r"\((?P<letter>[A-Z])\)\s+")
_MOST_REPEATS = 2


def distort(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Put other words for what one event is: another caption, another option, another key phrase."""
    if scene.sample.task in TIMED_CAPTION_TASKS:
        return _distort_caption(scene, rng)
    if scene.sample.options is not None:
        return _distort_option(scene, rng)
    return _distort_phrase(scene, rng)


def repeat(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Say one thing again: one event's caption for others, or the same words twice where there is but one."""
    if scene.sample.task not in TIMED_CAPTION_TASKS:
        return _repeat_answer(scene, rng)
    answer = _captions(scene)
    if isinstance(answer, NotApplicable):
        return answer
    if len(set(answer.captions)) == 1:
        return _repeat_inside(answer, scene, rng)
    return _repeat_over_others(answer, scene, rng)


def _distort_caption(scene: Scene, rng: Random) -> Edit | NotApplicable:
    answer = _captions(scene)
    if isinstance(answer, NotApplicable):
        return answer
    k = rng.randrange(len(answer.captions))
    true_there = scene.donors.true_during(scene.sample.video, scene.intervals[k])
    donor = scene.donors.captions.near_miss(answer.captions[k], true_there, rng)
    if donor is None:
        return NO_DONOR
    captions = [*answer.captions]
    captions[k] = match_case(donor, answer.captions[k])
    return _written(answer, captions, scene, {"events": 1}, (k,))


def _distort_option(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Another option of the same question: letter and words together, or the words alone, as configured."""
    options, right = scene.sample.options, scene.sample.answer_index
    opening = scene.truth.segments[0] if scene.truth.segments else ""
    match = _OPTION.match(opening) if isinstance(opening, str) else None
    if options is None or right is None or match is None or not isinstance(opening, str):
        return ANSWER_FORM
    said = opening[match.end() :]
    if ord(match["letter"]) - ord("A") != right or not said.lower().startswith(options[right].lower()):
        return ANSWER_FORM
    wrong = rng.choice([index for index in range(len(options)) if index != right])
    magnitude: dict[str, int | float | str] = {"words": options[wrong]}
    letter = opening[: match.end()]
    if scene.config.option_distort == "option":
        letter = letter.replace(match["letter"], chr(ord("A") + wrong), 1)
        magnitude = {"option_from": right, "option_to": wrong}
    words = match_case(options[wrong], said) + said[len(options[right]) :]
    segments = (letter + words, *scene.truth.segments[1:])
    return Edit(GroundedResponse(evidence=scene.intervals, segments=segments), magnitude)


def _distort_phrase(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Another caption for a caption-only answer, or another answer to the same kind of open question."""
    phrase = key_phrase(scene.truth)
    opening = scene.truth.segments[0] if scene.truth.segments else ""
    if not phrase or not isinstance(opening, str):
        return ANSWER_FORM
    if scene.sample.task == "rvc":
        donors = scene.donors.captions
        spans = [*scene.sample.query_spans, *scene.sample.intervals]
        true_there = frozenset[str]().union(
            *(scene.donors.true_during(scene.sample.video, span) for span in spans)
        )
    else:
        found = scene.donors.phrases.get(scene.sample.task)
        if found is None:
            return NO_DONOR
        donors, true_there = found, frozenset()
    donor = donors.near_miss(plain(phrase), true_there, rng)
    if donor is None:
        return NO_DONOR
    segments = (opening.replace(phrase, match_case(donor, phrase), 1), *scene.truth.segments[1:])
    return Edit(GroundedResponse(evidence=scene.intervals, segments=segments), {"words": 1})


def _repeat_answer(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """The whole answer, which has no intervals, once or twice more."""
    if len(scene.truth.segments) != 1 or not isinstance(scene.truth.segments[0], str):
        return ANSWER_FORM
    times = rng.randint(1, _MOST_REPEATS)
    text = " ".join([scene.truth.segments[0].strip()] * (times + 1))
    return Edit(GroundedResponse(evidence=scene.intervals, segments=(text,)), {"times": times})


def _repeat_inside(answer: CaptionedAnswer, scene: Scene, rng: Random) -> Edit:
    """One caption says itself once or twice more."""
    k, times = rng.randrange(len(answer.captions)), rng.randint(1, _MOST_REPEATS)
    captions = [*answer.captions]
    captions[k] = ", ".join([captions[k]] * (times + 1))
    return _written(answer, captions, scene, {"times": times}, (k,))


def _repeat_over_others(answer: CaptionedAnswer, scene: Scene, rng: Random) -> Edit:
    """One caption takes the place of others that differ from it."""
    source = rng.randrange(len(answer.captions))
    others = [k for k, caption in enumerate(answer.captions) if caption != answer.captions[source]]
    replaced = sorted(rng.sample(others, rng.randint(1, len(others))))
    captions = [
        match_case(answer.captions[source], caption) if k in replaced else caption
        for k, caption in enumerate(answer.captions)
    ]
    return _written(answer, captions, scene, {"source": source, "times": len(replaced)}, tuple(replaced))


def _captions(scene: Scene) -> CaptionedAnswer | NotApplicable:
    if not scene.intervals:
        return NO_EVENTS
    return read_captions(scene.truth.segments) or ANSWER_FORM


def _written(
    answer: CaptionedAnswer,
    captions: list[str],
    scene: Scene,
    magnitude: dict[str, int | float | str],
    event_ids: tuple[int, ...],
) -> Edit:
    segments = answer.form.build(captions)
    return Edit(GroundedResponse(evidence=scene.intervals, segments=segments), magnitude, event_ids)
