"""How answers were made: the record that stands beside predictions, and what tells them from any others."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from d2vlm_pipeline import __version__
from d2vlm_pipeline.artifacts import StrictModel, digest_bytes, digest_json
from d2vlm_pipeline.evaluation.reading import PARSER_VERSION
from d2vlm_pipeline.timeline import ModelRef, SamplingPolicy

if TYPE_CHECKING:
    from d2vlm_pipeline.evaluation.predictor import Predictor

View = Literal["real", "zero", "swapped"]
"""What a model is shown: the clips, the same with every feature zero, or others' frames and times."""

# What answers depend on, below the package; the features that are read have digests of their own.
_SOURCES = ("timeline", "model", "evaluation/predictor.py", "evaluation/parsing.py", "evaluation/reading")


class AnswerRecord(StrictModel):
    """All that the predictions of a system depend on beside questions and clips.

    Attributes:
        view: what the model was shown.
        sampling, sampling_digest: which frames of a video; a prediction has the digest of its TimeBase.
        batch_questions: questions decoded together; the last bits of a confidence depend on it.
        threads: of torch; so they do on this.
        parser_version: how text becomes an answer.
        code: digest of the sources that read, decode and parse.
    """

    record_version: int = 1
    system: str
    view: View
    model: ModelRef
    prompt_version: str
    compat: str
    sampling: SamplingPolicy
    sampling_digest: str
    encoder_digest: str
    decoding: dict[str, str | float | int]
    seed: int
    batch_questions: int
    threads: int
    parser_version: str = PARSER_VERSION
    package: str = __version__
    torch: str
    transformers: str
    code: str

    @classmethod
    def of(cls, predictor: Predictor, view: View, threads: int) -> AnswerRecord:
        """The record of what a predictor answers."""
        contract = predictor.bundle.contract
        return cls(
            system=predictor.system,
            view=view,
            model=predictor.ref,
            prompt_version=contract.prompt_version,
            compat=contract.compat,
            sampling=contract.sampling,
            sampling_digest=contract.sampling.digest,
            encoder_digest=contract.encoder_digest,
            decoding={**predictor.decoding, "max_evidence": predictor.max_evidence},
            seed=predictor.seed,
            batch_questions=predictor.batch_questions,
            threads=threads,
            torch=version("torch"),
            transformers=version("transformers"),
            code=source_digest(),
        )

    @property
    def digest(self) -> str:
        """Equal digests: equal answers to equal questions about equal clips."""
        return digest_json(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return self.model_dump(mode="json")


@cache
def source_digest() -> str:
    """Digest of the code that answers: other code, other answers."""
    package = Path(__file__).parents[1]
    named = [package / name for name in _SOURCES]
    files = sorted(found for path in named for found in (path.rglob("*.py") if path.is_dir() else [path]))
    return digest_json({str(path.relative_to(package)): digest_bytes(path.read_bytes()) for path in files})
