"""The rules of promotion: the policy of conf/base/promotion.yml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from d2vlm_pipeline.artifacts import StrictModel, UserError, validation_reason
from d2vlm_pipeline.registry.rules import KINDS, Percent, Rule, ScoreName


class Policy(StrictModel):
    """The rules of promotion; every gate has to pass, and the headline has to beat the champion's.

    Attributes:
        alias: the alias that moves.
        dry_run: show how the gates come out, and change nothing.
        headline: the score on which candidate and champion meet.
        min_gain: points by which the candidate must lead there; at 0 any lead counts, a tie does not.
        compare_data: data digests that must agree before two models are compared; empty: all of them.
        unmeasured: what a gate does whose figure was not measured.
        gates: the conditions.
    """

    alias: str = Field(default="champion", min_length=1)
    dry_run: bool = False
    headline: ScoreName
    min_gain: Percent = 0.0
    compare_data: tuple[str, ...] = ()
    unmeasured: Literal["refuse", "show"] = "refuse"
    gates: tuple[Rule, ...]

    @field_validator("gates", mode="before")
    @classmethod
    def _known(cls, gates: object) -> object:
        """Say it in one line where a gate is of no kind that there is."""
        for place, gate in enumerate(gates if isinstance(gates, list | tuple) else ()):
            if isinstance(gate, Mapping) and (kind := gate.get("gate")) not in KINDS:
                raise ValueError(f"gate {place + 1}: no gate {kind!r}; there are {', '.join(KINDS)}")
        return gates


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
        raise UserError(f"{source}: {validation_reason(error, _written(error))}; mend the entry") from None


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


def _written(error: ValidationError) -> list[str]:
    """The place of an error in the keys that people wrote: Pydantic puts the kind of a gate among them."""
    return [str(part) for part in error.errors()[0]["loc"] if part not in KINDS]
