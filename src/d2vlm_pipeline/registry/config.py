"""Settings of the registry: conf/*/registry.yml."""

from __future__ import annotations

from pydantic import Field

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.registry.example import QUESTION
from d2vlm_pipeline.registry.keys import PublicKey


class SmokeQuestion(StrictModel):
    """What a version has to answer before an alias goes back to it.

    Attributes:
        question: asked about the clip of the demo world that every registered model has as its example.
    """

    question: str = Field(default=QUESTION, min_length=1)


class RegistryConfig(StrictModel):
    """Who may sign models, and how one is tried.

    Attributes:
        signing_key: PEM file of the key that promotion signs with, below the project; the first promotion
            makes it. The variable D2VLM_SIGNING_KEY, a path or the text itself, comes before it.
        trusted_keys: public keys whose signatures count, beside one's own and those of D2VLM_TRUSTED_KEYS.
        smoke: what a rollback asks its target.
    """

    signing_key: str = "conf/local/signing_key.pem"
    trusted_keys: tuple[PublicKey, ...] = ()
    smoke: SmokeQuestion = SmokeQuestion()
