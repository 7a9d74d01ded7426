"""From a model directory to a predictor that answers questions about video files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.timeline import ModelRef

if TYPE_CHECKING:
    from d2vlm_pipeline.evaluation.predictor import Predictor
    from d2vlm_pipeline.registry.versions import ChampionRef
    from d2vlm_pipeline.video import DecodeLimits


def open_predictor(directory: Path, ref: ModelRef, limits: DecodeLimits | None = None) -> Predictor:
    """Predictor over a model directory; videos are named by path, decoded and encoded as its contract says.

    Args:
        directory: a sealed model directory, already verified.
        ref: who answers, as every prediction will say.
        limits: budgets of decoding one video; the defaults where not given.

    Raises:
        UserError: a file of the directory is malformed or made by other code, or the encoder that it names
            is not what it was in training.
    """
    from d2vlm_pipeline.evaluation.predictor import Predictor
    from d2vlm_pipeline.features import DecodedClips, build_encoder
    from d2vlm_pipeline.model import load_model
    from d2vlm_pipeline.video import DecodeLimits

    bundle = load_model(directory)
    contract = bundle.contract
    if build_encoder(contract.encoder).digest != contract.encoder_digest:
        raise UserError(
            f"{directory}: trained on features of another {contract.encoder.kind} encoder than is here; "
            "bring back its weights and settings, or train again"
        )
    clips = DecodedClips(contract.sampling, contract.encoder, limits or DecodeLimits())
    return Predictor(bundle, clips, system=ref.name, ref=ref)


def model_ref(champion: ChampionRef) -> ModelRef:
    """The champion as predictions name it."""
    return ModelRef(
        name=champion.name, version=champion.version, alias=champion.alias, digest=champion.digest
    )
