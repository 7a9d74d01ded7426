"""A suite as it lies in `great_expectations/`: the JSON of Great Expectations, with what a message needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, field_validator

from d2vlm_pipeline.artifacts import (
    StrictModel,
    UserError,
    collector_paused,
    digest_json,
    validation_reason,
)
from d2vlm_pipeline.orchestration.imports import import_object

if TYPE_CHECKING:
    import pandas as pd


class ExpectationMeta(StrictModel):
    """Beside an expectation: what to do where it fails."""

    mend: str = Field(min_length=1)


class ExpectationEntry(StrictModel):
    """One expectation: its snake-case name and arguments as Great Expectations knows them.

    `critical` refuses the data, `warning` is counted and shown.
    """

    type: str = Field(pattern=r"^expect_[a-z0-9_]+$")
    kwargs: dict[str, Any]
    severity: Literal["critical", "warning"] = "critical"
    meta: ExpectationMeta


class SuiteMeta(StrictModel):
    """Beside a suite: the function that makes its table of the records, and the columns that name a row."""

    table: str
    rows: tuple[str, ...]

    @field_validator("table")
    @classmethod
    def _importable(cls, table: str) -> str:
        try:
            import_object(table)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"no function of this name ({error})") from None
        return table


class Suite(StrictModel):
    """A suite and the records it is about."""

    name: str = Field(min_length=1)
    meta: SuiteMeta
    expectations: tuple[ExpectationEntry, ...] = Field(min_length=1)

    @property
    def digest(self) -> str:
        """Identity of what is asked."""
        return digest_json(self)

    def table_of(self, records: Any) -> pd.DataFrame:
        """The records as the table that the expectations speak of."""
        make_table: Callable[[Any], pd.DataFrame] = import_object(self.meta.table)
        with collector_paused():
            return make_table(records)


def read_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        UserError: it is missing or malformed; the message names file, key and mend.
    """
    try:
        return Suite.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such suite; restore it, or correct `suite` in the catalog") from None
    except ValidationError as error:
        raise UserError(f"{path}: {validation_reason(error)}; correct the suite") from None
