"""The base of every configuration and record."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Immutable model: unknown fields are errors, and so are NaN and infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
