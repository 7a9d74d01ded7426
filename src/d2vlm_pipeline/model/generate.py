"""Batched greedy decoding with a cache. Several questions about one clip share its prefix.

An interval is searched only when `<evi>` is emitted, from the state that emitted it; the token then takes on
the content of that interval when it is read back (method.md §6.1). A form holds answers to `<evi>`×K
`</evi>` and text; where a question has choices, the text begins with the one that is likeliest as a whole: a
letter alone commits before the words have been weighed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from d2vlm_pipeline.model.d2vlm import (
    D2VLM,
    PrefixState,
    additive_mask,
    branch_visible,
    pool_spans,
    similarity,
)
from d2vlm_pipeline.model.packing import Prefix, pad_prefixes
from d2vlm_pipeline.model.spans import interval_confidence, select_span


@dataclass(frozen=True)
class PromptClip:
    """A clip's prefix and its stored features."""

    prefix: Prefix
    features_TNC: Tensor


@dataclass(frozen=True)
class PromptQuestion:
    """A question about the clip of that index: tokens, places of its `<evi>`, the frames they stand for.

    ``choices`` are the token sequences of which its answer begins with one.
    """

    clip: int
    ids: Sequence[int]
    evi_positions: Sequence[int]
    spans: Sequence[tuple[int, int]]
    choices: Sequence[Sequence[int]] = ()


@dataclass(frozen=True)
class FoundSpan:
    """Frames of one `<evi>`, how sure the model is, and the log-odds of the likeliest frame to belong."""

    first: int
    last: int
    confidence: float
    support: float = 0.0


@dataclass
class Generated:
    """One response: tokens (without the end token), one span per `<evi>`, and whether it ended by itself."""

    token_ids: list[int] = field(default_factory=list)
    spans: list[FoundSpan] = field(default_factory=list)
    finished: bool = False


@dataclass(frozen=True)
class ResponseForm:
    """What a well-formed answer is: at most so many `<evi>`, one `</evi>`, then anything but another."""

    evi_end_id: int
    most_evidence: int


AdjustLogits = Callable[[int, Tensor], Tensor]
"""(step, logits [Q, V]) → logits to choose from."""


@torch.inference_mode()
def generate(
    model: D2VLM,
    clips: Sequence[PromptClip],
    questions: Sequence[PromptQuestion],
    evi_id: int,
    end_id: int,
    max_new_tokens: int,
    adjust: AdjustLogits | None = None,
    form: ResponseForm | None = None,
) -> list[Generated]:
    """Answer all questions greedily, as one batch; each answer is what a batch of one would give.

    With a form, tokens that would break it are never said, and where a question has choices, the one whose
    tokens together are likeliest follows `</evi>`.
    """
    state = _prefix(model, clips).select(torch.tensor([question.clip for question in questions]))
    session = _Session(model, state, questions, max_new_tokens)
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
        for row, answer in enumerate(answers):
            _record(answer, int(chosen[row]), spans.get(row), end_id)
        if all(answer.finished for answer in answers) or step + 1 == max_new_tokens:
            break
        session.advance(chosen, spans)
        if form:
            due = (chosen == form.evi_end_id).nonzero().flatten().tolist()
            said |= session.likeliest({row: questions[row].choices for row in due if questions[row].choices})
    return answers


def _well_formed(logits_QV: Tensor, answers: Sequence[Generated], form: ResponseForm, evi_id: int) -> Tensor:
    """Logits with what would break an answer's form ruled out."""
    allowed = torch.ones_like(logits_QV, dtype=torch.bool)
    for row, answer in enumerate(answers):
        if form.evi_end_id in answer.token_ids:
            allowed[row, form.evi_end_id] = False
        else:
            allowed[row] = False
            allowed[row, form.evi_end_id] = True
            allowed[row, evi_id] = len(answer.spans) < form.most_evidence
    return logits_QV.masked_fill(~allowed, -torch.inf)


def _begun(
    logits_QV: Tensor, chosen_Q: Tensor, session: _Session, is_open: Sequence[bool], evi_id: int
) -> Tensor:
    """First tokens, where an event may be absent (open) weighed with what the frames say.

    log p(`<evi>`) − log p(best other token) + log-odds of the likeliest frame: the factors of the response's
    likelihood that tell an event from none.
    """
    found = session.find_spans(torch.tensor(is_open))
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


def _prefix(model: D2VLM, clips: Sequence[PromptClip]) -> PrefixState:
    padded = pad_prefixes([clip.prefix for clip in clips], [clip.features_TNC for clip in clips])
    return model.run_prefix(
        padded.ids_BP,
        padded.valid_BP,
        padded.position_ABP,
        padded.slot_BP,
        model.project(padded.features_BTNC),
        padded.frame_valid_BT,
    )


class _Session:
    """The growing state of Q answers: cache, what each may see, and the last hidden states."""

    def __init__(
        self, model: D2VLM, state: PrefixState, questions: Sequence[PromptQuestion], room: int
    ) -> None:
        self._model = model
        self._state = state
        lengths = torch.tensor([len(question.ids) for question in questions])
        longest = int(lengths.max())
        ids = torch.zeros(len(questions), longest, dtype=torch.long)
        for row, question in enumerate(questions):
            ids[row, : len(question.ids)] = torch.tensor(question.ids)
        asked = torch.arange(longest) < lengths[:, None]
        embeds = self._with_question_spans(model.embed(ids), questions)
        group = torch.where(asked, 0, -1)
        visible = torch.cat(
            [state.valid_BP[:, None].expand(-1, longest, -1), branch_visible(group, torch.zeros_like(group))],
            dim=-1,
        )
        positions = state.next_position_B[:, None] + torch.arange(longest)
        match, final = model.decode_step(embeds, additive_mask(visible, embeds.dtype), positions, state.cache)
        every = torch.arange(len(questions))
        self._match_QD, self.final_QD = match[every, lengths - 1], final[every, lengths - 1]
        self._visible_QL = torch.cat(
            [state.valid_BP, asked, torch.ones(len(questions), room, dtype=torch.bool)], dim=-1
        )
        self._cached = state.valid_BP.shape[1] + longest
        self._position_Q = state.next_position_B + lengths

    def _with_question_spans(self, embeds_QSD: Tensor, questions: Sequence[PromptQuestion]) -> Tensor:
        rows = [(row, place) for row, question in enumerate(questions) for place in question.evi_positions]
        if not rows:
            return embeds_QSD
        spans = torch.tensor([span for question in questions for span in question.spans])
        index, place = torch.tensor(rows).T
        added = pool_spans(self._state.frames_in_BTD, index, spans)
        return embeds_QSD.index_put((index, place), added.to(embeds_QSD.dtype), accumulate=True)

    def find_spans(self, is_evi_Q: Tensor) -> dict[int, FoundSpan]:
        """Interval of every row that has just emitted `<evi>`, or is about to."""
        rows = is_evi_Q.nonzero().squeeze(1)
        if len(rows) == 0:
            return {}
        queries = self._model.query_head(self._match_QD[rows])
        logits = similarity(queries, self._state.keys_BTD[rows]).float().numpy()
        found = {}
        for row, row_logits in zip(rows.tolist(), logits, strict=True):
            real = row_logits[: int(self._state.frame_valid_BT[row].sum())]
            first, last = select_span(real, self._model.config.span)
            found[row] = FoundSpan(first, last, interval_confidence(real, first, last), float(real.max()))
        return found

    def likeliest(self, choices: Mapping[int, Sequence[Sequence[int]]]) -> dict[int, list[int]]:
        """For each of these rows the choice whose tokens, said next, have the highest joint probability."""
        rows = torch.tensor([row for row, options in choices.items() for _ in options], dtype=torch.long)
        if len(rows) == 0:
            return {}
        options = [list(option) for offered in choices.values() for option in offered]
        longest = max(len(option) for option in options)
        ids = torch.zeros(len(options), longest, dtype=torch.long)
        real = torch.arange(longest) < torch.tensor([len(option) for option in options])[:, None]
        for at, option in enumerate(options):
            ids[at, : len(option)] = torch.tensor(option)
        log_p = self._log_probabilities(rows, ids, real).masked_fill(~real, 0.0).sum(-1)
        scored = iter(zip(log_p.tolist(), options, strict=True))
        return {row: max(islice(scored, len(offered)))[1] for row, offered in choices.items()}

    def _log_probabilities(self, rows_R: Tensor, ids_RC: Tensor, real_RC: Tensor) -> Tensor:
        """log p of every token of R continuations of the given rows, [R, C]; the session does not move."""
        cache = copy.deepcopy(self._state.cache)
        cache.batch_select_indices(rows_R)
        seen = self._visible_QL[rows_R, None, : self._cached].expand(-1, ids_RC.shape[1], -1)
        group = torch.where(real_RC, 0, -1)
        visible = torch.cat([seen, branch_visible(group, torch.zeros_like(group))], dim=-1)
        embeds = self._model.embed(ids_RC)
        positions = self._position_Q[rows_R, None] + torch.arange(ids_RC.shape[1])
        _, final = self._model.decode_step(embeds, additive_mask(visible, embeds.dtype), positions, cache)
        before = torch.cat([self.final_QD[rows_R, None], final[:, :-1]], dim=1)
        return self._model.token_logits(before).log_softmax(-1).gather(-1, ids_RC[..., None]).squeeze(-1)

    def advance(self, chosen_Q: Tensor, spans: dict[int, FoundSpan]) -> None:
        """Read the chosen tokens back; an `<evi>` takes on the content of its interval."""
        embeds = self._model.embed(chosen_Q)
        if spans:
            rows = torch.tensor(list(spans))
            bounds = torch.tensor([(span.first, span.last) for span in spans.values()])
            embeds = embeds.index_add(
                0, rows, pool_spans(self._state.frames_semantic_BTD, rows, bounds).to(embeds.dtype)
            )
        self._cached += 1
        mask = additive_mask(self._visible_QL[:, None, : self._cached], embeds.dtype)
        match, final = self._model.decode_step(
            embeds[:, None], mask, self._position_Q[:, None], self._state.cache
        )
        self._match_QD, self.final_QD = match[:, 0], final[:, 0]
        self._position_Q = self._position_Q + 1
