"""Answers keep to the form `<evi>`×K `</evi>` text, and a choice is answered with the likeliest option."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from d2vlm_pipeline.model.config import SpanConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.generate import Generated, PromptQuestion, ResponseForm, generate, read_clips
from model import tiny
from model.test_generation import ALL, Asked, teacher_forced, with_similarities

CHOICES = ([20, 21], [22], [23, 24, 25], [26, 27])
EVI, EVI_END, END = tiny.tokens().evi, tiny.tokens().evi_end, tiny.tokens().end
LENGTH = 10


def answers(
    model: D2VLM,
    every: list[Asked],
    first_end: int = 1,
    most: int = 3,
    offers: bool = True,
    weighs: bool = True,
) -> list[Generated]:
    """Answers in form; `</evi>` is preferred from a step on and another `<evi>` before it."""

    def lean(step: int, logits_QV: Tensor) -> Tensor:
        leaned = logits_QV.clone()
        leaned[:, EVI] += 50.0 if step < first_end else 0.0
        leaned[:, EVI_END] += 50.0 if step >= first_end else 0.0
        leaned[:, END] -= 100.0  # an untrained model may stop anywhere
        return leaned

    def question(row: int, asked: Asked) -> PromptQuestion:
        return replace(asked.question(row), choices=CHOICES if offers else ())

    return generate(
        model,
        read_clips(model, [asked.clip for asked in every]),
        [question(row, asked) for row, asked in enumerate(every)],
        EVI,
        END,
        LENGTH,
        lean,
        ResponseForm(EVI_END, most, weighs),
    )


def likeliest_after(model: D2VLM, asked: Asked, answer: Generated, said: int) -> list[int]:
    """The choice of the highest joint probability behind the first tokens, one teacher-forced pass each."""
    scores = []
    for choice in CHOICES:
        with_choice = Generated([*answer.token_ids[:said], *choice], answer.spans[: said - 1])
        logits, _ = teacher_forced(model, asked, with_choice)
        log_p = logits.log_softmax(-1)[said:]
        scores.append(sum(float(row[token]) for row, token in zip(log_p, choice, strict=True)))
    return list(CHOICES[scores.index(max(scores))])


@pytest.mark.parametrize("first_end", [0, 1, 2])
@pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.form)
def test_the_likeliest_choice_follows_the_evidence(asked: Asked, first_end: int) -> None:
    model = tiny.model(seed=3)
    (answer,) = answers(model, [asked], first_end)
    said = first_end + 1
    assert answer.token_ids[:said] == [EVI] * first_end + [EVI_END]
    expected = likeliest_after(model, asked, answer, said)
    assert answer.token_ids[said : said + len(expected)] == expected
    # What is said after the choice is greedy again, and knows what was chosen.
    logits, _ = teacher_forced(model, asked, answer)
    logits[:, [END, EVI_END]] = -torch.inf
    rest = said + len(expected)
    assert logits.argmax(-1).tolist()[rest:] == answer.token_ids[rest:]


def test_different_clips_choose_differently() -> None:
    model = tiny.model(seed=3)
    every = [Asked(8, "tvg", seed) for seed in range(12)]
    assert len({tuple(answer.token_ids[2:4]) for answer in answers(model, every)}) > 1


def test_choices_of_a_batch_are_those_of_batches_of_one() -> None:
    model = tiny.model(seed=3)
    together = answers(model, ALL)
    alone = [answers(model, [asked])[0] for asked in ALL]
    assert [answer.token_ids for answer in together] == [answer.token_ids for answer in alone]


def test_rows_without_choices_answer_freely_beside_rows_with_them() -> None:
    model, asked = tiny.model(seed=3), ALL[0]
    (free,) = answers(model, [asked], offers=False)
    logits, _ = teacher_forced(model, asked, free)
    logits[:, [END, EVI_END]] = -torch.inf
    assert logits.argmax(-1).tolist()[2:] == free.token_ids[2:]


def test_a_choice_said_token_by_token_is_what_would_be_said_without_choices() -> None:
    model = tiny.model(seed=3, span=SpanConfig(decline=False))
    free, greedy = answers(model, ALL, offers=False), answers(model, ALL, weighs=False)
    assert [answer.token_ids for answer in greedy] == [answer.token_ids for answer in free]
    assert greedy != answers(model, ALL)


def test_a_choice_said_token_by_token_takes_its_event_for_granted() -> None:
    model = with_similarities(-1.0)
    question = replace(ALL[0].question(0), choices=CHOICES)
    read = read_clips(model, [ALL[0].clip])

    def lean(step: int, logits_QV: Tensor) -> Tensor:
        leaned = logits_QV.clone()
        leaned[:, EVI] = leaned.max(-1).values + 0.05
        return leaned

    for asked, begins in ((question, EVI), (replace(question, choices=()), EVI_END)):
        form = ResponseForm(EVI_END, 3, weighs_choices=False)
        (answer,) = generate(model, read, [asked], EVI, END, 1, lean, form)
        assert answer.token_ids == [begins]


@pytest.mark.parametrize("most", [1, 2, 4])
def test_evidence_ends_at_its_limit(most: int) -> None:
    for answer in answers(tiny.model(), ALL, first_end=LENGTH, most=most, offers=False):
        assert answer.token_ids[: most + 1] == [EVI] * most + [EVI_END]


@pytest.mark.parametrize("seed", range(4))
def test_every_answer_has_the_form(seed: int) -> None:
    """Without a form such a model says anything; with it, `</evi>` comes once and only `<evi>` before it."""
    model, tokens = tiny.model(seed=seed), tiny.tokens()
    questions = [asked.question(row) for row, asked in enumerate(ALL)]
    clips = [asked.clip for asked in ALL]
    read = read_clips(model, clips)
    free = generate(model, read, questions, tokens.evi, tokens.end, LENGTH)
    assert any(EVI_END not in answer.token_ids for answer in free)
    formed = generate(model, read, questions, tokens.evi, tokens.end, LENGTH, form=ResponseForm(EVI_END, 3))
    for answer in formed:
        assert answer.token_ids.count(EVI_END) == 1
        evidence = answer.token_ids[: answer.token_ids.index(EVI_END)]
        assert set(evidence) <= {EVI} and len(evidence) <= 3
