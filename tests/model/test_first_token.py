"""Whether an answer begins with evidence: words and frames decide together."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from d2vlm_pipeline.model.config import SpanConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.generate import Generated, PromptQuestion, generate, read_clips
from model import tiny
from model.test_generation import ALL, Asked, teacher_forced, with_similarities

EVI = tiny.tokens().evi


def first_tokens(
    model: D2VLM, every: list[Asked], log_odds: float, questions: list[PromptQuestion] | None = None
) -> list[Generated]:
    """Answers of four tokens where the words prefer `<evi>` by so much at first, and never say it later."""

    def lean(step: int, logits_QV: Tensor) -> Tensor:
        leaned = logits_QV.clone()
        leaned[:, EVI] = -torch.inf
        if step == 0:
            leaned[:, EVI] = leaned.max(-1).values + log_odds
        return leaned

    asked = questions or [one.question(row) for row, one in enumerate(every)]
    return generate(model, read_clips(model, [one.clip for one in every]), asked, EVI, -1, 4, lean)


def support(model: D2VLM, asked: Asked) -> float:
    """Log-odds of the likeliest frame for an answer that begins with `<evi>`."""
    (answer,) = first_tokens(model, [asked], 1000.0)
    _, similarity = teacher_forced(model, asked, answer)
    return float(similarity[0].max())


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.form)
def test_the_sum_of_both_log_odds_decides(asked: Asked, sign: float) -> None:
    model = with_similarities(sign)
    frames = support(model, asked)
    assert frames * sign > 0.1
    for more, begins in ((0.05, True), (-0.05, False)):
        (answer,) = first_tokens(model, [asked], more - frames)
        assert (answer.token_ids[0] == EVI) == begins == bool(answer.spans)


def test_what_is_said_instead_is_the_next_best_token_and_the_rest_follows_it() -> None:
    model, asked = with_similarities(-1.0), ALL[0]
    (answer,) = first_tokens(model, [asked], 0.0)
    assert answer.token_ids[0] != EVI and answer.spans == []
    logits, _ = teacher_forced(model, asked, answer)
    logits[:, EVI] = -torch.inf
    assert logits.argmax(-1).tolist() == answer.token_ids


def test_evidence_that_words_alone_would_have_left_out_is_given() -> None:
    model, asked = with_similarities(1.0), ALL[0]
    (answer,) = first_tokens(model, [asked], -0.05)
    assert answer.token_ids[0] == EVI and len(answer.spans) == 1


@pytest.mark.parametrize("log_odds", [0.05, -0.05])
def test_where_not_asked_for_words_decide_alone(log_odds: float) -> None:
    for sign in (1.0, -1.0):
        model = with_similarities(sign, span=SpanConfig(decline=False))
        (answer,) = first_tokens(model, [ALL[0]], log_odds)
        assert (answer.token_ids[0] == EVI) == (log_odds > 0)


def test_a_choice_takes_its_event_for_granted() -> None:
    model, asked = with_similarities(-1.0), ALL[0]
    choosing = [replace(asked.question(0), choices=([20, 21], [22]))]
    (answer,) = first_tokens(model, [asked], 0.05, choosing)
    assert answer.token_ids[0] == EVI


def test_one_answer_declines_while_another_does_not() -> None:
    model = tiny.model()
    # Sixteen questions of random weights: some find a frame at once, some none.
    every = [
        Asked(frames, form, seed)
        for seed in range(4)
        for frames, form in ((4, "tvg"), (2, "tem"), (1, "dvc"), (3, "rar"))
    ]
    together = first_tokens(model, every, 0.0)
    assert len({answer.token_ids[0] == EVI for answer in together}) == 2
    for asked, answer in zip(every, together, strict=True):
        (alone,) = first_tokens(model, [asked], 0.0)
        assert alone.token_ids == answer.token_ids
