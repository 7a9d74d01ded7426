"""How E.T. Bench may be scored: the switches, the protocols that set them, and what each quirk moves."""

from dataclasses import dataclass, replace
from typing import Literal

from d2vlm_pipeline.evaluation.benchmarks.records import Protocol, Trap

Reading = Literal["careful", "original", "d2vlm"]
"""Whose rules take intervals, captions and moments out of an answer."""

Choosing = Literal["careful", "original", "strict-rvq", "d2vlm"]
"""How an answer names an option.

careful: by letter, by its words or its times; an answer that names none is wrong.
original: a letter that is right counts; otherwise the option most similar to the answer does.
strict-rvq: the first letter of an option decides; without one, similarity.
d2vlm: as strict-rvq, but letters in brackets are never found.
"""


@dataclass(frozen=True)
class ETBenchRules:
    """A way to score E.T. Bench; the defaults are `strict`.

    Attributes:
        reading, choosing: whose rules read answers.
        evidence: whether what stands before `</evi>` is scored by itself (`…_evi`).
        evidence_leans: an empty evidence half counts as the answer's intervals, and one without an answer
            does not count.
        any_interval: tvg and epm take the best of all intervals said, not the first.
        single_precision: overlaps are compared with thresholds as 32-bit numbers.
        tal_resets: evidence without any match clears the sum of all samples before it, and evidence counts
            only where the answer reaches the threshold.
        evs_parsed_only: answers that cannot be read leave the mean.
        evs_limit_s: seconds behind it are not seen.
        evs_united: answer and evidence are scored as one.
        middle_of_interval: a highlight must be given as an interval, and its middle counts.
        right_option_first: gvq locates only where the option is right.
        captions_parsed_only: caption metrics are means over videos whose answer could be read.
        random_references: a caption without event is compared with a random string.
        hull_overlap: overlap of captioned events must be above the threshold to count for F1, at it for
            captions.
        by_video: of several questions on one video of a source, the last one that could be read stands.
        refuses: duplicates, unknown predictions and impossible truth are errors.
        decimals: figures are rounded, and means of means are means of rounded figures.
    """

    reading: Reading = "careful"
    choosing: Choosing = "careful"
    evidence: bool = True
    evidence_leans: bool = False
    any_interval: bool = False
    single_precision: bool = False
    tal_resets: bool = False
    evs_parsed_only: bool = False
    evs_limit_s: float | None = None
    evs_united: bool = False
    middle_of_interval: bool = False
    right_option_first: bool = False
    captions_parsed_only: bool = False
    random_references: bool = False
    hull_overlap: bool = False
    by_video: bool = False
    refuses: bool = True
    decimals: int | None = None


STRICT = ETBenchRules()
ORIGINAL = ETBenchRules(
    reading="original",
    choosing="original",
    evidence=False,
    single_precision=True,
    evs_parsed_only=True,
    evs_limit_s=1000.0,
    right_option_first=True,
    captions_parsed_only=True,
    random_references=True,
    hull_overlap=True,
    by_video=True,
    refuses=False,
    decimals=5,
)
STRICT_RVQ = replace(ORIGINAL, choosing="strict-rvq")
D2VLM = replace(
    ORIGINAL,
    reading="d2vlm",
    choosing="d2vlm",
    evidence=True,
    evidence_leans=True,
    any_interval=True,
    tal_resets=True,
    evs_united=True,
    middle_of_interval=True,
)

_ORIGINAL = Protocol(ORIGINAL, "compute_metrics_original_etchat.py, the benchmark's own script")
PROTOCOLS: dict[str, Protocol[ETBenchRules]] = {
    "strict": Protocol(STRICT, "every question counts, answers are read as a person reads them"),
    "official": _ORIGINAL,
    "official:original": _ORIGINAL,
    "official:strict-rvq": Protocol(STRICT_RVQ, "the same, but a wrong letter stays wrong"),
    "official:d2vlm": Protocol(D2VLM, "new_compute_metrics.py of the D²VLM authors, for answers with </evi>"),
}

_D2VLM, _FIRST = "official:d2vlm", "official:original"
TRAPS: tuple[Trap[ETBenchRules], ...] = (
    Trap(
        replace(STRICT, evs_parsed_only=True), "evs answers that cannot be read leave the mean", _FIRST, 4
    ),
    Trap(replace(STRICT, evs_limit_s=1000.0), "evs sees nothing behind 1,000 s", _FIRST, 4),
    Trap(
        replace(STRICT, evs_united=True),
        "evs answer and evidence are one map, so what is scored is both together",
        _D2VLM,
        5,
    ),
    Trap(
        replace(STRICT, tal_resets=True),
        "tal evidence without any match clears what all samples before it scored",
        _D2VLM,
        6,
    ),
    Trap(
        replace(STRICT, choosing="original"),
        "an answer without the right letter counts as the option it is most similar to",
        _FIRST,
        7,
    ),
    Trap(
        replace(STRICT, choosing="d2vlm"),
        "'(a)' is looked up among 'a', 'b', 'c', and most answers fall to similarity",
        _D2VLM,
        7,
    ),
    Trap(replace(STRICT, right_option_first=True), "gvq locates only where the option is right", _FIRST, 8),
    Trap(
        replace(STRICT, captions_parsed_only=True),
        "caption metrics are means over the videos whose answer could be read, F1 over all",
        _FIRST,
        8,
    ),
    Trap(
        replace(STRICT, random_references=True),
        "captions without event are compared with random strings, which no sentence is dissimilar to",
        _FIRST,
        9,
    ),
    Trap(
        replace(STRICT, hull_overlap=True),
        "an overlap of exactly the threshold counts for captions and not for F1",
        _FIRST,
        10,
    ),
    Trap(
        replace(STRICT, middle_of_interval=True),
        "a highlight must be an interval and its middle counts, though a single number is asked for",
        _D2VLM,
        12,
    ),
    Trap(
        replace(STRICT, reading="original"),
        "answers are read by patterns that know '-' and ' to ' between bare numbers and little else",
        _FIRST,
    ),
    Trap(
        replace(STRICT, reading="d2vlm"), "answers without </evi> are not read at all", _D2VLM
    ),
    Trap(
        replace(STRICT, any_interval=True), "tvg and epm take the best of all intervals said", _D2VLM
    ),
)
