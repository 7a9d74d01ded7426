"""The one way a model is asked: one prediction a question, in order, whatever the batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from d2vlm_pipeline.evaluation.predictor import ClipSource, Predictor, SwappedVideo, ZeroVideo
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.model import generate as generation
from d2vlm_pipeline.model.config import QFormerConfig
from d2vlm_pipeline.model.encoding import BranchEncoder
from d2vlm_pipeline.model.generate import FoundSpan, Generated, PromptClip, PromptQuestion, ResponseForm
from d2vlm_pipeline.objectives import OFFICIAL_SFT, SFTConfig
from d2vlm_pipeline.timeline import EvidenceSegment, ModelRef, Prediction, Question, TimeBase
from model.tiny import bundle, clock, contract, features, model, sample

FRAMES = {"a.mp4": 9, "b.mp4": 6, "c.mp4": 12}
FORMS = ("tvg", "rar", "tem", "dvc", "absent")


@dataclass
class Shelf:
    """Features of three clips, and which were asked for."""

    seed: int = 0
    asked: list[str] = field(default_factory=list)

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        self.asked.append(video)
        frames = FRAMES[video]
        return features(frames, self.seed).numpy().astype(np.float16), clock(frames)


def predictor(source: ClipSource, **values: Any) -> Predictor:
    ref = ModelRef(name="tiny", version="3", digest="d" * 64)
    settings = {"system": "sft", "max_new_tokens": 10, "seed": 4} | values
    return Predictor(**{"bundle": bundle(), "source": source, "ref": ref} | settings)


def questions() -> list[Question]:
    """Every form about every clip; neighbours are about different clips."""
    return [
        Question.of_sample(sample(form, id=f"{video}/{form}", video=video))
        for form in FORMS
        for video in FRAMES
    ]


@pytest.fixture(scope="module")
def answers() -> list[Prediction]:
    return predictor(Shelf()).answer_batch(questions())


def test_every_question_gets_its_answer_in_order(answers: list[Prediction]) -> None:
    asked = questions()
    assert [(p.sample_id, p.video, p.task, p.question) for p in answers] == [
        (q.sample_id, q.video, q.task, q.question) for q in asked
    ]
    # An untrained model babbles, but about what it was asked.
    assert len({answer.raw for answer in answers}) > 3


@pytest.mark.parametrize("batch_questions", [1, 4])
def test_an_answer_does_not_depend_on_the_batch(batch_questions: int, answers: list[Prediction]) -> None:
    again = predictor(Shelf(), batch_questions=batch_questions).answer_batch(questions())
    assert [answer.raw for answer in again] == [answer.raw for answer in answers]
    for one, other in zip(again, answers, strict=True):
        for a, b in zip(one.evidence, other.evidence, strict=True):
            assert a.interval == b.interval and a.confidence == pytest.approx(b.confidence, abs=1e-5)


def test_where_the_projector_reads_the_question_answers_do_not_depend_on_the_batch_either() -> None:
    qformer = QFormerConfig(layers=2, width=16, heads=2, inner=24, queries=3, dropout=0.0)
    reading = ModelBundle(model(projector=qformer), bundle().tokenizer, contract())
    together = predictor(Shelf(), bundle=reading).answer_batch(questions())
    alone = predictor(Shelf(), bundle=reading, batch_questions=1).answer_batch(questions())
    assert [answer.raw for answer in together] == [answer.raw for answer in alone]


def test_a_clip_is_fetched_once_a_batch() -> None:
    shelf = Shelf()
    predictor(shelf, batch_questions=4).answer_batch(questions()[:8])
    assert shelf.asked == ["a.mp4", "b.mp4", "c.mp4", "b.mp4", "c.mp4", "a.mp4"]


def test_clips_asked_about_again_are_not_read_again(
    monkeypatch: pytest.MonkeyPatch, answers: list[Prediction]
) -> None:
    shelf, read = Shelf(), []
    reading = generation.read_clips
    monkeypatch.setattr(generation, "read_clips", lambda *given: read.append(1) or reading(*given))
    asking = predictor(shelf)
    again = [asking.answer_batch(questions()[at : at + 3]) for at in range(0, len(questions()), 3)]
    assert (shelf.asked, len(read)) == (list(FRAMES), 1)
    assert [answer.raw for batch in again for answer in batch] == [answer.raw for answer in answers]
    asking.answer_batch(questions()[:1])
    assert (shelf.asked, len(read)) == ([*FRAMES, "a.mp4"], 2)


def test_a_prediction_says_who_answered_what_and_how(answers: list[Prediction]) -> None:
    for answer in answers:
        assert answer.system == "sft" and answer.seed == 4
        assert (answer.model.name, answer.model.version, answer.model.digest) == ("tiny", "3", "d" * 64)
        assert answer.timebase_digest == clock(FRAMES[answer.video]).digest
        assert answer.decoding["method"] == "greedy" and answer.decoding["max_new_tokens"] == 10
        assert isinstance(answer.decoding["finished"], bool)


def test_no_question_no_answer() -> None:
    shelf = Shelf()
    assert predictor(shelf).answer_batch([]) == []
    assert shelf.asked == []


def test_answers_stream() -> None:
    shelf = Shelf()
    stream = predictor(shelf, batch_questions=2).answer_all(iter(questions()))
    assert next(stream).sample_id == "a.mp4/tvg"
    assert len(shelf.asked) == 2


@dataclass
class Script:
    """Stands for generation: remembers what it is given and answers what it is told."""

    text: str
    spans: Sequence[FoundSpan]
    clips: list[PromptClip] = field(default_factory=list)
    questions: list[PromptQuestion] = field(default_factory=list)
    room: int = 0
    form: ResponseForm | None = None

    def __call__(
        self,
        model: object,
        clips: Sequence[PromptClip],
        asked: Sequence[PromptQuestion],
        *rest: int,
        adjust: object,
        form: ResponseForm,
    ) -> list[Generated]:
        self.form = form
        self.clips, self.questions, self.room = list(clips), list(asked), rest[-1]
        ids = bundle().tokenizer.encode(self.text, add_special_tokens=False)
        return [Generated(ids, list(self.spans), finished=True) for _ in asked]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(text: str, *spans: FoundSpan) -> Script:
        script = Script(text, spans)
        monkeypatch.setattr(generation, "generate", script)
        monkeypatch.setattr(generation, "read_clips", lambda model, clips: clips)
        return script

    return install


def one(question: Question) -> Prediction:
    (answer,) = predictor(Shelf()).answer_batch([question])
    return answer


def test_frames_become_seconds_of_the_clip_s_own_clock(scripted: Any) -> None:
    scripted("<evi></evi>The event happens in <evi>.", FoundSpan(1, 3, 0.75), FoundSpan(2, 11, 1.0000001))
    answer = one(questions()[2])
    assert answer.video == "c.mp4" and answer.parsed
    assert [(e.start_s, e.end_s, e.confidence) for e in answer.evidence] == [(0.5, 2.0, 0.75)]
    (said,) = answer.answer_intervals
    assert (said.start_s, said.end_s, said.confidence) == (1.0, 6.0, 1.0)
    assert [segment.evidence for segment in answer.segments if isinstance(segment, EvidenceSegment)] == [0]
    assert answer.answer == "The event happens in 1.0 - 6.0 s."
    assert answer.raw == "<evi></evi>The event happens in <evi>."
    assert answer.decoding["finished"] is True


def test_what_cannot_be_parsed_is_kept_and_counted(scripted: Any) -> None:
    scripted("The event happens soon.")
    answer = one(questions()[0])
    assert not answer.parsed and answer.parse_error is not None
    assert answer.raw == "The event happens soon." and answer.evidence == ()


def test_a_question_points_at_the_frames_of_its_intervals(scripted: Any) -> None:
    script = scripted("</evi>(B) blue.")
    question = next(q for q in questions() if q.sample_id == "a.mp4/rar")
    assert one(question).parsed
    (prompt,) = script.questions
    assert prompt.clip == 0
    # [0, 1) and [2.5, 3.5) at two frames a second.
    assert [tuple(span) for span in prompt.spans] == [(0, 1), (5, 6)]
    tokens = bundle().tokens
    assert [prompt.ids[place] for place in prompt.evi_positions] == [tokens.evi, tokens.evi]
    read = bundle().tokenizer.decode(list(prompt.ids))
    assert "(A) red (B) blue" in read
    assert tuple(prompt.ids[-2:]) == tokens.before_answer


def test_every_clip_of_a_batch_is_shown_once_with_a_slot_for_each_frame(scripted: Any) -> None:
    script = scripted("</evi>No such event happens in the video.")
    predictor(Shelf(), max_new_tokens=33).answer_batch(questions())
    assert [len(clip.features_TNC) for clip in script.clips] == list(FRAMES.values())
    assert [len(clip.prefix.ids) for clip in script.clips] == [1 + frames for frames in FRAMES.values()]
    assert [prompt.clip for prompt in script.questions] == [0, 1, 2] * len(FORMS)
    assert script.room == 33


def test_zero_video_keeps_times_and_shows_nothing() -> None:
    features_TNC, timebase = Shelf().clip("b.mp4")
    zeros_TNC, times = ZeroVideo(Shelf()).clip("b.mp4")
    assert features_TNC.any() and not zeros_TNC.any()
    assert zeros_TNC.shape == features_TNC.shape and zeros_TNC.dtype == features_TNC.dtype
    assert times == timebase


def test_without_video_answers_do_not_depend_on_it(answers: list[Prediction]) -> None:
    blind = predictor(ZeroVideo(Shelf(seed=0))).answer_batch(questions())
    assert blind == predictor(ZeroVideo(Shelf(seed=1))).answer_batch(questions())
    seen = predictor(Shelf(seed=1)).answer_batch(questions())
    assert [answer.raw for answer in seen] != [answer.raw for answer in answers]
    assert [answer.raw for answer in blind] != [answer.raw for answer in answers]


def test_swapped_video_shows_another_clip_on_its_own_clock() -> None:
    other = {"a.mp4": "b.mp4", "b.mp4": "c.mp4", "c.mp4": "a.mp4"}
    swapped = SwappedVideo(Shelf(), other)
    for name, shown in other.items():
        features_TNC, timebase = swapped.clip(name)
        expected_TNC, times = Shelf().clip(shown)
        assert np.array_equal(features_TNC, expected_TNC) and timebase == times
    (answer,) = predictor(swapped).answer_batch(questions()[:1])
    assert answer.video == "a.mp4" and answer.timebase_digest == clock(FRAMES["b.mp4"]).digest


@pytest.mark.parametrize("choice", ["likeliest", "greedy"])
def test_options_are_known_however_they_are_chosen(scripted: Any, choice: str) -> None:
    script = scripted("</evi>(B) blue.")
    asked = Question.of_sample(sample("rar", video="a.mp4"))
    assert asked.options is not None
    predictor(Shelf(), choice=choice, max_evidence=5).answer_batch([asked])
    tokenizer = bundle().tokenizer
    expected = [
        tokenizer.encode(f"({letter}) {option}", add_special_tokens=False)
        for letter, option in zip("ABCDEFGH", asked.options, strict=False)
    ]
    assert [list(choice) for choice in script.questions[0].choices] == expected
    assert script.form == ResponseForm(bundle().tokens.evi_end, 5, weighs_choices=choice == "likeliest")


@pytest.mark.parametrize(("compat", "labels"), [("paper", SFTConfig()), ("official", OFFICIAL_SFT)])
def test_times_in_a_question_stand_for_the_frames_they_stood_for_in_training(
    scripted: Any, compat: str, labels: SFTConfig
) -> None:
    script, asked = scripted("</evi>(B) blue."), sample("rar", video="a.mp4")
    agreed = contract().model_copy(update={"compat": compat})
    predictor(Shelf(), bundle=replace(bundle(), contract=agreed)).answer_batch([Question.of_sample(asked)])
    trained = BranchEncoder(bundle().tokenizer, bundle().tokens, labels).sample(asked, clock(FRAMES["a.mp4"]))
    assert list(script.questions[0].spans) == trained.question_spans
    assert len(trained.question_spans) == 2
