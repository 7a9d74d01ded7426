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
# Stand for the contents of a chat template's turns: private characters that no template or text contains.
_ASKED, _SAID = "\ue000", "\ue001"


@dataclass(frozen=True)
class PromptTokens:
    """The ids that structure a sequence: frames, question and answer each come behind one of them.

    ``end`` closes an answer. The user's turn begins with ``before_frames``, ends with ``before_answer``, and
    holds the frames and then the question.
    """

    pad: int
    end: int
    evi: int
    evi_end: int
    before_frames: tuple[int, ...]
    before_answer: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> PromptTokens:
        """Look them up in a tokenizer: what its chat template writes, or tokens of our own where it has none.

        Raises:
            UserError: the tokenizer does not know one of them, or its template has no place for a question.
        """
        vocabulary = tokenizer.get_vocab()
        missing = [name for name in evidence_tokens(tokenizer) if name not in vocabulary]
        if missing:
            raise UserError(f"the tokenizer lacks {' '.join(missing)}: add them before training")
        evidence = vocabulary[EVI], vocabulary[EVI_END]
        if tokenizer.chat_template:
            return cls._of_template(tokenizer, *evidence)
        pad, user, assistant, end = (vocabulary[name] for name in (PAD, USER, ASSISTANT, END))
        return cls(pad, end, *evidence, before_frames=(user,), before_answer=(end, assistant))

    @classmethod
    def _of_template(cls, tokenizer: PreTrainedTokenizerBase, evi: int, evi_end: int) -> PromptTokens:
        turns = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _SAID}]
        text = str(tokenizer.apply_chat_template(turns, tokenize=False))
        if text.count(_ASKED) != 1 or text.count(_SAID) != 1:
            raise UserError(
                "the tokenizer's chat template does not write each turn once; use another tokenizer"
            )
        before, rest = text.split(_ASKED)
        between, after = rest.split(_SAID)
        closing = encode(after, tokenizer)
        end = closing[0] if closing else tokenizer.eos_token_id
        if end is None or end not in tokenizer.all_special_ids:
            raise UserError(
                "the tokenizer's chat template closes an answer with no special token; name an eos token"
            )
        pad = tokenizer.pad_token_id
        return cls(
            end if pad is None else pad,
            end,
            evi,
            evi_end,
            before_frames=tuple(encode(before, tokenizer)),
            before_answer=tuple(encode(between, tokenizer)),
        )


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


def evidence_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """`<evi>`, `</evi>` and, without a chat template, the prompt's tokens: what no pretraining has taught."""
    return [*([] if tokenizer.chat_template else [PAD, USER, ASSISTANT, END]), EVI, EVI_END]


def evidence_token_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids of the `evidence_tokens` of a tokenizer that has them, ascending."""
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary[name] for name in evidence_tokens(tokenizer))


def add_evidence_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Add the `evidence_tokens` that a tokenizer lacks; returns the new ones."""
    wanted = [name for name in evidence_tokens(tokenizer) if name not in tokenizer.get_vocab()]
    tokenizer.add_special_tokens({"additional_special_tokens": wanted}, replace_extra_special_tokens=False)
    return wanted


def encode(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Token ids of a text; `<evi>` and `</evi>` become their one token."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def question_ids(question: Question, tokenizer: PreTrainedTokenizerBase, tokens: PromptTokens) -> list[int]:
    """What follows the frames up to where the response begins.

    Raises:
        UserError: the question contains a token that structures the prompt.
    """
    text = question_text(question)
    for control in tokenizer.all_special_tokens:
        if control != EVI and control in text:
            raise UserError(f"the question contains {control}, which structures the prompt; remove it")
    return [*encode(text, tokenizer), *tokens.before_answer]


def response_ids(text: str, tokenizer: PreTrainedTokenizerBase, tokens: PromptTokens) -> list[int]:
    """A rendered response and the token that ends the turn."""
    return [*encode(text, tokenizer), tokens.end]


def places_of(token: int, ids: list[int]) -> list[int]:
    """Positions of a token."""
    return [place for place, found in enumerate(ids) if found == token]
