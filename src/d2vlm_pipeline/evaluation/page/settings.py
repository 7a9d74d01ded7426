"""What scores depend on and a reader needs to repeat them: models, decoding, protocol, digests."""

from collections.abc import Iterator, Mapping, Sequence

from d2vlm_pipeline import __version__
from d2vlm_pipeline.artifacts import canonical_json
from d2vlm_pipeline.evaluation.answer_record import AnswerRecord
from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.page.blocks import Facts
from d2vlm_pipeline.evaluation.reading import PARSER_VERSION
from d2vlm_pipeline.timeline import ModelRef, Prediction

_SEVERAL = 4


def settings(
    predictions: Mapping[str, Sequence[Prediction]],
    records: Mapping[str, AnswerRecord],
    data: Mapping[str, str],
    config: EvaluationConfig,
) -> tuple[Facts, ...]:
    """Groups of names and values for the foot of a page."""
    protocol = (
        ("protocol", "strict: every question stays in its denominator"),
        ("IoU thresholds", ", ".join(f"{threshold:g}" for threshold in config.thresholds)),
        ("intervals", f"{config.confidence:.0%}, {config.resamples} draws of clips, seed {config.seed}"),
        ("versions", f"package {__version__}, parser {PARSER_VERSION}"),
    )
    systems = tuple((name, "\n".join(_made_by(said))) for name, said in predictions.items() if said)
    return (
        Facts("Scoring", protocol),
        Facts("Data, by digest", tuple(sorted(data.items()))),
        Facts("Systems: model, decoding, seed", systems),
        *_made_alike(records),
    )


def _made_alike(records: Mapping[str, AnswerRecord]) -> Iterator[Facts]:
    """Prompt, sampling and code of the answers of models, said once for systems that share them."""
    shared: dict[str, list[str]] = {}
    for system, record in records.items():
        sampling = record.sampling
        lines = (
            f"prompt: {record.prompt_version}, compat {record.compat}",
            f"frames: {sampling.fps:g} a second, at most {sampling.max_frames}, {sampling.rounding}",
            f"sampling: {record.sampling_digest}",
            f"encoder: {record.encoder_digest}",
            f"questions in a batch: {record.batch_questions}, threads {record.threads}",
            f"parser {record.parser_version}, package {record.package}, code {record.code}",
            f"torch {record.torch}, transformers {record.transformers}",
        )
        shared.setdefault("\n".join(lines), []).append(system)
    if shared:
        rows = tuple((", ".join(systems), text) for text, systems in shared.items())
        yield Facts("Answers: prompt, frames, code", rows)


def _made_by(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Everything that answers of one system were made with; what differs from answer to answer by number."""
    yield f"model: {_values([_model(said.model) for said in predictions])}"
    for key in sorted({key for said in predictions for key in said.decoding}):
        yield f"{key}: {_values([said.decoding.get(key) for said in predictions])}"
    yield f"seed: {_values([said.seed for said in predictions])}"
    clocks = {said.timebase_digest for said in predictions} - {""}
    if clocks:
        yield f"time bases: {len(clocks)}, of {len({said.video for said in predictions})} clips"


def _model(ref: ModelRef) -> str:
    named = [
        ref.name,
        *([f"version {ref.version}"] if ref.version else []),
        *([ref.alias] if ref.alias else []),
    ]
    return f"{', '.join(named)}, {ref.digest}"


def _values(values: Sequence[object]) -> str:
    found = sorted({value if isinstance(value, str) else canonical_json(value) for value in values})
    return " | ".join(found) if len(found) <= _SEVERAL else f"{len(found)} different"
