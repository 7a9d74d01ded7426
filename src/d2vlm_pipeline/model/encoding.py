"""Samples and pairs → branches: text becomes tokens, seconds become frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedTokenizerBase

from d2vlm_pipeline.model import tokens as prompt
from d2vlm_pipeline.model.packing import Branch, Response
from d2vlm_pipeline.objectives import (
    OFFICIAL_SFT,
    AxisWeights,
    SFTConfig,
    frame_labels,
    official_labels,
    official_spans,
)
from d2vlm_pipeline.timeline import (
    GroundedResponse,
    Interval,
    PreferencePair,
    Question,
    Sample,
    TimeBase,
)


@dataclass(frozen=True)
class BranchEncoder:
    """Encodes questions and responses about clips for one tokenizer and one kind of frame label."""

    tokenizer: PreTrainedTokenizerBase
    tokens: prompt.PromptTokens
    labels: SFTConfig

    def sample(self, sample: Sample, timebase: TimeBase) -> Branch:
        """A sample as one branch with its true response."""
        ground_nowhere = sample.is_absent and self.labels.ground_absent
        return self._branch(sample, timebase, [sample.response()], ground_nowhere)

    def pair(
        self, sample: Sample, pair: PreferencePair, timebase: TimeBase, weights: AxisWeights | None = None
    ) -> Branch:
        """A pair as one branch with the chosen and the rejected response behind the same question."""
        return replace(
            self._branch(sample, timebase, [pair.chosen, pair.rejected]),
            factors=tuple(factor.operator for factor in pair.factors),
            weight=(weights or AxisWeights()).of([factor.axis for factor in pair.factors]),
        )

    def _branch(
        self,
        sample: Sample,
        timebase: TimeBase,
        responses: Sequence[GroundedResponse],
        ground_nowhere: bool = False,
    ) -> Branch:
        ids = prompt.question_ids(Question.of_sample(sample), self.tokenizer, self.tokens)
        return Branch(
            question_ids=ids,
            question_evi_positions=prompt.places_of(self.tokens.evi, ids),
            question_spans=self._spans(sample.query_spans, timebase),
            responses=[self._response(response, timebase, ground_nowhere) for response in responses],
        )

    def _response(self, response: GroundedResponse, timebase: TimeBase, ground_nowhere: bool) -> Response:
        ids = prompt.response_ids(response.render(), self.tokenizer, self.tokens)
        places = prompt.places_of(self.tokens.evi, ids)
        events = len(response.evidence)
        halves = len(places) // events if events else 0
        if ground_nowhere:
            # The row that declines evidence is a query, too: it should find nothing.
            return Response(
                ids, [True] * len(ids), [], [], torch.zeros(1, len(timebase)), [], query_positions=[0]
            )
        labels = self._labels(response.evidence, timebase)
        return Response(
            token_ids=ids,
            supervised=[True] * len(ids),
            evi_positions=places,
            evidence=self._spans(response.evidence, timebase) * halves,
            labels_KT=labels.repeat(halves, 1) if halves else labels,
            pairs=[(k, k + events) for k in range(events)] if halves == 2 else [],
        )

    def _spans(self, intervals: Sequence[Interval], timebase: TimeBase) -> list[tuple[int, int]]:
        return frame_spans(intervals, timebase, official=self.labels == OFFICIAL_SFT)

    def _labels(self, intervals: Sequence[Interval], timebase: TimeBase) -> torch.Tensor:
        if self.labels.labels == "soft_frames":
            pairs = _frame_pairs(intervals, timebase)
            return official_labels(pairs, len(timebase), self.labels.soft_base, rounded=True)
        return frame_labels(intervals, timebase, self.labels)


def frame_spans(
    intervals: Sequence[Interval], timebase: TimeBase, official: bool
) -> list[tuple[int, int]]:
    """First and last frame (inclusive) whose states stand for each interval, in training and in asking."""
    if official:
        return official_spans(_frame_pairs(intervals, timebase), len(timebase))
    return [timebase.frames_of(interval) for interval in intervals]


def _frame_pairs(intervals: Sequence[Interval], timebase: TimeBase) -> list[tuple[float, float]]:
    """Seconds as the official code counts them: in frames, at 1 fps the seconds themselves."""
    frames_per_s = len(timebase) / timebase.end_s
    return [(interval.start_s * frames_per_s, interval.end_s * frames_per_s) for interval in intervals]
