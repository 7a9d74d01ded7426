"""Answers in portions: the same bytes however often they were interrupted, and no other model's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.evaluation.answer_record import AnswerRecord, source_digest
from d2vlm_pipeline.evaluation.answering import AnswerStream, Portion, answer_here, whole_clips
from d2vlm_pipeline.evaluation.predictor import SwappedVideo, ZeroVideo
from d2vlm_pipeline.timeline import ModelRef, Prediction, Question, dump_jsonl
from evaluation.test_predictor import FORMS, FRAMES, Shelf, predictor
from model.tiny import sample


@dataclass
class KnownShelf(Shelf):
    """Clips with an identity."""

    made_of: str = "pixels"

    def identity(self, video: str) -> str:
        return f"{self.made_of} of {video}"


def neighbours() -> list[Question]:
    """Every form about every clip, clip by clip."""
    return [
        Question.of_sample(sample(form, id=f"{video}/{form}", video=video))
        for video in FRAMES
        for form in FORMS
    ]


@dataclass
class Asked:
    """What was really answered, portion by portion; killed after so many."""

    stop_after: int | None = None
    portions: list[list[str]] = field(default_factory=list)


def stream(asked: Asked, shelf: Any = None, **values: Any) -> AnswerStream:
    """Answers of the tiny model in portions of one clip."""
    asking = predictor(shelf or KnownShelf(), **{"batch_questions": len(FORMS), **values})
    here = answer_here(asking, 1)

    def answer(portions: Sequence[Portion]) -> Iterator[tuple[Portion, list[Prediction]]]:
        for portion, predictions in here(portions):
            if asked.stop_after is not None and len(asked.portions) >= asked.stop_after:
                raise KeyboardInterrupt
            asked.portions.append([str(question.sample_id) for question in portion.questions])
            yield portion, predictions

    record = AnswerRecord.of(asking, "real", 1)
    return AnswerStream.of(record, neighbours(), asking.source.identity, answer)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bytes of a run that nothing disturbed."""
    return dump_jsonl(stream(Asked()).resumed(tmp_path_factory.mktemp("whole") / "j.jsonl"))


def test_without_a_journal_the_answers_are_the_same(whole: str) -> None:
    assert dump_jsonl(stream(Asked())) == whole


def test_an_interrupted_run_answers_only_what_is_missing_and_gives_the_same_bytes(
    tmp_path: Path, whole: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, first, second = tmp_path / "j.jsonl", Asked(stop_after=2), Asked()
    with pytest.raises(KeyboardInterrupt):
        list(stream(first).resumed(path))
    path.write_bytes(path.read_bytes() + b'{"key": "half a li')  # and a kill within a write
    with caplog.at_level("INFO"):
        assert dump_jsonl(stream(second).resumed(path)) == whole
    assert [len(first.portions), len(second.portions)] == [2, 1]
    assert first.portions + second.portions == [[f"{v}/{form}" for form in FORMS] for v in FRAMES]
    assert "10 of 15 answers were there, 5 to go" in caplog.text
    third = Asked()
    assert dump_jsonl(stream(third).resumed(path)) == whole
    assert third.portions == []


@pytest.mark.parametrize(
    "changed",
    [
        {"ref": ModelRef(name="tiny", version="3", digest="e" * 64)},
        {"max_new_tokens": 9},
        {"choice": "greedy"},
        {"seed": 5},
        {"system": "fpo"},
        {"shelf": KnownShelf(made_of="other pixels")},
        {"shelf": ZeroVideo(KnownShelf())},
        {"shelf": SwappedVideo(KnownShelf(), dict(zip(FRAMES, [*list(FRAMES)[1:], "a.mp4"], strict=True)))},
    ],
    ids=["model", "length", "choice", "seed", "system", "features", "view", "swapped"],
)
def test_nothing_is_reused_that_another_way_would_answer(tmp_path: Path, changed: dict[str, Any]) -> None:
    path, again = tmp_path / "j.jsonl", Asked()
    list(stream(Asked()).resumed(path))
    list(stream(again, **changed).resumed(path))
    assert len(again.portions) == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt_version": "another"},
        {"sampling_digest": "another"},
        {"parser_version": "99"},
        {"code": "another"},
        {"threads": 2},
        {"torch": "9.9"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_part_of_the_record_tells_answers_apart(changed: dict[str, Any]) -> None:
    record = stream(Asked()).record
    assert record.model_copy(update=changed).digest != record.digest


def test_a_question_that_changes_costs_its_portion_alone(tmp_path: Path) -> None:
    path, again = tmp_path / "j.jsonl", Asked()
    first = stream(Asked())
    list(first.resumed(path))
    asked = neighbours()
    asked[-1] = asked[-1].model_copy(update={"question": "What else?"})
    changed = stream(again)
    list(AnswerStream.of(changed.record, asked, KnownShelf().identity, changed.answer).resumed(path))
    assert again.portions == [[f"c.mp4/{form}" for form in FORMS]]


def test_a_record_says_what_stands_beside_the_answers() -> None:
    record = stream(Asked()).record.as_json()
    assert record["decoding"] == {
        "method": "greedy",
        "choice": "likeliest",
        "max_new_tokens": 10,
        "max_evidence": 16,
    }
    assert record["sampling"]["fps"] > 0 and record["parser_version"] and record["prompt_version"]
    assert record["model"]["digest"] == "d" * 64 and record["code"] == source_digest()


def test_portions_keep_clips_whole_where_they_can() -> None:
    def sizes(counts: Sequence[int], most: int) -> list[list[str]]:
        asked = [
            Question(video=f"{clip}.mp4", question=f"q{number}?")
            for clip, count in enumerate(counts)
            for number in range(count)
        ]
        return [[question.video[0] for question in batch] for batch in whole_clips(asked, most)]

    assert sizes([2, 2, 2], 4) == [list("0011"), list("22")]
    assert sizes([3, 2], 4) == [list("000"), list("11")]
    assert sizes([1, 9, 1], 4) == [list("0"), list("1111"), list("1111"), list("12")]
    assert sizes([], 4) == []


def test_answers_that_come_out_of_order_are_put_in_order(tmp_path: Path, whole: str) -> None:
    backwards = stream(Asked())
    answered = list(backwards.answer(backwards.portions))[::-1]
    shuffled = replace(backwards, answer=lambda portions: iter(answered))
    assert dump_jsonl(shuffled) == whole
    assert dump_jsonl(shuffled.resumed(tmp_path / "j.jsonl")) == whole
