"""The registered model as MLflow runs it: this file is its code, its weights are safetensors, no pickle.

MLflow copies this file beside the weights and executes the copy. One row in, one Prediction out, through the
same Predictor that evaluation, command line and HTTP API use.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry.door import VIDEOS, Door, DoorConfig
from d2vlm_pipeline.registry.served import check_folder
from d2vlm_pipeline.timeline import ModelRef

if TYPE_CHECKING:
    from d2vlm_pipeline.evaluation.predictor import Predictor


class GroundedAnswers(PythonModel):
    """Answers questions about videos; files are checked at loading, weights read at the first question."""

    def load_context(self, context: PythonModelContext) -> None:
        """Check the signature of the model's folder, and every file against it.

        Raises:
            UserError: nobody trusted signed it, or a file is missing, changed or one too many.
        """
        self._directory = Path(context.artifacts["model"])
        self._config = DoorConfig.model_validate(context.model_config or {})
        self._digest = check_folder(self._directory.parents[1])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The Prediction of each row; its columns are those of `Door.answer`.

        Raises:
            MlflowException: a row is malformed or its video is refused; a server answers with status 400.
        """
        try:
            predictions = self._door.answer(model_input.to_dict(orient="records"))
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        return [prediction.model_dump(mode="json") for prediction in predictions]

    @cached_property
    def _door(self) -> Door:
        videos = os.environ.get(VIDEOS)
        return Door(self._predictor(), self._config, Path(videos) if videos else None)

    def _predictor(self) -> "Predictor":
        from d2vlm_pipeline.registry.opening import open_predictor

        ref = ModelRef(name="d2vlm", digest=self._digest)
        return open_predictor(self._directory, ref, self._config.limits)


set_model(GroundedAnswers())
