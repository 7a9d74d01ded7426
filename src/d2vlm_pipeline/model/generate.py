"""Batched greedy decoding with a cache. Several questions about one clip share its prefix.

Who keeps what was read of a clip asks about it again for the price of the question. A form holds answers to
`<evi>`×K `</evi>` and text; where a question has choices, the text may be made to begin with the one that is
likeliest as a whole: a letter alone commits before the words have been weighed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from d2vlm_pipeline.model.d2vlm import D2VLM, PrefixState
from d2vlm_pipeline.model.packing import PaddedQuestions, Prefix, pad_prefixes, pad_questions
from d2vlm_pipeline.model.session import FoundSpan, PromptQuestion, Session


@dataclass(frozen=True)
class PromptClip:
    """A clip's prefix and its stored features; ``asked`` is for a projector that reads the question."""

    prefix: Prefix
    features_TNC: Tensor
    asked: Sequence[int] = ()


@dataclass
class Generated:
    """One response: tokens (without the end token), one span per `<evi>`, and whether it ended by itself."""

    token_ids: list[int] = field(default_factory=list)
    spans: list[FoundSpan] = field(default_factory=list)
    finished: bool = False


@dataclass(frozen=True)
class ResponseForm:
    """What a well-formed answer is: at most so many `<evi>`, one `</evi>`, then anything but another.

    ``weighs_choices``: where a question has choices, the one whose tokens together are likeliest follows
    `</evi>`; otherwise it is said token by token like all other text.
    """

    evi_end_id: int
    most_evidence: int
    weighs_choices: bool = True


AdjustLogits = Callable[[int, Tensor], Tensor]
"""(step, logits [Q, V]) → logits to choose from."""


@torch.inference_mode()
def read_clips(model: D2VLM, clips: Sequence[PromptClip]) -> PrefixState:
    """Run the prefixes of clips: everything that questions about them need, whichever and how many.

    Where the projector reads the question, a clip is read once for each, and serves that one alone.
    """
    padded = pad_prefixes([clip.prefix for clip in clips], [clip.features_TNC for clip in clips])
    ids, valid, position, slot, features, frame_valid = (each.to(model.device) for each in padded)
    frames = model.project(features, _asked(clips, model.device) if model.reads_question else None)
    return model.run_prefix(model.embed(ids), valid, position, slot, frames, frame_valid)


def _asked(clips: Sequence[PromptClip], device: torch.device) -> PaddedQuestions:
    if not all(clip.asked for clip in clips):
        raise ValueError("the projector reads the question: every clip to read needs what is asked about it")
    ids, valid = pad_questions([clip.asked for clip in clips])
    return PaddedQuestions(ids.to(device), valid.to(device))


@torch.inference_mode()
def generate(
    model: D2VLM,
    read: PrefixState,
    questions: Sequence[PromptQuestion],
    evi_id: int,
    end_id: int,
    max_new_tokens: int,
    adjust: AdjustLogits | None = None,
    form: ResponseForm | None = None,
) -> list[Generated]:
    """Answer questions about clips that were read, greedily, as one batch; each as a batch of one would be.

    With a form, tokens that would break it are never said. A question with choices takes its event for
    granted; any other may be answered with no evidence (`SpanConfig.decline`).
    """
    clip_Q = torch.tensor([question.clip for question in questions], device=model.device)
    session = Session(model, read.rows(clip_Q), questions, max_new_tokens)
    answers = [Generated() for _ in questions]
    said: dict[int, list[int]] = {}
    for step in range(max_new_tokens):
        logits = model.token_logits(session.final_QD)
        logits = adjust(step, logits) if adjust else logits
        logits = _well_formed(logits, answers, form, evi_id) if form else logits
        chosen = logits.argmax(-1)
        for row, waiting in said.items():
            chosen[row] = waiting.pop(0)
        said = {row: waiting for row, waiting in said.items() if waiting}
        if step == 0 and model.config.span.decline:
            chosen = _begun(logits, chosen, session, [not question.choices for question in questions], evi_id)
        spans = session.find_spans(chosen == evi_id)
        for row, token in enumerate(chosen.tolist()):
            _record(answers[row], token, spans.get(row), end_id)
        if all(answer.finished for answer in answers) or step + 1 == max_new_tokens:
            break
        session.advance(chosen, spans)
        if form and form.weighs_choices:
            due = (chosen == form.evi_end_id).nonzero().flatten().tolist()
            said |= session.likeliest({row: questions[row].choices for row in due if questions[row].choices})
    return answers


def _well_formed(logits_QV: Tensor, answers: Sequence[Generated], form: ResponseForm, evi_id: int) -> Tensor:
    """Logits with what would break an answer's form ruled out."""
    device = logits_QV.device
    is_behind = torch.tensor([form.evi_end_id in answer.token_ids for answer in answers], device=device)
    has_room = torch.tensor([len(answer.spans) < form.most_evidence for answer in answers], device=device)
    allowed = is_behind[:, None].expand_as(logits_QV).clone()
    allowed[:, form.evi_end_id] = ~is_behind
    allowed[:, evi_id] |= has_room
    return logits_QV.masked_fill(~allowed, -torch.inf)


def _begun(
    logits_QV: Tensor, chosen_Q: Tensor, session: Session, is_open: Sequence[bool], evi_id: int
) -> Tensor:
    """First tokens, where an event may be absent (open) weighed with what the frames say.

    log p(`<evi>`) − log p(best other token) + log-odds of the likeliest frame: the factors of the response's
    likelihood that tell an event from none.
    """
    found = session.find_spans(torch.tensor(is_open, device=logits_QV.device))
    others = logits_QV.clone()
    others[:, evi_id] = -torch.inf
    best = others.max(-1)
    begun = chosen_Q.clone()
    for row, span in found.items():
        log_odds = float(logits_QV[row, evi_id] - best.values[row]) + span.support
        begun[row] = evi_id if log_odds >= 0.0 else best.indices[row]
    return begun


def _record(answer: Generated, token: int, span: FoundSpan | None, end_id: int) -> None:
    if answer.finished:
        return
    if token == end_id:
        answer.finished = True
        return
    answer.token_ids.append(token)
    if span is not None:
        answer.spans.append(span)
