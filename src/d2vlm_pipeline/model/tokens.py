"""Tokenizer, special tokens and the prompt: text in, token ids with the places of `<evi>` out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from string import ascii_uppercase

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.timeline import EVI, EVI_END, Question

PAD, USER, ASSISTANT, END = "<pad>", "<|user|>", "<|assistant|>", "<|end|>"
_LETTERS = ascii_uppercase
OPTION_LETTERS = "ABCDE"
_CONTROL = (PAD, USER, ASSISTANT, END)


@dataclass(frozen=True)
class PromptTokens:
    """The ids that structure a sequence, looked up in a tokenizer."""

    pad: int
    user: int
    assistant: int
    end: int
    evi: int
    evi_end: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> PromptTokens:
        """Look the special tokens up.

        Raises:
            UserError: the tokenizer does not know one of them.
        """
        vocabulary = tokenizer.get_vocab()
        names = (PAD, USER, ASSISTANT, END, EVI, EVI_END)
        missing = [name for name in names if name not in vocabulary]
        if missing:
            raise UserError(f"the tokenizer lacks {' '.join(missing)}: add them before training")
        return cls(*(vocabulary[name] for name in names))


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the given texts; any input can be encoded, no token is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, USER, ASSISTANT, END, EVI, EVI_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # An option's letter is one token right before its words: one step of attention finds it by them.
    tokenizer.add_tokens([f"({letter})" for letter in OPTION_LETTERS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, EVI, EVI_END],
        clean_up_tokenization_spaces=False,
    )


def question_text(question: Question) -> str:
    """The question as the model reads it: options follow as ``(A) red (B) blue``."""
    return " ".join([question.question, *lettered_options(question)])


def lettered_options(question: Question) -> list[str]:
    """The options as question and answer write them: ``(A) red``; none where there is no choice."""
    return [f"({letter}) {option}" for letter, option in zip(_LETTERS, question.options or (), strict=False)]


def encode(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Token ids of a text; `<evi>` and `</evi>` become their one token."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def prefix_ids(frames: int, tokens: PromptTokens, slot: int) -> list[int]:
    """``<|user|>`` and one slot per frame."""
    return [tokens.user, *[slot] * frames]


def question_ids(question: Question, tokenizer: PreTrainedTokenizerBase, tokens: PromptTokens) -> list[int]:
    """What follows the frames up to where the response begins.

    Raises:
        UserError: the question contains a token that structures the prompt.
    """
    text = question_text(question)
    for control in _CONTROL:
        if control in text:
            raise UserError(f"the question contains {control}, which structures the prompt; remove it")
    return [*encode(text, tokenizer), tokens.end, tokens.assistant]


def response_ids(text: str, tokenizer: PreTrainedTokenizerBase, tokens: PromptTokens) -> list[int]:
    """A rendered response and the token that ends the turn."""
    return [*encode(text, tokenizer), tokens.end]


def places_of(token: int, ids: list[int]) -> list[int]:
    """Positions of a token."""
    return [place for place, found in enumerate(ids) if found == token]
