"""Identities of the parts that compute: world, encoder, backbone, and the code that scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from d2vlm_pipeline.artifacts import digest_json, is_complete, read_manifest
from d2vlm_pipeline.artifacts.code import PACKAGE, code_digest
from d2vlm_pipeline.tracking.lineage import DataDigest, Identity

# Whatever a metric is, it is reached from what scores predictions.
_SCORES = (f"{PACKAGE}.evaluation.score_systems",)
_CONTRACT, _INDEX = "contract.json", "index.jsonl"


def metric_code() -> str:
    """Digest of the code that makes scores of predictions; comments and layout do not count."""
    return code_digest(_SCORES)


def world_digest(parameters: Mapping[str, Any]) -> str | None:
    """Digest of the demo world that is configured; None where other footage is, or none."""
    from d2vlm_pipeline.video.world.config import WorldConfig

    is_world = parameters.get("data", {}).get("source", "world") == "world"
    if not is_world or "world" not in parameters:
        return None
    try:
        return WorldConfig.model_validate(parameters["world"]).digest
    except ValidationError:
        return None  # the node that reads it refuses it by name


def encoder_identity(parameters: Mapping[str, Any], places: Iterable[Path]) -> Identity:
    """The configured encoder, and the one that features and models at these places were made with.

    Its weights are not read for this: stores and models hold the digest.
    """
    from d2vlm_pipeline.features import EncoderConfig

    configured = None
    if "encoder" in parameters:
        try:
            configured = EncoderConfig.model_validate(parameters["encoder"]).digest
        except ValidationError:
            configured = None  # as above
    found = sorted({digest for place in places if (digest := _encoder_of(place)) is not None})
    # Two encoders in one run are two worlds of features: neither is the one.
    return Identity(configuration=configured, content=found[0] if len(found) == 1 else None)


def backbone_identity(parameters: Mapping[str, Any], files: Mapping[str, DataDigest]) -> Identity:
    """The configured backbone, and the weights that training starts from.

    Args:
        parameters: of the run, resolved.
        files: what they name, by key.
    """
    if "model" not in parameters:
        return Identity()
    start, backbone = parameters.get("start", {}), parameters["model"].get("backbone", {})
    configured = digest_json({"start": start.get("kind"), "backbone": backbone})
    if start.get("kind") == "aligned":
        return Identity(configuration=configured, content=_aligned(start.get("directory")))
    named = files.get("model.backbone.path")
    return Identity(configuration=configured, content=named.digest if named else None)


def _aligned(directory: str | None) -> str | None:
    import d2vlm_pipeline.model

    shipped = Path(str(d2vlm_pipeline.model.__file__)).parent / "assets" / "aligned"
    place = shipped if directory is None else Path(directory)
    return digest_json(read_manifest(place)) if is_complete(place) else None


def _encoder_of(place: Path) -> str | None:
    """What a model's contract, or the index of a feature store, says of the encoder."""
    contract, index = place / _CONTRACT, place / _INDEX
    if contract.is_file():
        found: str | None = json.loads(contract.read_text(encoding="utf-8")).get("encoder_digest")
        return found
    if not index.is_file():
        return None
    with index.open(encoding="utf-8") as lines:
        first = lines.readline()
    found = json.loads(first).get("encoder") if first.strip() else None
    return found
