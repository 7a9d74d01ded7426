"""What scores depend on and a reader needs to repeat them: models, decoding, protocol, digests."""

from collections.abc import Iterator, Mapping, Sequence

from d2vlm_pipeline.artifacts import canonical_json
from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.page.blocks import Facts
from d2vlm_pipeline.timeline import Prediction


def settings(
    predictions: Mapping[str, Sequence[Prediction]], data: Mapping[str, str], config: EvaluationConfig
) -> tuple[Facts, ...]:
    """Groups of names and values for the foot of a page."""
    protocol = (
        ("protocol", "strict: every question stays in its denominator"),
        ("IoU thresholds", ", ".join(f"{threshold:g}" for threshold in config.thresholds)),
        ("intervals", f"{config.confidence:.0%}, {config.resamples} draws of clips, seed {config.seed}"),
    )
    systems = tuple((name, "\n".join(_made_by(said))) for name, said in predictions.items() if said)
    return (
        Facts("Scoring", protocol),
        Facts("Data, by digest", tuple(sorted(data.items()))),
        Facts("Systems: model, decoding, seed", systems),
    )


def _made_by(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Everything that answers of one system were made with; normally one line of each kind."""
    models = {canonical_json(said.model.model_dump(exclude_none=True)) for said in predictions}
    # `finished` says of one answer whether it came to an end, not how it was made.
    decodings = {
        canonical_json({key: value for key, value in said.decoding.items() if key != "finished"})
        for said in predictions
    }
    yield from (f"model {text}" for text in sorted(models))
    yield from (f"decoding {text}" for text in sorted(decodings))
    yield f"seed {', '.join(str(seed) for seed in sorted({said.seed for said in predictions}))}"
    clocks = {said.timebase_digest for said in predictions} - {""}
    if clocks:
        yield f"{len(clocks)} time bases, of {len({said.video for said in predictions})} clips"
