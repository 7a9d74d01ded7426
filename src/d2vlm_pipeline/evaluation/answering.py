"""Answers of a model to many questions: in portions, streamed, each portion answered once.

How a batch is made up shows in the last bits of a confidence. Portions are therefore drawn from the questions
alone, before anything is answered: whoever answers them, in whichever order and however often it was
interrupted, the predictions are the same to the byte.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import Journal, Resumable, digest_json, open_journal, track
from d2vlm_pipeline.evaluation.answer_record import AnswerRecord
from d2vlm_pipeline.timeline import Prediction, Question

if TYPE_CHECKING:
    from d2vlm_pipeline.evaluation.predictor import Predictor

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Portion:
    """Questions that are answered together, and a digest of all that their answers depend on."""

    key: str
    questions: tuple[Question, ...]


Answer = Callable[[Sequence[Portion]], Iterator[tuple[Portion, list[Prediction]]]]
"""Predictions of portions as they are answered, in any order, each in the order of its questions."""


@dataclass(frozen=True)
class AnswerStream(Resumable[Prediction]):
    """Predictions, in the order of the questions; computed as they are asked for.

    Attributes:
        record: how they are made.
        portions: what is asked.
        answer: who answers.
    """

    record: AnswerRecord
    portions: tuple[Portion, ...]
    answer: Answer

    @classmethod
    def of(
        cls,
        record: AnswerRecord,
        questions: Iterable[Question],
        identity: Callable[[str], str],
        answer: Answer,
    ) -> AnswerStream:
        """Questions about one video are best neighbours; `identity` is a digest of what is seen of it."""
        portions = (
            Portion(_key(record, batch, identity), tuple(batch))
            for batch in whole_clips(questions, record.batch_questions)
        )
        return cls(record, tuple(portions), answer)

    def __len__(self) -> int:
        return sum(len(portion.questions) for portion in self.portions)

    def __iter__(self) -> Iterator[Prediction]:
        """Answer everything, and keep nothing."""
        fresh, done = self.answer(self.portions), dict[str, list[Prediction]]()
        for portion in self.portions:
            while portion.key not in done:
                answered, predictions = next(fresh)
                done[answered.key] = predictions
            yield from done.pop(portion.key)

    def resumed(self, journal: Path) -> Iterator[Prediction]:
        """Answer what the journal does not hold, and write every portion there before it is handed on.

        Raises:
            UserError: another run writes to the journal.
        """
        with open_journal(journal) as kept:
            fresh = self.answer(self._missing(kept))
            for portion in self.portions:
                while portion.key not in kept:
                    answered, predictions = next(fresh)
                    kept.append(answered.key, predictions)
                yield from (Prediction.model_validate_json(text) for text in kept.read(portion.key))
            kept.keep(portion.key for portion in self.portions)

    def _missing(self, kept: Journal) -> list[Portion]:
        missing = [portion for portion in self.portions if portion.key not in kept]
        left = sum(len(portion.questions) for portion in missing)
        if left < len(self):
            logger.info(
                "answer (%s): %d of %d answers were there, %d to go",
                self.record.system,
                len(self) - left,
                len(self),
                left,
            )
        return missing


def answer_here(predictor: Predictor, threads: int) -> Answer:
    """Answer in this process, one portion after the other."""

    def answer(portions: Sequence[Portion]) -> Iterator[tuple[Portion, list[Prediction]]]:
        import torch

        torch.set_num_threads(threads)
        label = f"answer ({predictor.system})"
        for portion in track(portions, label, unit="batch") if len(portions) > 1 else portions:
            yield portion, predictor.answer_batch(portion.questions)

    return answer


def whole_clips(questions: Iterable[Question], most: int) -> Iterator[list[Question]]:
    """Batches of at most so many questions; those about one clip stay together where a batch holds them."""
    batch: list[Question] = []
    for _, group in groupby(questions, key=lambda question: question.video):
        of_clip = list(group)
        if batch and len(batch) + len(of_clip) > most:
            yield batch
            batch = []
        batch += of_clip
        while len(batch) > most:
            yield batch[:most]
            batch = batch[most:]
    if batch:
        yield batch


def _key(record: AnswerRecord, batch: Sequence[Question], identity: Callable[[str], str]) -> str:
    seen = {video: identity(video) for video in dict.fromkeys(question.video for question in batch)}
    return digest_json([record.digest, [question.model_dump(mode="json") for question in batch], seen])
