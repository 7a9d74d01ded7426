"""The rules of `rules.py` as expectations that a suite can name and Data Docs can show.

Great Expectations is imported here at the top, because its classes are subclassed: nothing but `engine.py`
imports this module, and only when a guard runs.
"""

from __future__ import annotations

from abc import ABC
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


class _EvidenceInOrder(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.evidence_in_order"
    condition_value_keys = ("tasks",)

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, tasks: list[str], **_: Any) -> pd.Series:
        return rules.evidence_in_order(column_list, tasks)


class ExpectEvidenceInOrder(_Rule):
    """Events follow one another in time, in the tasks whose answer lists them in that order."""

    map_metric = _EvidenceInOrder.condition_metric_name
    success_keys = ("tasks", "mostly")
    tasks: tuple[str, ...] = rules.ORDERED_TASKS


class _InOneSplit(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.in_one_split"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: Any) -> pd.Series:
        return rules.in_one_split(column_list)


class ExpectFootageInOneSplit(_Rule):
    """No video, by name or by content, stands in two splits."""

    map_metric = _InOneSplit.condition_metric_name


class _InsideVideo(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.inside_video"
    condition_value_keys = ("tolerance_s",)

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, tolerance_s: float, **_: Any) -> pd.Series:
        return rules.inside_video(column_list, tolerance_s)


class ExpectIntervalsInsideVideo(_Rule):
    """Every event and every query interval lies within its video."""

    map_metric = _InsideVideo.condition_metric_name
    success_keys = ("tolerance_s", "mostly")
    tolerance_s: float = rules.TOLERANCE_S


class _WithoutTwin(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.without_twin"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: Any) -> pd.Series:
        return rules.without_twin(column_list)


class ExpectNoNearDuplicateAcrossSplits(_Rule):
    """No footage looks like footage of another split."""

    map_metric = _WithoutTwin.condition_metric_name


class _SidesDiffer(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.sides_differ"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: Any) -> pd.Series:
        return rules.sides_differ(column_list)


class ExpectChosenToDifferFromRejected(_Rule):
    """The two sides of a pair are not the same to a reader."""

    map_metric = _SidesDiffer.condition_metric_name


class _LabelMatchesEdit(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.label_matches_edit"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: Any) -> pd.Series:
        return rules.label_matches_edit(column_list)


class ExpectFactorLabelToMatchEdit(_Rule):
    """A pair is wrong in exactly the factors that it records: the checker finds no fault."""

    map_metric = _LabelMatchesEdit.condition_metric_name


class _KnownWhereAccepted(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.known_where_accepted"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: Any) -> pd.Series:
        return rules.known_where_accepted(column_list)


class ExpectFactsOfAcceptedVideos(_Rule):
    """An accepted video has its facts and no reason, a refused one a reason."""

    map_metric = _KnownWhereAccepted.condition_metric_name
