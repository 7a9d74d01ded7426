"""The scores of one system, as promotion reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from d2vlm_pipeline.artifacts import StrictModel, UserError, validation_reason


class Score(StrictModel):
    """One figure of metrics.json: percent, bootstrap interval, how many were scored, how many unreadable."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = Field(ge=0)
    unparsed: int = Field(ge=0)


class Scores(StrictModel):
    """The scores of one system, `tasks[split][task][metric]`, and the digests of the data they rest on."""

    system: str
    data: dict[str, Any]
    tasks: dict[str, dict[str, dict[str, Score]]]


def scores_of(metrics: Mapping[str, Any], system: str) -> Scores:
    """The scores of one system out of a metrics.json record.

    Raises:
        UserError: the system was not scored, or the record is malformed.
    """
    systems = metrics.get("scores", {})
    if system not in systems:
        held = ", ".join(sorted(systems)) or "none"
        raise UserError(
            f"metrics.json: no scores of {system!r} (it has {held}); run the evaluation pipeline with it"
        )
    try:
        return Scores(system=system, data=metrics.get("data", {}), tasks=systems[system])
    except ValidationError as error:
        reason = f"{system}: {validation_reason(error)}"
        raise UserError(f"metrics.json: {reason}; run the evaluation pipeline again") from None
