"""Questions in, predictions out: the one way to ask a model, for evaluation, command line and registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

from d2vlm_pipeline.artifacts import derive_seed, digest_json, track
from d2vlm_pipeline.evaluation.parsing import parse_generation
from d2vlm_pipeline.timeline import ModelRef, PredictedInterval, Prediction, Question, TimeBase

if TYPE_CHECKING:
    from d2vlm_pipeline.model.d2vlm import PrefixState
    from d2vlm_pipeline.model.generate import AdjustLogits, Generated, PromptClip, PromptQuestion
    from d2vlm_pipeline.model.io import ModelBundle


Choice = Literal["likeliest", "greedy"]


class ClipSource(Protocol):
    """Where a predictor finds the features of a video."""

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        """Features float16 [T, N, C] and the times of their frames."""
        ...


class KnownClips(ClipSource, Protocol):
    """Clips of which can be told whether they are still the same."""

    def identity(self, video: str) -> str:
        """Digest of all that a clip's features and times depend on."""
        ...


@dataclass(frozen=True)
class ZeroVideo:
    """The same clips with every feature zero: what a model says without seeing anything."""

    source: KnownClips

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        """Zeros, and the real times."""
        features, timebase = self.source.clip(video)
        return np.zeros_like(features), timebase

    def identity(self, video: str) -> str:
        """Of the clip, and that nothing of it is seen."""
        return digest_json(["zero", self.source.identity(video)])


@dataclass(frozen=True)
class SwappedVideo:
    """Another clip's frames and times in place of the clip asked about."""

    source: KnownClips
    other: dict[str, str]

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        """Features and times of the other clip."""
        return self.source.clip(self.other[video])

    def identity(self, video: str) -> str:
        """Of the other clip."""
        return self.source.identity(self.other[video])


class Said(NamedTuple):
    """An answer as it was generated, with the times of the frames that it speaks of."""

    question: Question
    generated: Generated
    timebase: TimeBase

    @property
    def intervals(self) -> list[PredictedInterval]:
        """One for each `<evi>` of the answer, in order, in seconds."""
        intervals = []
        for span in self.generated.spans:
            interval = self.timebase.interval_of(span.first, span.last)
            # Six decimals: more would be rounding noise that differs between machines.
            confidence = round(min(1.0, max(0.0, span.confidence)), 6)
            intervals.append(
                PredictedInterval(start_s=interval.start_s, end_s=interval.end_s, confidence=confidence)
            )
        return intervals


@dataclass(frozen=True)
class _ReadClips:
    """Times of clips, and what the model keeps of having read them."""

    times: dict[str, TimeBase]
    state: PrefixState


_Seen = tuple[str, tuple[int, ...]]
"""A video, and the question it is read with, where the projector reads it."""


@dataclass(frozen=True)
class Predictor:
    """Answers questions with one model, in batches that share a clip's prefix.

    The clips of the last batch stay read: questions about the very same ones, in the same order, cost their
    own tokens alone. Under a projector that reads the question, every question has a prefix of its own.

    Attributes:
        bundle: model, tokenizer and contract.
        source: features by video name.
        system: what the predictions are filed under.
        ref: the model's identity, written into every prediction.
        batch_questions: how many questions are decoded together.
        max_evidence: most events that an answer may give as evidence.
        choice: how an option is chosen: as the likeliest of them, letter and words together, or token by
            token like all other text.
        temperature: 0 answers greedily; above, tokens are drawn, each answer from a seed of its own.
        draw: which of several drawn answers to a question this is.
    """

    bundle: ModelBundle
    source: ClipSource
    system: str
    ref: ModelRef
    batch_questions: int = 64
    max_new_tokens: int = 96
    max_evidence: int = 16
    choice: Choice = "likeliest"
    seed: int = 0
    temperature: float = 0.0
    draw: int = 0
    _last: dict[tuple[_Seen, ...], _ReadClips] = field(default_factory=dict, init=False, repr=False)

    def answer_batch(self, questions: Sequence[Question]) -> list[Prediction]:
        """One prediction per question, in order."""
        return list(self.answer_all(questions))

    def answer_all(self, questions: Iterable[Question]) -> Iterator[Prediction]:
        """Predictions in the order of the questions; questions about one video should be neighbours."""
        asked = list(questions)
        portions = [
            asked[at : at + self.batch_questions] for at in range(0, len(asked), self.batch_questions)
        ]
        for portion in (
            portions if len(portions) < 2 else track(portions, f"answer ({self.system})", unit="batch")
        ):
            yield from map(self.prediction, self.say(portion))

    def say(self, questions: Sequence[Question]) -> list[Said]:
        """What the model says to a batch of questions, in order, with what it found on the way."""
        from d2vlm_pipeline.model.generate import ResponseForm, generate

        if not questions:
            return []
        seen = [(question.video, self._read_with(question)) for question in questions]
        apart = tuple(dict.fromkeys(seen))
        clips = self._read(apart)
        times = clips.times
        tokens = self.bundle.tokens
        answers = generate(
            self.bundle.model,
            clips.state,
            [
                self._prompt_question(q, apart.index(key), times[q.video])
                for q, key in zip(questions, seen, strict=True)
            ],
            tokens.evi,
            tokens.end,
            self.max_new_tokens,
            adjust=self._adjust(questions),
            form=ResponseForm(tokens.evi_end, self.max_evidence, self.choice == "likeliest"),
        )
        return [Said(q, a, times[q.video]) for q, a in zip(questions, answers, strict=True)]

    def _adjust(self, questions: Sequence[Question]) -> AdjustLogits | None:
        from d2vlm_pipeline.model.sampling import sampler

        if not self.temperature:
            return None
        names = [question.sample_id or f"{question.video} {question.question}" for question in questions]
        seeds = [derive_seed(self.seed, "answer", name, self.draw) for name in names]
        return sampler(seeds, self.temperature)

    def _read_with(self, question: Question) -> tuple[int, ...]:
        return tuple(self._ids(question)) if self.bundle.model.reads_question else ()

    def _read(self, seen: tuple[_Seen, ...]) -> _ReadClips:
        """The clips as the model reads them; those asked about last are still at hand."""
        from d2vlm_pipeline.model.generate import read_clips

        kept = self._last.get(seen)
        if kept is None:
            # Before the next ones are read: both together may not fit.
            self._last.clear()
            loaded = {name: self.source.clip(name) for name in dict.fromkeys(name for name, _ in seen)}
            clips = [self._prompt_clip(*loaded[name], asked) for name, asked in seen]
            state = read_clips(self.bundle.model, clips)
            kept = _ReadClips({name: clock for name, (_, clock) in loaded.items()}, state)
            self._last[seen] = kept
        return kept

    def _prompt_clip(
        self, features_TNC: np.ndarray, timebase: TimeBase, asked: tuple[int, ...]
    ) -> PromptClip:
        import torch

        from d2vlm_pipeline.model.generate import PromptClip

        features = torch.from_numpy(np.array(features_TNC, dtype=np.float32))
        return PromptClip(self.bundle.layout.prefix(timebase.times_s), features, asked)

    def _ids(self, question: Question) -> list[int]:
        from d2vlm_pipeline.model.tokens import question_ids

        return question_ids(question, self.bundle.tokenizer, self.bundle.tokens)

    def _prompt_question(self, question: Question, clip: int, timebase: TimeBase) -> PromptQuestion:
        from d2vlm_pipeline.model.encoding import frame_spans
        from d2vlm_pipeline.model.generate import PromptQuestion
        from d2vlm_pipeline.model.tokens import encode, lettered_options, places_of

        ids = self._ids(question)
        is_official = self.bundle.contract.compat == "official"
        spans = frame_spans(question.query_spans, timebase, is_official)
        choices = [encode(option, self.bundle.tokenizer) for option in lettered_options(question)]
        return PromptQuestion(clip, ids, places_of(self.bundle.tokens.evi, ids), spans, choices)

    @property
    def decoding(self) -> dict[str, str | float | int]:
        """How answers are decoded, as predictions record it."""
        method: dict[str, str | float | int] = {"method": "greedy"}
        if self.temperature:
            method = {"method": "sampled", "temperature": self.temperature, "draw": self.draw}
        return {**method, "choice": self.choice, "max_new_tokens": self.max_new_tokens}

    def prediction(self, said: Said) -> Prediction:
        """The record of an answer."""
        question, answer, timebase = said
        raw = str(self.bundle.tokenizer.decode(answer.token_ids, skip_special_tokens=False))
        parsed = parse_generation(raw, said.intervals, question.task, question.options)
        return Prediction(
            sample_id=question.sample_id,
            video=question.video,
            task=question.task,
            system=self.system,
            question=question.question,
            answer=parsed.answer,
            segments=parsed.segments,
            evidence=parsed.evidence,
            raw=raw,
            parsed=parsed.parsed,
            parse_error=parsed.parse_error,
            decoding={**self.decoding, "finished": answer.finished},
            seed=self.seed,
            timebase_digest=timebase.digest,
            model=self.ref,
        )
