"""Cached, batched decoding says what one teacher-forced pass over the same tokens says."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from d2vlm_pipeline.model.config import SpanConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.generate import Generated, PromptClip, PromptQuestion, generate, read_clips
from d2vlm_pipeline.model.packing import Branch, Clip, Response, pack
from d2vlm_pipeline.model.spans import interval_confidence, select_span
from model import tiny

SAME = {"atol": 1e-5, "rtol": 1e-5}
STEPS = 9
# `<evi>` is wanted at these steps and no others: a model of random weights hardly ever says it.
EVI_STEPS = (1, 2, 5, 7)


@dataclass(frozen=True)
class Asked:
    """A clip of some length and a question of some form about it."""

    frames: int
    form: str
    seed: int = 0

    @property
    def branch(self) -> Branch:
        return tiny.branches(self.frames, (self.form,))[0]

    @property
    def clip(self) -> PromptClip:
        clip = tiny.clip(self.frames, (self.form,), self.seed)
        return PromptClip(clip.prefix, clip.features_TNC)

    def question(self, clip: int) -> PromptQuestion:
        branch = self.branch
        return PromptQuestion(clip, branch.question_ids, branch.question_evi_positions, branch.question_spans)


ALL = [Asked(8, "tvg"), Asked(3, "tem", 1), Asked(12, "rar", 2), Asked(8, "absent", 3)]


@dataclass
class Decoded:
    """Answers, and the logits of every step, [Q, V] each."""

    answers: list[Generated]
    logits: list[Tensor]


def decode(
    model: D2VLM,
    clips: list[PromptClip],
    questions: list[PromptQuestion],
    most: int = STEPS,
    end: int | None = None,
    evi_steps: tuple[int, ...] = EVI_STEPS,
) -> Decoded:
    steps: list[Tensor] = []

    def want_evidence(step: int, logits_QV: Tensor) -> Tensor:
        steps.append(logits_QV.clone())
        wanted = logits_QV.clone()
        wanted[:, tiny.tokens().evi] = 1e6 if step in evi_steps else -1e6
        return wanted

    tokens = tiny.tokens()
    last = tokens.end if end is None else end
    read = read_clips(model, clips)
    answers = generate(model, read, questions, tokens.evi, last, most, want_evidence)
    return Decoded(answers, steps)


def decode_all(model: D2VLM, every: list[Asked], **changes: Any) -> Decoded:
    """One batch, a clip of its own for every question."""
    questions = [asked.question(row) for row, asked in enumerate(every)]
    return decode(model, [asked.clip for asked in every], questions, **changes)


def decode_one(model: D2VLM, asked: Asked, **changes: Any) -> Decoded:
    return decode_all(model, [asked], **changes)


def teacher_forced(model: D2VLM, asked: Asked, answer: Generated) -> tuple[Tensor, Tensor]:
    """Logits of every token of an answer, and similarities of every `<evi>`, from one pass."""
    places = [place for place, token in enumerate(answer.token_ids) if token == tiny.tokens().evi]
    spans = [(span.first, span.last) for span in answer.spans]
    ids = answer.token_ids
    response = Response(ids, [True] * len(ids), places, spans, torch.zeros(len(places), asked.frames), [])
    branch = asked.branch
    given = Branch(branch.question_ids, branch.question_evi_positions, branch.question_spans, [response])
    with torch.no_grad():
        output, _ = model(pack([Clip(asked.clip.prefix, asked.clip.features_TNC, [given])], 0))
    return output.token_logits_NV, output.similarity_MT


@pytest.mark.parametrize("span", [SpanConfig(), SpanConfig(method="best_run")])
@pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.form)
def test_every_step_is_what_one_pass_over_the_answer_gives(asked: Asked, span: SpanConfig) -> None:
    model = tiny.model(span=span)
    decoded = decode_one(model, asked)
    (answer,) = decoded.answers
    assert not answer.finished and len(answer.token_ids) == STEPS
    evi = tiny.tokens().evi
    assert [step for step, token in enumerate(answer.token_ids) if token == evi] == list(EVI_STEPS)
    logits, similarities = teacher_forced(model, asked, answer)
    torch.testing.assert_close(torch.cat(decoded.logits), logits, **SAME)
    logits[:, evi] = -1e6
    greedy = logits.argmax(-1).tolist()
    assert all(answer.token_ids[step] == greedy[step] for step in range(STEPS) if step not in EVI_STEPS)
    for found, row in zip(answer.spans, similarities.numpy(), strict=True):
        assert (found.first, found.last) == select_span(row, span)
        assert found.confidence == pytest.approx(interval_confidence(row, found.first, found.last), abs=1e-5)
        assert 0.0 <= found.confidence <= 1.0


def with_similarities(sign: float, **changes: Any) -> D2VLM:
    """A model whose similarities are all above zero, or all below."""
    model = tiny.model(**changes)
    with torch.no_grad():
        model.query_head[-1].bias.fill_(2.0)
        model.key_head[-1].bias.fill_(2.0 * sign)
    return model


@pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.form)
def test_evidence_at_once_is_found_from_the_end_of_the_question(asked: Asked) -> None:
    model = with_similarities(1.0)
    (answer,) = decode_one(model, asked, evi_steps=(0,)).answers
    assert answer.token_ids[0] == tiny.tokens().evi
    (found,), (row,) = answer.spans, teacher_forced(model, asked, answer)[1].numpy()
    assert (row > 0).all()
    assert (found.first, found.last) == select_span(row, model.config.span) == (0, asked.frames - 1)
    assert found.confidence == pytest.approx(interval_confidence(row, found.first, found.last), abs=1e-5)


def test_an_answer_reads_back_the_interval_it_found() -> None:
    """Teacher-forced with other intervals, the logits after the first `<evi>` differ."""
    model, asked = tiny.model(), ALL[0]
    decoded = decode_one(model, asked)
    (answer,) = decoded.answers
    elsewhere = [type(span)((span.first + 3) % 8, (span.first + 3) % 8, 0.5) for span in answer.spans]
    logits, _ = teacher_forced(model, asked, Generated(answer.token_ids, elsewhere))
    apart = (logits - torch.cat(decoded.logits)).abs().amax(-1)
    first = EVI_STEPS[0] + 1
    assert (apart[:first] < 1e-5).all()
    assert (apart[first:] > 1e-4).all()


def test_a_batch_of_questions_equals_batches_of_one() -> None:
    model = tiny.model()
    together = decode(
        model, [asked.clip for asked in ALL], [asked.question(row) for row, asked in enumerate(ALL)]
    )
    for row, asked in enumerate(ALL):
        alone = decode_one(model, asked)
        assert together.answers[row].token_ids == alone.answers[0].token_ids
        assert_same_spans(together.answers[row], alone.answers[0])
        torch.testing.assert_close(
            torch.stack([logits[row] for logits in together.logits]), torch.cat(alone.logits), **SAME
        )


def test_questions_about_one_clip_share_its_prefix() -> None:
    model = tiny.model()
    forms = ["dvc", "rar", "tem"]
    clips = [Asked(8, "tvg").clip, Asked(5, "tvg", 4).clip]
    questions = [Asked(8, form).question(0) for form in forms] + [Asked(5, "rar", 4).question(1)]
    together = decode(model, clips, [questions[at] for at in (3, 0, 1, 2)])
    alone = [decode_one(model, Asked(5, "rar", 4)), *(decode_one(model, Asked(8, form)) for form in forms)]
    for row, single in enumerate(alone):
        assert together.answers[row].token_ids == single.answers[0].token_ids
        assert_same_spans(together.answers[row], single.answers[0])


def assert_same_spans(one: Generated, other: Generated) -> None:
    assert [(span.first, span.last) for span in one.spans] == [
        (span.first, span.last) for span in other.spans
    ]
    assert [span.confidence for span in one.spans] == pytest.approx(
        [span.confidence for span in other.spans], abs=1e-5
    )


def test_an_answer_that_ended_is_left_alone_while_others_go_on() -> None:
    model = tiny.model()
    free = [decode_one(model, asked).answers[0].token_ids for asked in ALL]
    # What one answer says at step 3 ends it now; the others say it elsewhere, or never.
    end = next(ids[3] for ids in free if any(ids[3] not in other for other in free))
    decoded = decode_all(model, ALL, end=end)
    for answer, ids in zip(decoded.answers, free, strict=True):
        stop = ids.index(end) if end in ids else STEPS
        assert answer.token_ids == ids[:stop]
        assert answer.finished == (end in ids)
        assert len(answer.spans) == sum(step < stop for step in EVI_STEPS)
    assert len({answer.finished for answer in decoded.answers}) == 2


def test_decoding_stops_when_all_answers_ended() -> None:
    model, asked = tiny.model(), ALL[0]
    free = decode_one(model, asked).answers[0].token_ids
    decoded = decode_one(model, asked, end=free[3])
    stop = free.index(free[3])
    assert decoded.answers[0].token_ids == free[:stop]
    assert len(decoded.logits) == stop + 1


@pytest.mark.parametrize("most", [1, 2, 5])
def test_decoding_keeps_to_its_length(most: int) -> None:
    (answer,) = decode_one(tiny.model(), ALL[0], most=most).answers
    assert len(answer.token_ids) == most and not answer.finished


def test_without_adjustment_decoding_is_greedy() -> None:
    model, asked = tiny.model(seed=3), ALL[2]
    tokens = tiny.tokens()
    read = read_clips(model, [asked.clip])
    (answer,) = generate(model, read, [asked.question(0)], tokens.evi, tokens.end, 6)
    logits, _ = teacher_forced(model, asked, answer)
    assert logits.argmax(-1).tolist() == answer.token_ids
    assert len(answer.token_ids) == 6 or answer.finished


def test_what_is_decoded_depends_on_the_video() -> None:
    model, asked = tiny.model(), ALL[0]
    seen = decode_one(model, asked)
    blind = decode(
        model,
        [PromptClip(asked.clip.prefix, torch.zeros_like(asked.clip.features_TNC))],
        [asked.question(0)],
    )
    assert not torch.allclose(seen.logits[0], blind.logits[0], atol=1e-3)
