"""`distort`, `repeat`, `swap_option`, `wrong_text`: the right times with the wrong words."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from d2vlm_pipeline.preferences.answers import CaptionedAnswer, match_case, read_captions
from d2vlm_pipeline.preferences.config import TIMED_CAPTION_TASKS
from d2vlm_pipeline.preferences.donors import key_phrase, plain, text_key
from d2vlm_pipeline.preferences.magnitudes import Count
from d2vlm_pipeline.preferences.options import another_option, read_option
from d2vlm_pipeline.preferences.scene import (
    ANSWER_FORM,
    FEWER_THAN_ASKED,
    NO_DONOR,
    NO_EVENTS,
    NO_OPTIONS,
    Edit,
    Magnitude,
    NotApplicable,
    Scene,
)
from d2vlm_pipeline.timeline import GroundedResponse


def distort(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Put other words for what events are: other captions, another option, another key phrase."""
    if scene.sample.task in TIMED_CAPTION_TASKS:
        return _distort_captions(scene, rng)
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
    if len({text_key(caption) for caption in answer.captions}) == 1:
        return _repeat_inside(answer, scene, rng)
    return _repeat_over_others(answer, scene, rng)


def swap_option(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Choose another option of the same question, letter and words."""
    if scene.sample.options is None:
        return NO_OPTIONS
    answer = read_option(scene)
    if answer is None:
        return ANSWER_FORM
    wrong = another_option(scene, answer.right, rng)
    return Edit(answer.put(scene, wrong), answer.swapped(scene, wrong), axis="option")


def wrong_text(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Right evidence with the text of something else: what the clip shows at another time, or a denial."""
    if not scene.intervals:
        return NO_EVENTS
    if scene.sample.task in TIMED_CAPTION_TASKS:
        return _caption_of_another_time(scene, rng)
    if scene.sample.options is not None:
        return swap_option(scene, rng)
    return _distort_phrase(scene, rng) if scene.sample.task == "gvq" else _deny(scene, rng)


def _distort_captions(scene: Scene, rng: Random) -> Edit | NotApplicable:
    def like(caption: str, true_there: frozenset[str]) -> str | None:
        return scene.donors.captions.near_miss(caption, true_there, rng)

    return _exchange_captions(scene, rng, scene.config.magnitudes.distort, like)


def _caption_of_another_time(scene: Scene, rng: Random) -> Edit | NotApplicable:
    def of_another_time(caption: str, true_there: frozenset[str]) -> str | None:
        refused = true_there | {text_key(caption)}
        others = [text for text in scene.donors.said_of(scene.sample.video) if text_key(text) not in refused]
        return rng.choice(others) if others else None

    return _exchange_captions(scene, rng, scene.config.magnitudes.wrong_text, of_another_time)


def _exchange_captions(
    scene: Scene, rng: Random, magnitude: Count, other: Callable[[str, frozenset[str]], str | None]
) -> Edit | NotApplicable:
    """Put `other` captions, given each and the texts that are true at its time, for as many as are drawn."""
    answer = _captions(scene)
    if isinstance(answer, NotApplicable):
        return answer
    count = magnitude.draw(rng, len(answer.captions))
    if count is None:
        return FEWER_THAN_ASKED
    chosen = sorted(rng.sample(range(len(answer.captions)), count))
    captions = [*answer.captions]
    for k in chosen:
        spans = (scene.intervals[k], scene.said.evidence[k])
        words = other(answer.captions[k], scene.donors.true_during(scene.sample.video, *spans))
        if words is None:
            return NO_DONOR
        captions[k] = match_case(words, answer.captions[k])
    return _written(answer, captions, scene, {"events": count}, tuple(chosen))


def _distort_option(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Another option of the same question: letter and words together, or the words alone, as configured."""
    answer = read_option(scene)
    if answer is None or not answer.words:
        return ANSWER_FORM
    wrong = another_option(scene, answer.right, rng)
    if scene.config.option_distort == "option":
        return Edit(answer.put(scene, wrong), {"option_from": answer.right, "option_to": wrong})
    words = (scene.sample.options or ())[wrong]
    return Edit(answer.put(scene, wrong, letter=False), {"words": words})


def _distort_phrase(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Another caption for a caption-only answer, or another answer to the same kind of open question."""
    phrase = key_phrase(scene.said)
    opening = scene.said.segments[0] if scene.said.segments else ""
    if not phrase or not isinstance(opening, str):
        return ANSWER_FORM
    if scene.sample.task == "rvc":
        donors = scene.donors.captions
        spans = (*scene.sample.query_spans, *scene.sample.intervals)
        true_there = scene.donors.true_during(scene.sample.video, *spans)
    else:
        found = scene.donors.phrases.get(scene.sample.task)
        if found is None:
            return NO_DONOR
        donors, true_there = found, frozenset()
    donor = donors.near_miss(plain(phrase), true_there, rng)
    if donor is None:
        return NO_DONOR
    segments = (opening.replace(phrase, match_case(donor, phrase), 1), *scene.said.segments[1:])
    return Edit(GroundedResponse(evidence=scene.said.evidence, segments=segments), {"words": 1})


def _deny(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """The evidence stands and the answer says that there is none, in words of questions where it is true."""
    denials = scene.donors.denials(scene.sample.task)
    if not denials:
        return NO_DONOR
    rejected = GroundedResponse(evidence=scene.said.evidence, segments=(rng.choice(denials),))
    return Edit(rejected, {"events": len(scene.intervals)}, tuple(range(len(scene.intervals))))


def _repeat_answer(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """The whole answer, which has no intervals, said again."""
    if len(scene.said.segments) != 1 or not isinstance(scene.said.segments[0], str):
        return ANSWER_FORM
    times = _times(scene, rng)
    text = " ".join([scene.said.segments[0].strip()] * (times + 1))
    return Edit(GroundedResponse(evidence=scene.said.evidence, segments=(text,)), {"times": times})


def _repeat_inside(answer: CaptionedAnswer, scene: Scene, rng: Random) -> Edit:
    """One caption says itself again."""
    k, times = rng.randrange(len(answer.captions)), _times(scene, rng)
    captions = [*answer.captions]
    captions[k] = ", ".join([captions[k]] * (times + 1))
    return _written(answer, captions, scene, {"times": times}, (k,))


def _repeat_over_others(answer: CaptionedAnswer, scene: Scene, rng: Random) -> Edit | NotApplicable:
    """One caption takes the place of others that differ from it."""
    source = rng.randrange(len(answer.captions))
    key = text_key(answer.captions[source])
    others = [k for k, caption in enumerate(answer.captions) if text_key(caption) != key]
    count = scene.config.magnitudes.repeat.events.draw(rng, len(others))
    if count is None:
        return FEWER_THAN_ASKED
    replaced = sorted(rng.sample(others, count))
    captions = [
        match_case(answer.captions[source], caption) if k in replaced else caption
        for k, caption in enumerate(answer.captions)
    ]
    return _written(answer, captions, scene, {"source": source, "times": len(replaced)}, tuple(replaced))


def _times(scene: Scene, rng: Random) -> int:
    """How often one thing is said again."""
    counts = scene.config.magnitudes.repeat.times
    return counts.draw(rng, counts.high or counts.low) or counts.low


def _captions(scene: Scene) -> CaptionedAnswer | NotApplicable:
    if not scene.intervals:
        return NO_EVENTS
    return read_captions(scene.said.segments) or ANSWER_FORM


def _written(
    answer: CaptionedAnswer,
    captions: list[str],
    scene: Scene,
    magnitude: Magnitude,
    event_ids: tuple[int, ...],
) -> Edit:
    segments = answer.form.build(captions)
    return Edit(GroundedResponse(evidence=scene.said.evidence, segments=segments), magnitude, event_ids)
