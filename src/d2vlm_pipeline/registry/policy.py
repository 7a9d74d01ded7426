"""The rules of promotion: the policy of conf/base/promotion.yml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from d2vlm_pipeline.artifacts import StrictModel, UserError, validation_reason

Percent = Annotated[float, Field(ge=0, le=100)]
GateKind = Literal["floor", "unparsed_share", "max_regression"]
ALL_TASKS = "*"


class ScoreName(StrictModel):
    """Where one figure stands in a system's scores."""

    split: str
    task: str
    metric: str

    def __str__(self) -> str:
        return f"{self.split}/{self.task}/{self.metric}"


class Gate(StrictModel):
    """One condition of promotion.

    Attributes:
        metric: the score that is read; not used by `unparsed_share`, which reads every metric of the task.
        limit: percent, or percentage points for `max_regression`.
    """

    gate: GateKind
    split: str
    task: str
    metric: str | None = None
    limit: Percent

    @model_validator(mode="after")
    def _metric_where_read(self) -> Self:
        if (self.gate == "unparsed_share") == (self.metric is not None):
            need = "takes no" if self.gate == "unparsed_share" else "needs a"
            raise ValueError(f"gate {self.gate} {need} metric")
        return self

    def score_name(self, task: str) -> ScoreName:
        """The score that the gate reads for one of its tasks."""
        return ScoreName(split=self.split, task=task, metric=self.metric or "")

    def __str__(self) -> str:
        return f"{self.gate} of {'/'.join(filter(None, (self.split, self.task, self.metric)))}"


class Policy(StrictModel):
    """The rules of promotion; every gate has to pass, and the headline has to beat the champion's.

    Attributes:
        alias: the alias that moves.
        headline: the score on which candidate and champion meet.
        min_gain: points by which the candidate must lead there; at 0 any lead counts, a tie does not.
        compare_data: data digests that must agree before two models are compared; empty: all of them.
        gates: the conditions.
    """

    alias: str = Field(default="champion", min_length=1)
    headline: ScoreName
    min_gain: Percent = 0.0
    compare_data: tuple[str, ...] = ()
    gates: tuple[Gate, ...]


def policy_of(record: Mapping[str, Any], source: str) -> Policy:
    """Policy from a parsed promotion.yml.

    Args:
        record: the mapping of the file.
        source: the file's name, for the error.

    Raises:
        UserError: an unknown key or gate, a gate without its metric, a limit out of range.
    """
    try:
        return Policy.model_validate(record)
    except ValidationError as error:
        raise UserError(f"{source}: {validation_reason(error)}; mend the entry") from None


def load_policy(path: Path | str) -> Policy:
    """Policy of a promotion.yml file; errors of `policy_of`, and for a file that is missing or no mapping."""
    import yaml

    try:
        record = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such promotion policy; name an existing file") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())}); mend the file") from None
    rules = record.get("promotion") if isinstance(record, dict) else None
    if not isinstance(rules, dict):
        raise UserError(f"{path}: a promotion policy is a mapping below `promotion:`; mend it")
    return policy_of(rules, str(path))
