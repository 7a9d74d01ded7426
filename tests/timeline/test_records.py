"""Records refuse what contradicts itself, and survive JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from d2vlm_pipeline.timeline import (
    CAPTION_TASKS,
    COMPLEX_TASKS,
    GROUNDED_TASKS,
    GROUNDING_TASKS,
    MCQ_TASKS,
    REFERRING_TASKS,
    TASKS,
    Event,
    FactorRecord,
    GroundedResponse,
    Interval,
    PredictedInterval,
    Prediction,
    PreferencePair,
    Question,
    Sample,
)

EVENT = {"start_s": 1.0, "end_s": 2.5, "caption": "a red ball enters"}
TVG = {
    "id": "s1",
    "video": "clip_07.mp4",
    "task": "tvg",
    "source": "world",
    "split": "train",
    "question": "When does a red ball enter?",
    "events": [EVENT],
    "answer": "The event happens in <evi>.",
}
GVQ = TVG | {
    "task": "gvq",
    "options": ["red", "blue"],
    "answer_index": 1,
    "answer": "(B) blue. The relevant event happens in <evi>.",
}


def test_task_groups_cover_the_codes_once() -> None:
    groups = GROUNDING_TASKS + CAPTION_TASKS + COMPLEX_TASKS + REFERRING_TASKS + MCQ_TASKS
    assert groups == TASKS
    assert " ".join(TASKS) == "tvg epm tal evs vhd dvc slc tvc rvc tem gvq rar eca rvq mcq"
    assert " ".join(GROUNDED_TASKS) == "tvg epm tal evs vhd dvc slc tvc tem gvq"


@pytest.mark.parametrize(
    "fields",
    [
        TVG,
        GVQ,
        TVG | {"events": [], "answer": "No such event happens in the video."},
        TVG | {"task": "tal", "events": [EVENT, EVENT], "answer": "It happens in <evi>, and <evi>."},
        TVG | {"task": "tem", "question": "Like <evi>?", "query_intervals": [[0, 1]]},
        TVG
        | {"task": "rvc", "question": "What happens in <evi>?", "query_intervals": [[1, 2]], "answer": "x"},
        TVG | {"task": "mcq", "events": [], "answer": "(A) x.", "options": ["x", "y"], "answer_index": 0},
    ],
    ids=["tvg", "gvq", "absent", "tal", "tem", "rvc", "mcq"],
)
def test_valid_samples_survive_json(fields: dict[str, Any]) -> None:
    sample = Sample(**fields)
    assert Sample.model_validate_json(sample.model_dump_json()) == sample
    assert Sample(**json.loads(sample.model_dump_json())) == sample


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": ""}, "id"),
        ({"video": "  "}, "video"),
        ({"task": "TVG"}, "unknown task 'TVG'"),
        ({"note": "x"}, "Extra inputs"),
        ({"answer": "No time given."}, "0 <evi> in the answer for 1 events"),
        ({"answer": "<evi> and <evi>"}, "2 <evi> in the answer for 1 events"),
        ({"events": []}, "1 <evi> in the answer for 0 events"),
        ({"question": "Like <evi>?"}, "1 <evi> in the question for 0 query_intervals"),
        ({"query_intervals": [[0, 1]]}, "0 <evi> in the question for 1 query_intervals"),
        ({"question": "Like <evi>?", "query_intervals": [[2, 1]]}, "must start before it ends"),
        ({"question": "Like <evi>?", "query_intervals": [[1, 1]]}, "must start before it ends"),
        ({"question": "Like <evi>?", "query_intervals": [[1, 2, 3]]}, "query_intervals"),
        ({"question": "Like <evi>?", "query_intervals": [[-1, 2]]}, "greater than or equal to 0"),
        ({"events": [EVENT | {"end_s": 0.5}]}, "event must start before it ends"),
        ({"events": [EVENT | {"end_s": float("nan")}]}, "finite"),
        ({"events": [EVENT | {"caption": "a <evi>"}]}, "must not contain"),
        ({"answer": "</evi>At <evi>"}, "ends the evidence half"),
        ({"options": ["a", "b"]}, "come together"),
        ({"answer_index": 0}, "come together"),
        ({"options": ["a"], "answer_index": 0}, "at least 2"),
        ({"options": [str(at) for at in range(27)], "answer_index": 0}, "at most 26"),
        ({"options": ["a", "a"], "answer_index": 0}, "differ"),
        ({"options": ["a", ""], "answer_index": 0}, "options"),
        ({"options": ["a", "b"], "answer_index": 2}, "answer_index 2 with 2 options"),
        ({"options": ["a", "b"], "answer_index": -1}, "greater than or equal to 0"),
        ({"task": "mcq", "events": [], "answer": "(A)"}, "needs options"),
        ({"task": "rar", "events": [], "answer": "at <evi>"}, "1 <evi> in the answer for 0 events"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Sample(**(TVG | changes))


def test_response_of_a_grounded_sample() -> None:
    response = Sample(**GVQ).response()
    assert response.render() == "<evi></evi>(B) blue. The relevant event happens in <evi>."
    assert response.evidence == (Interval(start_s=1.0, end_s=2.5),)


def test_response_of_an_absent_event_has_no_evidence() -> None:
    sample = Sample(**(TVG | {"events": [], "answer": "No such event happens in the video."}))
    assert sample.response().render() == "</evi>No such event happens in the video."


def test_events_of_an_ungrounded_answer_are_no_evidence() -> None:
    sample = Sample(
        **(TVG | {"task": "rvc", "question": "In <evi>?", "query_intervals": [[1, 2.5]], "answer": "A ball."})
    )
    assert sample.response() == GroundedResponse(segments=("A ball.",))
    assert sample.query_spans == (Interval(start_s=1, end_s=2.5),)


def test_events_keep_their_order() -> None:
    late, early = (
        {"start_s": 8.0, "end_s": 9.0, "caption": "b"},
        {"start_s": 1.0, "end_s": 2.0, "caption": "a"},
    )
    sample = Sample(**(TVG | {"task": "evs", "events": [late, early], "answer": "In <evi>, and <evi>."}))
    assert [interval.start_s for interval in sample.response().evidence] == [8.0, 1.0]
    assert sample.intervals == tuple(Event(**fields).interval for fields in (late, early))


def test_samples_are_hashable_and_immutable() -> None:
    sample = Sample(**GVQ)
    assert len({sample, Sample(**GVQ)}) == 1
    with pytest.raises(ValidationError, match="frozen"):
        sample.split = "val"  # type: ignore[misc]


def test_question_of_a_sample_holds_nothing_of_its_truth() -> None:
    question = Question.of_sample(Sample(**GVQ))
    assert question.model_dump() == {
        "video": "clip_07.mp4",
        "question": "When does a red ball enter?",
        "query_intervals": (),
        "options": ("red", "blue"),
        "task": "gvq",
        "sample_id": "s1",
    }


def test_question_needs_an_interval_for_every_reference() -> None:
    with pytest.raises(ValidationError, match="1 <evi> in the question for 0"):
        Question(video="v.mp4", question="What happens in <evi>?")
    assert Question(video="v.mp4", question="In <evi>?", query_intervals=[[0, 1]]).query_spans == (  # type: ignore[arg-type]
        Interval(start_s=0, end_s=1),
    )


SPAN = {"start_s": 1.0, "end_s": 2.0, "confidence": 0.75}
PREDICTION: dict[str, Any] = {
    "sample_id": "s1",
    "video": "clip_07.mp4",
    "task": "tvg",
    "system": "sft",
    "question": "When?",
    "answer": "The event happens in 1.0 s to 2.0 s.",
    "segments": [
        {"text": "The event happens in "},
        {"evidence": 0, "interval": SPAN},
        {"text": ", "},
        {"evidence": None, "interval": SPAN},
    ],
    "evidence": [SPAN],
    "raw": "<evi></evi>The event happens in <evi>, <evi>",
    "parsed": True,
    "parse_error": None,
    "decoding": {"greedy": True, "max_tokens": 64, "stop": ["<end>"]},
    "seed": 0,
    "timebase_digest": "ab12",
    "model": {"name": "d2vlm", "version": "3", "alias": "champion", "digest": "cd34"},
}


def test_prediction_has_the_shape_of_the_contract_and_survives_json() -> None:
    prediction = Prediction(**PREDICTION)
    assert json.loads(prediction.model_dump_json()) == PREDICTION
    assert Prediction.model_validate_json(prediction.model_dump_json()) == prediction
    assert [interval.confidence for interval in prediction.answer_intervals] == [0.75, 0.75]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parsed": False}, "parse_error is given exactly where"),
        ({"parse_error": "no </evi>"}, "parse_error is given exactly where"),
        ({"evidence": []}, "points at evidence 0, but there are 0"),
        ({"evidence": [SPAN | {"confidence": 1.01}]}, "less than or equal to 1"),
        ({"evidence": [SPAN | {"confidence": float("nan")}]}, "finite"),
        ({"evidence": [SPAN | {"end_s": 1.0}]}, "must start before it ends"),
        ({"segments": [{"text": "a", "evidence": 0}]}, "Extra inputs"),
        ({"segments": [{"text": "<evi>"}]}, "must not contain"),
        ({"model": {"name": "d2vlm"}}, "digest"),
        ({"score": 1.0}, "Extra inputs"),
    ],
)
def test_impossible_predictions_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Prediction(**(PREDICTION | changes))


def test_predicted_interval_compares_by_its_interval() -> None:
    predicted = PredictedInterval(start_s=0, end_s=2, confidence=0.5)
    assert predicted.interval == Interval(start_s=0, end_s=2)
    assert predicted.iou(Interval(start_s=1, end_s=2)) == 0.5


CHOSEN = GroundedResponse(evidence=(Interval(start_s=1, end_s=2),), segments=("In ", 0, "."))
REJECTED = GroundedResponse(evidence=(Interval(start_s=3, end_s=4),), segments=("In ", 0, "."))
FACTOR = FactorRecord(
    operator="shift", axis="boundaries", magnitude={"delta_s": 2.0, "n": 1, "side": "both"}, event_ids=(0,)
)


def pair(**changes: Any) -> PreferencePair:
    fields: dict[str, Any] = {
        "id": "p1",
        "sample_id": "s1",
        "chosen": CHOSEN,
        "rejected": REJECTED,
        "factors": [FACTOR],
        "seed": 7,
        "operator_version": "1",
    }
    return PreferencePair(**(fields | changes))


def test_pair_survives_json_with_number_kinds_intact() -> None:
    again = PreferencePair.model_validate_json(pair().model_dump_json())
    assert again == pair()
    assert {key: type(value) for key, value in again.factors[0].magnitude.items()} == {
        "delta_s": float,
        "n": int,
        "side": str,
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rejected": CHOSEN}, "same response"),
        ({"factors": []}, "at least 1"),
        ({"factors": [{"operator": "shift", "axis": "mood"}]}, "axis"),
        ({"factors": [{"operator": "", "axis": "text"}]}, "operator"),
        ({"factors": [{"operator": "x", "axis": "text", "event_ids": [-1]}]}, "greater than or equal to 0"),
        ({"factors": [{"operator": "x", "axis": "text", "magnitude": {"d": float("inf")}}]}, "finite"),
    ],
)
def test_impossible_pairs_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        pair(**changes)


@given(st.floats(0, 1e5), st.floats(1e-3, 1e3), st.text(max_size=20).filter(lambda text: "evi>" not in text))
def test_any_event_survives_json(start_s: float, length_s: float, caption: str) -> None:
    event = Event(start_s=start_s, end_s=start_s + length_s, caption=caption)
    assert Event.model_validate_json(event.model_dump_json()) == event
