"""Answers questions as the catalog does, killed by itself.

    python answers_job.py FOLDER KILL_AFTER

Every portion that was answered is a line of FOLDER/answered.txt. After so many it kills itself; 0: never.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from d2vlm_pipeline.evaluation.answer_record import AnswerRecord
from d2vlm_pipeline.evaluation.answering import AnswerStream, Portion, answer_here
from d2vlm_pipeline.orchestration import JsonLinesDataset
from d2vlm_pipeline.timeline import Prediction
from evaluation.test_answering import FORMS, KnownShelf, neighbours
from evaluation.test_predictor import predictor


def run(folder: Path, kill_after: int) -> None:
    asking = predictor(KnownShelf(), batch_questions=len(FORMS) - 2)
    here = answer_here(asking, 1)

    def answer(portions: Sequence[Portion]) -> Iterator[tuple[Portion, list[Prediction]]]:
        with (folder / "answered.txt").open("a") as log:
            for count, (portion, predictions) in enumerate(here(portions)):
                if kill_after and count == kill_after:
                    os.kill(os.getpid(), signal.SIGKILL)
                print(portion.key, file=log, flush=True)
                yield portion, predictions

    stream = AnswerStream.of(
        AnswerRecord.of(asking, "real", 1), neighbours(), KnownShelf().identity, answer
    )
    dataset = JsonLinesDataset(
        filepath=str(folder / "sft_predictions.jsonl"),
        records="d2vlm_pipeline.timeline.Prediction",
        journal="journal",
    )
    dataset.save(stream)


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]))
