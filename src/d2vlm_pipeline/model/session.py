"""The growing state of a batch of answers: cache, what each may see, and the last hidden states.

An interval is searched only when `<evi>` is emitted, from the state that emitted it; the token then takes on
the content of that interval when it is read back (method.md §6.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from d2vlm_pipeline.model.d2vlm import D2VLM, PrefixState
from d2vlm_pipeline.model.evidence import pool_spans, row_similarity, span_weights
from d2vlm_pipeline.model.masks import additive_mask, branch_visible
from d2vlm_pipeline.model.packing import pad_questions
from d2vlm_pipeline.model.prefix import rows_of
from d2vlm_pipeline.model.spans import interval_confidences, select_spans


@dataclass(frozen=True)
class PromptQuestion:
    """A question about the clip of that index: tokens, places of its `<evi>`, the frames they stand for.

    ``choices`` are the token sequences with one of which the text of a right answer begins.
    """

    clip: int
    ids: Sequence[int]
    evi_positions: Sequence[int]
    spans: Sequence[tuple[int, int]]
    choices: Sequence[Sequence[int]] = ()


@dataclass(frozen=True)
class FoundSpan:
    """Frames of one `<evi>`, how sure the model is, and the log-odds of the likeliest frame to belong.

    ``log_odds_T`` has those of every frame, which the interval was selected from.
    """

    first: int
    last: int
    confidence: float
    support: float = 0.0
    log_odds_T: np.ndarray = field(
        default_factory=lambda: np.empty(0, dtype=np.float32), compare=False, repr=False
    )


class Session:
    """Q questions being answered, Q ≥ 1; ``state`` holds a row for each of them and is used up."""

    def __init__(
        self, model: D2VLM, state: PrefixState, questions: Sequence[PromptQuestion], room: int
    ) -> None:
        self._model = model
        self._state = state
        self._device = state.valid_BP.device
        ids, asked = self._padded([question.ids for question in questions])
        length_Q = asked.sum(-1)
        embeds = self._with_question_spans(model.embed(ids), questions)
        visible = branch_visible(state.valid_BP, asked, torch.zeros_like(ids))
        positions = state.next_position_B[:, None] + torch.arange(ids.shape[1], device=self._device)
        match, final = model.decode_step(embeds, additive_mask(visible, embeds.dtype), positions, state.cache)
        every = torch.arange(len(questions), device=self._device)
        self._match_QD, self.final_QD = match[every, length_Q - 1], final[every, length_Q - 1]
        free = torch.ones(len(questions), room, dtype=torch.bool, device=self._device)
        self._visible_QL = torch.cat([state.valid_BP, asked, free], dim=-1)
        self._cached = state.valid_BP.shape[1] + ids.shape[1]
        self._position_Q = state.next_position_B + length_Q
        self._frames_Q = state.frame_valid_BT.sum(-1).cpu().numpy()

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Token ids padded on the right, and which of them are tokens."""
        ids, is_token = pad_questions(rows)
        return ids.to(self._device), is_token.to(self._device)

    def _with_question_spans(self, embeds_QSD: Tensor, questions: Sequence[PromptQuestion]) -> Tensor:
        rows = [(row, place) for row, question in enumerate(questions) for place in question.evi_positions]
        if not rows:
            return embeds_QSD
        spans = torch.tensor(
            [span for question in questions for span in question.spans], device=self._device
        )
        index, place = torch.tensor(rows, device=self._device).T
        added = pool_spans(self._state.frames_in_BTD, index, spans)
        return embeds_QSD.index_put((index, place), added.to(embeds_QSD.dtype), accumulate=True)

    def find_spans(self, is_evi_Q: Tensor) -> dict[int, FoundSpan]:
        """Interval of every row that has just emitted `<evi>`, or is about to."""
        rows = is_evi_Q.nonzero().squeeze(1).tolist()
        if not rows:
            return {}
        queries = self._model.query_head(self._match_QD)
        logits = row_similarity(queries, self._state.keys_BTD).float().cpu().numpy()[rows]
        frames = self._frames_Q[rows]
        spans = select_spans(logits, frames, self._model.config.span)
        sure = interval_confidences(logits, frames, spans)
        own = [row[:count] for row, count in zip(logits, frames, strict=True)]
        support = [float(row.max()) for row in own]
        found = zip(rows, spans.tolist(), sure.tolist(), support, own, strict=True)
        return {row: FoundSpan(first, last, *rest) for row, (first, last), *rest in found}

    def likeliest(self, choices: Mapping[int, Sequence[Sequence[int]]]) -> dict[int, list[int]]:
        """For each of these rows the choice whose tokens, said next, have the highest joint probability."""
        options = [list(option) for offered in choices.values() for option in offered]
        if not options:
            return {}
        rows = [row for row, offered in choices.items() for _ in offered]
        ids, real = self._padded(options)
        each = self._log_probabilities(torch.tensor(rows, device=self._device), ids, real)
        log_p = each.masked_fill(~real, 0.0).sum(-1)
        scored = iter(zip(log_p.tolist(), options, strict=True))
        return {row: max(islice(scored, len(offered)))[1] for row, offered in choices.items()}

    def _log_probabilities(self, rows_R: Tensor, ids_RC: Tensor, real_RC: Tensor) -> Tensor:
        """log p of every token of R continuations of the given rows, [R, C]; the session does not move."""
        cache = rows_of(self._state.cache, rows_R)
        seen = self._visible_QL[rows_R, : self._cached]
        visible = branch_visible(seen, real_RC, torch.zeros_like(ids_RC))
        embeds = self._model.embed(ids_RC)
        positions = self._position_Q[rows_R, None] + torch.arange(ids_RC.shape[1], device=self._device)
        _, final = self._model.decode_step(embeds, additive_mask(visible, embeds.dtype), positions, cache)
        before = torch.cat([self.final_QD[rows_R, None], final[:, :-1]], dim=1)
        return self._model.token_logits(before).log_softmax(-1).gather(-1, ids_RC[..., None]).squeeze(-1)

    def advance(self, chosen_Q: Tensor, spans: Mapping[int, FoundSpan]) -> None:
        """Read the chosen tokens back; an `<evi>` takes on the content of its interval."""
        embeds = self._model.embed(chosen_Q)
        if spans:
            embeds = embeds + self._content(spans).to(embeds.dtype)
        self._cached += 1
        mask = additive_mask(self._visible_QL[:, None, : self._cached], embeds.dtype)
        match, final = self._model.decode_step(
            embeds[:, None], mask, self._position_Q[:, None], self._state.cache
        )
        self._match_QD, self.final_QD = match[:, 0], final[:, 0]
        self._position_Q = self._position_Q + 1

    def _content(self, spans: Mapping[int, FoundSpan]) -> Tensor:
        """Mean state of each row's interval, zero where it has none, [Q, D]."""
        states_QTD = self._state.frames_semantic_BTD
        bounds = torch.tensor([(span.first, span.last) for span in spans.values()], device=self._device)
        weights_QT = states_QTD.new_zeros(states_QTD.shape[:2])
        weights_QT[list(spans)] = span_weights(bounds, states_QTD.shape[1], states_QTD.dtype)
        return torch.bmm(weights_QT[:, None], states_QTD).squeeze(1)
