"""The base of every encoder's configuration: a value becomes the class that its `kind` names."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from d2vlm_pipeline.artifacts import StrictModel


class EncoderConfig(StrictModel):
    """Which encoder, at what resolution, pooled to what grid of tokens per frame.

    A base class rather than a union: Kedro hands parameters over as models only where the type of the node's
    argument is one class.
    """

    kind: str
    input_px: int = Field(ge=16)
    grid: int = Field(ge=2)
    batch_frames: int = Field(ge=1)

    @property
    def digest(self) -> str:
        """Identity of what is computed; what only says how does not change it."""
        raise NotImplementedError

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Any:
        if cls is not EncoderConfig or not isinstance(value, dict):
            return handler(value)
        kinds = {known.model_fields["kind"].default: known for known in EncoderConfig.__subclasses__()}
        if value.get("kind") not in kinds:
            known = ", ".join(sorted(kinds))
            named = {"kind": repr(value.get("kind")), "known": known}
            raise PydanticCustomError("kind", "no encoder of kind {kind}; use one of {known}", named)
        return kinds[value["kind"]].model_validate(value)
