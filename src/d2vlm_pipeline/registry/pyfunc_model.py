"""The registered model as MLflow runs it: this file is its code, its weights are safetensors, no pickle.

MLflow copies this file beside the weights and executes the copy. One row in, one Prediction out as JSON,
through the same Predictor that evaluation, command line and HTTP API use.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from d2vlm_pipeline.timeline import ModelRef, Question

if TYPE_CHECKING:
    from d2vlm_pipeline.evaluation.predictor import Predictor


class GroundedAnswers(PythonModel):
    """Answers questions about videos; the model directory is opened and checked at the first question."""

    def load_context(self, context: PythonModelContext) -> None:
        """Remember where the model directory lies."""
        self._directory = Path(context.artifacts["model"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[str]:
        """Prediction JSON of each row.

        Columns: `video` (path), `question`, and optionally `query_intervals` (JSON list of [start_s, end_s],
        for the `<evi>` of the question) and `options` (JSON list of texts).
        """
        questions = [_question(row) for row in model_input.to_dict(orient="records")]
        return [prediction.model_dump_json() for prediction in self._predictor.answer_batch(questions)]

    @cached_property
    def _predictor(self) -> "Predictor":
        from d2vlm_pipeline.registry.opening import open_predictor
        from d2vlm_pipeline.registry.versions import model_digest

        ref = ModelRef(name="d2vlm", digest=model_digest(self._directory))
        return open_predictor(self._directory, ref)


def _question(row: dict[Any, Any]) -> Question:
    return Question(
        video=row["video"],
        question=row["question"],
        query_intervals=_json_or(row.get("query_intervals"), ()),
        options=_json_or(row.get("options"), None),
    )


def _json_or(cell: object, default: object) -> Any:
    """A JSON cell; `default` where the column is missing or the cell empty (in pandas None or NaN)."""
    return json.loads(cell) if isinstance(cell, str) and cell else default


set_model(GroundedAnswers())
