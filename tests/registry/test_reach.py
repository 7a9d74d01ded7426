"""What a store that refuses is said to have said: one line, with the mend."""

import pytest
from mlflow.exceptions import MlflowException, RestException
from sqlalchemy.exc import OperationalError

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry.reach import store_told
from d2vlm_pipeline.tracking import TrackingConfig

TEAM = TrackingConfig(
    tracking_uri="https://me:secret@mlflow.example:5000", artifact_root="unused", state_dir="."
)
CALLED = "API request to endpoint /api/2.0/mlflow/registered-models/get"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            MlflowException(f"{CALLED} failed with error code 401 != 200. Response body: 'You are not …'"),
            "asks who you are; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        ),
        (
            RestException({"error_code": "PERMISSION_DENIED", "message": "Permission denied"}),
            "does not let you do this; ask for the permission",
        ),
        (
            MlflowException(f"{CALLED} failed with exception HTTPConnectionPool(…)"),
            "does not answer; start it",
        ),
        (
            MlflowException(f"{CALLED} failed with error code 502 != 200."),
            "has failed itself; see what its log",
        ),
        (
            OperationalError("SELECT 1", {}, Exception("database is locked")),
            "is held locked by another process",
        ),
        (ConnectionRefusedError(111, "Connection refused"), "does not answer; start it"),
    ],
)
def test_what_went_wrong_is_one_line_without_the_password(error, said):
    with pytest.raises(UserError) as told, store_told(TEAM):
        raise error
    line = str(told.value)
    assert line.startswith(f"registry https://me:***@mlflow.example:5000: {said}") and "\n" not in line


@pytest.mark.parametrize(
    "error", [MlflowException("Invalid model name"), OSError(28, "No space left on device")]
)
def test_anything_else_is_not_covered_up(error):
    with pytest.raises(type(error)) as told, store_told(TEAM):
        raise error
    assert told.value is error
