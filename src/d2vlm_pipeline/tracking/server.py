"""A server that a run is to be tracked by: asked once, before MLflow would try for minutes."""

from __future__ import annotations

from http import HTTPStatus

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking.redact import redacted_text

_ASK = "/api/2.0/mlflow/experiments/search"
_LONGEST_S = 20
_REFUSALS = {
    HTTPStatus.UNAUTHORIZED: "asks who you are; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    HTTPStatus.FORBIDDEN: "does not let you in; ask its administrator, or call it by a name that it allows",
}


def require_server(uri: str) -> None:
    """See that a server answers, and to whoever the environment says one is.

    Raises:
        UserError: it does not answer, or refuses.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    where = redacted_text(uri)
    try:
        answer = http_request(
            get_default_host_creds(uri),
            _ASK,
            "GET",
            max_retries=0,
            timeout=_LONGEST_S,
            raise_on_status=False,
            params={"max_results": 1},
        )
    except MlflowException:
        raise UserError(f"{where}: does not answer; start it, or mend its address in mlflow.yml") from None
    if answer.status_code in _REFUSALS:
        raise UserError(f"{where}: {_REFUSALS[HTTPStatus(answer.status_code)]}")
