"""What dense captioning is scored on, and by which rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.words import Words
from d2vlm_pipeline.evaluation.benchmarks.grounding import Grounding, GroundingRules
from d2vlm_pipeline.evaluation.benchmarks.records import Protocol, Span, Trap

TIOUS = (0.3, 0.5, 0.7, 0.9)
LAGS_S = (1.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_MOST_CAPTIONS = 1000


@dataclass(frozen=True)
class Captions:
    """Sentences about one video with their intervals, in the order of the file.

    Attributes:
        place: in its file, for errors.
        duration_s: length of the video, None where the file does not say.
    """

    spans: tuple[Span, ...]
    texts: tuple[str, ...]
    place: str = ""
    duration_s: float | None = None


NOTHING = Captions((), ())


@dataclass(frozen=True)
class Dense:
    """Dense captions and one or several reference sets, each by video.

    Attributes:
        videos: all that some set has, in the order of the files.
        words: what is known about the sentences; filled while they are scored.
    """

    videos: tuple[str, ...]
    told: Mapping[str, Captions]
    references: tuple[Mapping[str, Captions], ...]
    words: Words = field(default_factory=Words, compare=False)


Material = Dense | Grounding


@dataclass(frozen=True)
class Rules:
    """How dense captions are counted; each official value is a quirk of a public script.

    Attributes:
        missing: whether a video without prediction counts, as one of which nothing was said.
        one_to_one: whether a caption and an event can each be met but once at a threshold.
        unmatched: what a caption is compared with that meets no event: with nothing, which is 0, or with a
            string of random letters.
        padded_union: whether 1e-8 s is added to the union of two intervals.
        reach: whether precision and recall count what exceeds the threshold, or reaches it.
        best_apart: whether, of several reference sets, precision and recall may come from different ones.
        document: whose references count how rare words are in CIDEr: the benchmark's, or those that captions
            of the same video met.
        ascii_only: whether other characters are blanked out.
        limit: captions of a video that are looked at.
        story_exchanged: whether SODA's caption score takes the prediction for the reference.
        story_border: whether SODA a counts a pair at the border of its table whatever it weighs.
        story_unsorted: whether SODA orders captions by start alone, and where there are several reference
            sets leaves those in the order of the file.
        strict: whether predictions of unknown videos and impossible times are errors, and the order of the
            file of predictions does not matter.
        grounding: rules for predictions of intervals of given queries.
    """

    missing: bool = True
    one_to_one: bool = True
    unmatched: Literal["nothing", "letters"] = "nothing"
    padded_union: bool = False
    reach: Literal["at", "above"] = "at"
    best_apart: bool = False
    document: Literal["benchmark", "video"] = "benchmark"
    ascii_only: bool = False
    limit: int | None = None
    story_exchanged: bool = False
    story_border: bool = False
    story_unsorted: bool = False
    strict: bool = True
    grounding: GroundingRules = field(default_factory=GroundingRules)


STRICT = Rules()
OFFICIAL = Rules(
    missing=False,
    one_to_one=False,
    unmatched="letters",
    padded_union=True,
    reach="above",
    best_apart=True,
    document="video",
    ascii_only=True,
    limit=_MOST_CAPTIONS,
    story_exchanged=True,
    story_border=True,
    story_unsorted=True,
    strict=False,
    grounding=GroundingRules(over="predicted", strict=False),
)

PROTOCOLS: dict[str, Protocol[Rules]] = {
    "strict": Protocol(STRICT, "every video counts, captions meet events one to one, corpus CIDEr"),
    "official": Protocol(OFFICIAL, "densevid_eval and SODA as published; of grounding, TimeChat's script"),
}


def _trap(why: str, number: int, rules: Rules) -> Trap[Rules]:
    return Trap(rules, why, "official", number, concerns=lambda material: isinstance(material, Dense))


TRAPS: tuple[Trap[Rules], ...] = (
    _trap(
        "densevid_eval takes how rare a word is from the references that captions of the same video met",
        9,
        replace(STRICT, document="video"),
    ),
    _trap(
        "densevid_eval compares a caption that meets no event with a string of random letters, and such a "
        "short reference hardly lowers the METEOR of a whole video",
        9,
        replace(STRICT, unmatched="letters"),
    ),
    _trap(
        "densevid_eval pairs a caption with every event it meets, so one event can be hit by many captions",
        9,
        replace(STRICT, one_to_one=False),
    ),
    _trap(
        "densevid_eval leaves videos without prediction out of its means", 9, replace(STRICT, missing=False)
    ),
    _trap(
        "densevid_eval takes an interval for found only where its IoU exceeds the threshold",
        10,
        replace(STRICT, reach="above"),
    ),
    _trap(
        "densevid_eval and SODA add 1e-8 s to the union, so that equal intervals fall short of 1",
        10,
        replace(STRICT, padded_union=True),
    ),
    Trap(
        replace(STRICT, best_apart=True),
        "densevid_eval takes the best precision and the best recall over reference sets apart",
        "official",
        concerns=lambda material: isinstance(material, Dense) and len(material.references) > 1,
    ),
    _trap("densevid_eval blanks out letters beyond ASCII", 0, replace(STRICT, ascii_only=True)),
    _trap(
        "densevid_eval looks at the first 1,000 captions of a video", 0, replace(STRICT, limit=_MOST_CAPTIONS)
    ),
    _trap(
        "SODA's script takes the prediction for the reference in METEOR",
        0,
        replace(STRICT, story_exchanged=True),
    ),
    _trap(
        "SODA's variant a counts a pair at the border of its table even where the intervals do not meet",
        0,
        replace(STRICT, story_border=True),
    ),
    _trap(
        "SODA's script orders captions by start alone, and references of several sets not at all",
        0,
        replace(STRICT, story_unsorted=True),
    ),
    Trap(
        replace(STRICT, grounding=GroundingRules(over="predicted")),
        "with TimeChat's script, queries without prediction are not asked",
        "official",
        concerns=lambda material: isinstance(material, Grounding),
    ),
)
