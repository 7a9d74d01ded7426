"""One prefix, many branches: how the questions about a clip, or the two sides of a pair, share one pass.

A *prefix* is text, then the frames of one clip. Behind it lie *branches*: a question and its response, or a
question with a chosen and a rejected response. All branches of a batch are packed into one row, where none
sees another, and position ids restart, so that each branch computes what it would compute alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

FRAME_SLOT = -1


class Prefix(NamedTuple):
    """Tokens up to the last frame (FRAME_SLOT marks a token of a frame, frames in order) and their positions.

    ``positions`` holds one row per axis of the backbone's position scheme; without any, tokens are numbered
    on one axis.
    """

    ids: Sequence[int]
    positions: Sequence[Sequence[int]] | None = None

    @property
    def next_position(self) -> int:
        """Where what follows goes on, on every axis."""
        if self.positions is None:
            return len(self.ids)
        return 1 + max(max(row) for row in self.positions)


@dataclass(frozen=True)
class Response:
    """One response as tokens.

    ``evidence`` maps each `<evi>` of the response, in order, to its first and last frame (pooled when the
    token is read back) and ``labels_KT`` holds one row of frame targets per `<evi>`. ``pairs`` links rows
    that mean the same event in the two halves.
    """

    token_ids: Sequence[int]
    supervised: Sequence[bool]
    evi_positions: Sequence[int]
    evidence: Sequence[tuple[int, int]]
    labels_KT: Tensor
    pairs: Sequence[tuple[int, int]]
    query_positions: Sequence[int] | None = None


@dataclass(frozen=True)
class Branch:
    """A question, the frame spans its `<evi>` stand for, and one response (SFT) or two (chosen, rejected).

    ``factors`` names what was corrupted in a rejected response, ``weight`` scales the pair's preference loss.
    """

    question_ids: Sequence[int]
    question_evi_positions: Sequence[int]
    question_spans: Sequence[tuple[int, int]]
    responses: Sequence[Response]
    factors: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class Clip:
    """A clip's prefix, its features and its branches.

    ``asked`` is what a projector that reads the question reads; by default the question of the only branch.
    """

    prefix: Prefix
    features_TNC: Tensor
    branches: Sequence[Branch]
    asked: Sequence[int] | None = None


@dataclass(frozen=True)
class PackedBatch:
    """Prefixes padded on the right, and what follows them in one row without padding.

    B clips, P prefix tokens, A axes of positions, T frames, S tokens behind the prefixes, Q questions of up
    to K tokens with their responses. Rows index the S tokens. ``*_branch`` numbers the responses of the batch
    0 … R−1. ``asked_*`` is what a projector may read, nothing where a clip has several questions.
    """

    prefix_ids_BP: Tensor
    prefix_valid_BP: Tensor
    prefix_position_ABP: Tensor
    frame_slot_BP: Tensor
    features_BTNC: Tensor
    frame_valid_BT: Tensor
    asked_ids_BL: Tensor
    asked_valid_BL: Tensor
    suffix_ids_S: Tensor
    suffix_position_S: Tensor
    question_row_QK: Tensor  # rows of a question and its responses, −1 behind the last
    question_variant_QK: Tensor  # 0 question, 1 first response, 2 second …
    question_clip_Q: Tensor
    evi_row_E: Tensor
    evi_clip_E: Tensor
    evi_from_question_E: Tensor
    evi_span_E2: Tensor
    token_row_N: Tensor
    token_id_N: Tensor
    token_branch_N: Tensor
    query_row_M: Tensor
    query_clip_M: Tensor
    query_branch_M: Tensor
    query_label_MT: Tensor
    pair_2L: Tensor  # indices into M
    branch_variant_R: Tensor
    branch_clip_R: Tensor
    branch_question_R: Tensor  # question number within the batch; the two sides of a pair share it
    branch_weight_R: Tensor
    branch_factors_R: tuple[tuple[str, ...], ...]

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch on another device."""
        moved: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            moved[field.name] = value.to(device) if isinstance(value, Tensor) else value
        return replace(self, **moved)

    def questions(self) -> PaddedQuestions:
        """What is asked about each clip.

        Raises:
            ValueError: several questions share a clip, so that there is no one thing to read.
        """
        has_one = self.asked_valid_BL.any(-1)
        if not has_one.all():
            clip = int((~has_one).nonzero()[0])
            raise ValueError(
                f"clip {clip} of the batch holds several questions, but the projector reads the question: "
                "give each a clip of its own"
            )
        return PaddedQuestions(self.asked_ids_BL, self.asked_valid_BL)


class PaddedPrefixes(NamedTuple):
    """Prefixes of B clips of up to P tokens, with the features of up to T frames each."""

    ids_BP: Tensor
    valid_BP: Tensor
    position_ABP: Tensor
    slot_BP: Tensor
    features_BTNC: Tensor
    frame_valid_BT: Tensor


class PaddedQuestions(NamedTuple):
    """Token ids of B questions of up to L tokens."""

    ids_BL: Tensor
    valid_BL: Tensor


class _Rows:
    """Collects the row and the lists of a batch."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.position: list[int] = []
        self.question_rows: list[list[int]] = []
        self.question_variants: list[list[int]] = []
        self.question_clips: list[int] = []
        self.evi: list[tuple[int, int, bool, int, int]] = []
        self.token: list[tuple[int, int, int]] = []
        self.query: list[tuple[int, int, int]] = []
        self.labels: list[Tensor] = []
        self.pairs: list[tuple[int, int]] = []
        self.branches: list[tuple[int, int, int]] = []

    def extend(self, ids: Sequence[int], position: int, variant: int) -> None:
        """Append tokens of the question at hand, positions counting from the given one."""
        self.question_rows[-1].extend(range(len(self.ids), len(self.ids) + len(ids)))
        self.question_variants[-1].extend([variant] * len(ids))
        self.ids.extend(ids)
        self.position.extend(range(position, position + len(ids)))


def pack(clips: Sequence[Clip], pad_id: int = 0) -> PackedBatch:
    """Pack clips with their branches into one batch."""
    rows = _Rows()
    for index, clip in enumerate(clips):
        for added in clip.branches:
            _add_branch(rows, index, clip.prefix.next_position, added)
    prefix = pad_prefixes([clip.prefix for clip in clips], [clip.features_TNC for clip in clips], pad_id)
    evi = torch.tensor(rows.evi, dtype=torch.long).reshape(-1, 5)
    token = torch.tensor(rows.token, dtype=torch.long).reshape(-1, 3)
    query = torch.tensor(rows.query, dtype=torch.long).reshape(-1, 3)
    branch = torch.tensor(rows.branches, dtype=torch.long).reshape(-1, 3)
    sides = [branch for clip in clips for branch in clip.branches for _ in branch.responses]
    asked = pad_questions([_asked(clip) for clip in clips], pad_id)
    labels = torch.zeros(len(rows.labels), prefix.frame_valid_BT.shape[1])
    for index, row in enumerate(rows.labels):
        labels[index, : len(row)] = row
    return PackedBatch(
        prefix_ids_BP=prefix.ids_BP,
        prefix_valid_BP=prefix.valid_BP,
        prefix_position_ABP=prefix.position_ABP,
        frame_slot_BP=prefix.slot_BP,
        features_BTNC=prefix.features_BTNC,
        frame_valid_BT=prefix.frame_valid_BT,
        asked_ids_BL=asked.ids_BL,
        asked_valid_BL=asked.valid_BL,
        suffix_ids_S=torch.tensor(rows.ids),
        suffix_position_S=torch.tensor(rows.position),
        question_row_QK=_pad(rows.question_rows, -1),
        question_variant_QK=_pad(rows.question_variants, 0),
        question_clip_Q=torch.tensor(rows.question_clips),
        evi_row_E=evi[:, 0],
        evi_clip_E=evi[:, 1],
        evi_from_question_E=evi[:, 2].bool(),
        evi_span_E2=evi[:, 3:],
        token_row_N=token[:, 0],
        token_id_N=token[:, 1],
        token_branch_N=token[:, 2],
        query_row_M=query[:, 0],
        query_clip_M=query[:, 1],
        query_branch_M=query[:, 2],
        query_label_MT=labels,
        pair_2L=torch.tensor(rows.pairs, dtype=torch.long).reshape(-1, 2).T,
        branch_variant_R=branch[:, 1],
        branch_clip_R=branch[:, 0],
        branch_question_R=branch[:, 2],
        branch_weight_R=torch.tensor([branch.weight for branch in sides]),
        branch_factors_R=tuple(branch.factors for branch in sides),
    )


def pad_prefixes(
    prefixes: Sequence[Prefix], features: Sequence[Tensor], pad_id: int = 0
) -> PaddedPrefixes:
    """Pad tokens, their positions and the features [T, N, C] of several clips on the right.

    Raises:
        ValueError: the prefixes count their tokens on different axes.
    """
    ids = _pad([list(prefix.ids) for prefix in prefixes], pad_id)
    frames = max(len(clip) for clip in features)
    padded = torch.zeros(len(features), frames, *features[0].shape[1:])
    frame_valid = torch.zeros(len(features), frames, dtype=torch.bool)
    for row, clip in enumerate(features):
        padded[row, : len(clip)] = clip
        frame_valid[row, : len(clip)] = True
    return PaddedPrefixes(
        ids_BP=ids.clamp(min=0),
        valid_BP=_pad([[1] * len(prefix.ids) for prefix in prefixes], 0).bool(),
        position_ABP=_positions(prefixes),
        slot_BP=ids == FRAME_SLOT,
        features_BTNC=padded,
        frame_valid_BT=frame_valid,
    )


def _positions(prefixes: Sequence[Prefix]) -> Tensor:
    length = max(len(prefix.ids) for prefix in prefixes)
    given = [prefix.positions or [range(length)] for prefix in prefixes]
    return torch.stack([_pad([list(row) for row in rows], 0) for rows in zip(*given, strict=True)])


def pad_questions(questions: Sequence[Sequence[int]], pad_id: int = 0) -> PaddedQuestions:
    """Pad token ids of several questions, or of what may answer them, on the right."""
    ids = _pad([list(question) for question in questions], pad_id)
    return PaddedQuestions(ids, _pad([[1] * len(question) for question in questions], 0).bool())


def _asked(clip: Clip) -> Sequence[int]:
    if clip.asked is not None:
        return clip.asked
    return clip.branches[0].question_ids if len(clip.branches) == 1 else ()


def _pad(rows: list[list[int]], value: int) -> Tensor:
    length = max(len(row) for row in rows)
    return torch.tensor([row + [value] * (length - len(row)) for row in rows], dtype=torch.long)


def _add_branch(rows: _Rows, clip: int, start: int, branch: Branch) -> None:
    """Append a question and its responses, positions counting from ``start``."""
    rows.question_rows.append([])
    rows.question_variants.append([])
    rows.question_clips.append(clip)
    base, asked = len(rows.ids), len(branch.question_ids)
    rows.extend(branch.question_ids, start, 0)
    for place, span in zip(branch.question_evi_positions, branch.question_spans, strict=True):
        rows.evi.append((base + place, clip, True, *span))
    for variant, response in enumerate(branch.responses, start=1):
        _add_response(rows, clip, variant, base + asked - 1, response)
        rows.extend(response.token_ids, start + asked, variant)


def _add_response(rows: _Rows, clip: int, variant: int, last_question_row: int, response: Response) -> None:
    """Register tokens and queries; the row before a response's first token is the question's last."""
    offset = len(rows.ids)

    def predictor(place: int) -> int:
        return offset + place - 1 if place > 0 else last_question_row

    number = len(rows.branches)
    rows.branches.append((clip, variant, len(rows.question_clips) - 1))
    for place, (token, supervised) in enumerate(zip(response.token_ids, response.supervised, strict=True)):
        if supervised:
            rows.token.append((predictor(place), token, number))
    first_query = len(rows.query)
    for place, span in zip(response.evi_positions, response.evidence, strict=True):
        rows.evi.append((offset + place, clip, False, *span))
    asked = response.evi_positions if response.query_positions is None else response.query_positions
    for place, label in zip(asked, response.labels_KT, strict=True):
        rows.query.append((predictor(place), clip, number))
        rows.labels.append(label)
    rows.pairs.extend((first_query + a, first_query + b) for a, b in response.pairs)
