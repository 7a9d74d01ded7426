"""A question that a version has to answer before an alias goes back to it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry.example import example_clip
from d2vlm_pipeline.registry.opening import open_predictor
from d2vlm_pipeline.timeline import ModelRef, Prediction, Question


def smoke_test(directory: Path, ref: ModelRef, question: str) -> Prediction:
    """What a model answers about the demo world's small clip.

    Args:
        directory: its model directory, already verified.
        ref: which version it is.
        question: what it is asked.

    Raises:
        UserError: it cannot be opened here, or its answer has not the form of an answer.
    """
    where = f"{ref.name} version {ref.version}"
    with TemporaryDirectory(prefix="d2vlm-smoke-") as scratch:
        clip = Path(scratch) / "clip.mp4"
        clip.write_bytes(example_clip())
        try:
            predictor = open_predictor(directory, ref)
            answer = predictor.answer_batch([Question(video=str(clip), question=question)])[0]
        except UserError as error:
            raise UserError(f"{where}: does not answer ({error})") from None
    if not answer.parsed:
        raise UserError(
            f"{where}: its answer to {question!r} cannot be read ({answer.parse_error}); "
            "name another version, or mend registry.smoke.question"
        )
    return answer
