"""Mistakes are read the same way off synthetic answers and off a model's; the distance is between the two."""

import pytest

from d2vlm_pipeline.preferences import DonorPool, ErrorHistogram, PreferenceConfig, synthesize_pairs
from d2vlm_pipeline.preferences.audit_plots import render_distance
from d2vlm_pipeline.preferences.errors import (
    KINDS,
    distance_record,
    error_kinds,
    said_by_model,
    said_by_pair,
)
from d2vlm_pipeline.timeline import EvidenceSegment, ModelRef, PredictedInterval, Prediction, TextSegment
from preferences import samples as s


def prediction(sample, answer: str, *spans: tuple[float, float]) -> Prediction:
    """A parsed answer in which each `<evi>` is the next of the spans."""
    intervals = [PredictedInterval(start_s=a, end_s=b, confidence=0.5) for a, b in spans]
    segments, texts = [], answer.split("<evi>")
    for k, text in enumerate(texts):
        segments += [TextSegment(text=text)] if text else []
        if k < len(intervals):
            segments.append(EvidenceSegment(evidence=k, interval=intervals[k]))
    return Prediction(
        sample_id=sample.id,
        video=sample.video,
        task=sample.task,
        system="sft",
        question=sample.question,
        answer=answer,
        segments=tuple(segments),
        evidence=tuple(intervals),
        raw=answer,
        parsed=True,
        timebase_digest="t",
        model=ModelRef(name="m", digest="d"),
    )


TAL, DVC = s.listing(3), s.captions(2)
LISTED = "The action happens in <evi>, <evi>, and <evi>."


@pytest.mark.parametrize(
    ("sample", "answer", "spans", "kinds"),
    [
        (s.TVG, "In <evi>.", [(2.0, 5.0)], []),
        (s.TVG, "In <evi>.", [(2.2, 5.0)], []),
        (s.TVG, "In <evi>.", [(3.0, 5.0)], ["boundaries, IoU 0.5 to 0.7"]),
        (s.TVG, "In <evi>.", [(3.5, 5.0)], ["boundaries, IoU 0.5 to 0.7"]),
        (s.TVG, "In <evi>.", [(4.0, 5.0)], ["boundaries, IoU 0.3 to 0.5"]),
        (s.TVG, "In <evi>.", [(9.0, 12.0)], ["boundaries, IoU below 0.3"]),
        (s.TVG, "No such event.", [], ["event set, none given"]),
        (s.ABSENT, "It never happens.", [], []),
        (s.ABSENT, "In <evi>.", [(2.0, 5.0)], ["event set, invented"]),
        (TAL, LISTED, s.SPANS, []),
        (TAL, LISTED, [s.SPANS[1], s.SPANS[0], s.SPANS[2]], ["event set, other order"]),
        (TAL, "In <evi>, and <evi>.", s.SPANS[:2], ["event set, fewer"]),
        (s.TVG, "In <evi>, <evi>.", s.SPANS[:2], ["event set, more"]),
        (DVC, "<evi>, A red ball enters! <evi>, a blue star grows.", s.SPANS[:2], []),
        (DVC, "<evi>, a red ball enters. <evi>, a fish.", s.SPANS[:2], ["text"]),
        (
            DVC,
            "<evi>, a fish. <evi>, a blue star grows.",
            [(9.0, 12.0), s.SPANS[1]],
            ["boundaries, IoU below 0.3", "text"],
        ),
        (s.choice("mcq"), "(B) anything", [], []),
        (s.choice("mcq"), "(A) red.", [], ["option"]),
        (s.RVC, "a red ball enters", [], []),
        (s.RVC, "a fish", [], ["text"]),
    ],
)
def test_kinds_of_mistakes(sample, answer, spans, kinds):
    assert error_kinds(sample, said_by_model(prediction(sample, answer, *spans))) == kinds
    assert set(kinds) <= set(KINDS)


def histogram(*answers):
    found = ErrorHistogram()
    for sample, said in answers:
        found.add(sample, said)
    return found


def test_a_pair_is_read_as_an_answer_would_be():
    pairs = synthesize_pairs(
        [s.listing(3), s.TVG],
        {"clip_1.mp4": s.DURATION_S},
        PreferenceConfig(pairs_per_sample=8),
        DonorPool.of([*s.ALL, s.other_clip()]),
    )
    by_operator = {
        pair.factors[0].operator: error_kinds(sample, said_by_pair(pair))
        for pair in pairs
        for sample in [s.listing(3) if "tal" in pair.sample_id else s.TVG]
    }
    assert by_operator["add"] == by_operator["split"] == ["event set, more"]
    assert by_operator["delete"] == by_operator["merge"] == ["event set, fewer"]
    assert by_operator["reorder"] == ["event set, other order"]
    assert by_operator["shift"] == ["boundaries, IoU below 0.3"]
    assert by_operator["wrong_text"] == ["event set, none given"]


def test_the_distance_is_from_the_same_to_nothing_in_common():
    moved = (s.TVG, said_by_model(prediction(s.TVG, "In <evi>.", (9.0, 12.0))))
    denied = (s.TVG, said_by_model(prediction(s.TVG, "None.")))
    same = distance_record(histogram(moved, moved), histogram(moved))
    assert (same["total_variation"], same["jensen_shannon"]) == (0.0, 0.0)
    apart = distance_record(histogram(moved), histogram(denied))
    assert (apart["total_variation"], apart["jensen_shannon"]) == (1.0, 1.0)
    half = distance_record(histogram(moved, denied), histogram(moved))
    assert half["total_variation"] == 0.5
    # H(3/4, 1/4) − H(1/2, 1/2) / 2 in bits.
    assert half["jensen_shannon"] == pytest.approx(0.3113, abs=1e-4)
    assert half["shares"]["event set, none given"] == {"operators": 0.5, "model": 0.0}


def test_a_handful_of_mistakes_has_no_distance():
    moved = (s.TVG, said_by_model(prediction(s.TVG, "In <evi>.", (9.0, 12.0))))
    many, few = histogram(*[moved] * 20), histogram(*[moved] * 19)
    assert distance_record(many, few, least=20)["total_variation"] is None
    assert distance_record(many, many, least=20)["total_variation"] == 0.0


def test_only_tasks_that_both_answer_are_compared_and_silence_is_counted():
    moved = (s.TVG, said_by_model(prediction(s.TVG, "In <evi>.", (9.0, 12.0))))
    fewer = (TAL, said_by_model(prediction(TAL, "In <evi>.", s.SPANS[0])))
    right = (s.TVG, said_by_model(prediction(s.TVG, "In <evi>.", s.SPANS[0])))
    record = distance_record(histogram(moved, fewer), histogram(moved, right, (s.TVG, None)))
    assert record["tasks"] == ["tvg"] and record["total_variation"] == 0.0
    assert record["model"]["unparsed"] == 1 and record["model"]["right"] == 1
    assert render_distance(record).startswith(b"\x89PNG")


def test_a_model_without_mistakes_has_no_distance():
    right = (s.TVG, said_by_model(prediction(s.TVG, "In <evi>.", s.SPANS[0])))
    record = distance_record(histogram(right), histogram(right))
    assert record["total_variation"] is None and record["jensen_shannon"] is None
    assert render_distance(record).startswith(b"\x89PNG")
