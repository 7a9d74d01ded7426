"""A model directory from anywhere, and whether it fits the features that are there."""

from __future__ import annotations

import hashlib
from pathlib import Path

from d2vlm_pipeline.artifacts import UserError, verify
from d2vlm_pipeline.features import EncoderConfig, build_encoder
from d2vlm_pipeline.model.bundle import ModelBundle
from d2vlm_pipeline.timeline import SamplingPolicy


def open_model(directory: Path) -> ModelBundle:
    """Load a model directory, every file of it checked against its manifest.

    Raises:
        UserError: there is none, it has changed since it was written, or this code cannot read it.
    """
    from d2vlm_pipeline.model.io import load_model

    if not directory.is_dir():
        raise UserError(f"{directory}: no model directory; check the path")
    verify(directory)
    return load_model(directory)


def check_features(model: ModelBundle, sampling: SamplingPolicy, encoder: EncoderConfig) -> None:
    """Refuse features that are not made as those the model was trained on.

    Raises:
        UserError: frames are sampled or encoded otherwise.
    """
    contract, where = model.contract, model.directory or "the model"
    if contract.sampling.digest != sampling.digest:
        raise UserError(
            f"{where}: trained on frames sampled as {contract.sampling.model_dump(mode='json')}; set "
            "`sampling` to that, and run `kedro run --pipelines features` again"
        )
    if contract.encoder_digest != build_encoder(encoder).digest:
        raise UserError(
            f"{where}: trained on features of another encoder ({contract.encoder.kind}); set `encoder` to "
            "its contract.json's, and run `kedro run --pipelines features` again"
        )


def content_digest(model: ModelBundle) -> str:
    """Digest of the directory a model was loaded from; of one that was only just trained, of its weights."""
    if model.digest:
        return model.digest
    sha = hashlib.sha256(model.contract.model_dump_json().encode())
    for name, tensor in sorted(model.model.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return sha.hexdigest()
