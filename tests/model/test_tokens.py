"""Tokens and the prompt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model import tokens as prompt
from d2vlm_pipeline.timeline import EVI, EVI_END, Question
from model import tiny

SPECIAL = (prompt.PAD, prompt.USER, prompt.ASSISTANT, prompt.END)
plain = st.text(max_size=30).filter(lambda text: not any(name in text for name in (*SPECIAL, EVI, EVI_END)))
pieces = st.lists(st.sampled_from([EVI, EVI_END, " ", ", ", "<evi", "evi>"]) | plain, max_size=8)


def question(text: str = "When?", options: list[str] | None = None) -> Question:
    return Question(video="clip.mp4", question=text, options=options)


@given(parts=pieces)
def test_any_text_comes_back(parts: list[str]) -> None:
    text = "".join(parts)
    ids = prompt.encode(text, tiny.tokenizer())
    assert tiny.tokenizer().decode(ids, skip_special_tokens=False) == text


@given(parts=pieces)
def test_every_evi_is_one_token_in_its_place(parts: list[str]) -> None:
    text = "".join(parts)
    ids = prompt.encode(text, tiny.tokenizer())
    assert len(prompt.places_of(tiny.tokens().evi, ids)) == text.count(EVI)
    assert len(prompt.places_of(tiny.tokens().evi_end, ids)) == text.count(EVI_END)


def test_special_tokens_are_looked_up_by_name() -> None:
    vocabulary = tiny.tokenizer().get_vocab()
    found = tiny.tokens()
    pad, user, assistant, end = (vocabulary[name] for name in SPECIAL)
    assert (found.pad, found.end) == (pad, end)
    assert (found.before_frames, found.before_answer) == ((user,), (end, assistant))
    assert (found.evi, found.evi_end) == (vocabulary[EVI], vocabulary[EVI_END])
    assert len({pad, user, assistant, end, found.evi, found.evi_end}) == 6


def test_a_tokenizer_without_them_is_refused() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(UserError, match=r"lacks <pad> .*<evi> </evi>"):
        prompt.PromptTokens.of(bare)


def test_the_same_texts_make_the_same_tokenizer() -> None:
    again = prompt.train_tokenizer(tiny.TEXTS, 300)
    assert again.get_vocab() == tiny.tokenizer().get_vocab()


def test_the_vocabulary_keeps_to_its_size_and_knows_every_byte() -> None:
    small = prompt.train_tokenizer(["ab ab ab"], 280)
    assert len(small) <= 280
    text = "".join(map(chr, range(0x20, 0x250)))
    assert small.decode(prompt.encode(text, small)) == text


def test_options_follow_the_question() -> None:
    asked = question("Which colour?", options=["red", "blue"])
    assert prompt.question_text(asked) == "Which colour? (A) red (B) blue"
    assert prompt.question_text(question("Which colour?")) == "Which colour?"


def test_the_prompt_is_user_frames_question_end_assistant() -> None:
    tokens = tiny.tokens()
    assert tiny.prefix(3).ids == [*tokens.before_frames, -1, -1, -1]
    asked = prompt.question_ids(question("When?"), tiny.tokenizer(), tokens)
    assert asked == [*prompt.encode("When?", tiny.tokenizer()), *tokens.before_answer]
    said = prompt.response_ids("</evi>no", tiny.tokenizer(), tokens)
    assert said == [tokens.evi_end, *prompt.encode("no", tiny.tokenizer()), tokens.end]
