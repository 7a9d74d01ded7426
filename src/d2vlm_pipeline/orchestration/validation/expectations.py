"""The rules of `rules.py` as expectations that a suite can name and Data Docs can show.

Great Expectations is imported here at the top, because its classes are subclassed: nothing but `engine.py`
imports this module, and only when a guard runs.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from typing import Any, Literal

import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import MulticolumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    MulticolumnMapMetricProvider,
    multicolumn_condition_partial,
)

from d2vlm_pipeline.orchestration.validation import rules


class _Rule(MulticolumnMapExpectation, ABC):
    """Rows count whatever is missing in them: what to make of a missing value is part of a rule."""

    ignore_row_if: Literal["all_values_are_missing", "any_value_is_missing", "never"] = "never"


def _metric(rule: Callable[..., pd.Series], *arguments: str) -> str:
    """Make a rule, with the arguments that an expectation gives it, known to Great Expectations: its name."""

    class _Metric(MulticolumnMapMetricProvider):
        condition_metric_name = f"multicolumn_values.{rule.__name__}"
        condition_value_keys = arguments

        @multicolumn_condition_partial(engine=PandasExecutionEngine)
        def _pandas(cls, column_list: pd.DataFrame, **given: Any) -> pd.Series:
            return rule(column_list, **{name: given[name] for name in arguments})

    return _Metric.condition_metric_name


class ExpectEvidenceInOrder(_Rule):
    """Events follow one another in time, in the tasks whose answer lists them in that order."""

    map_metric = _metric(rules.evidence_in_order, "tasks")
    success_keys = ("tasks", "mostly")
    tasks: tuple[str, ...] = rules.ORDERED_TASKS


class ExpectFootageInOneSplit(_Rule):
    """No video, by name or by content, stands in two splits."""

    map_metric = _metric(rules.in_one_split)


class ExpectIntervalsInsideVideo(_Rule):
    """Every event and every query interval lies within its video."""

    map_metric = _metric(rules.inside_video, "tolerance_s")
    success_keys = ("tolerance_s", "mostly")
    tolerance_s: float = rules.TOLERANCE_S


class ExpectNoNearDuplicateAcrossSplits(_Rule):
    """No footage looks like footage of another split."""

    map_metric = _metric(rules.without_twin)


class ExpectChosenToDifferFromRejected(_Rule):
    """The two sides of a pair are not the same to a reader."""

    map_metric = _metric(rules.sides_differ)


class ExpectFactorLabelToMatchEdit(_Rule):
    """A pair is wrong in exactly the factors that it records: the checker finds no fault."""

    map_metric = _metric(rules.label_matches_edit)


class ExpectFactsOfAcceptedVideos(_Rule):
    """An accepted video has its facts and no reason, a refused one a reason."""

    map_metric = _metric(rules.known_where_accepted)
