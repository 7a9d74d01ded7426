"""What has to be set before Kedro's plugins are imported; Kedro calls `prepare` through an entry point."""

import logging
import os
import warnings


def prepare() -> None:
    """Keep runs private, safe and quiet. Calling it again changes nothing."""
    # Nothing about a run leaves the machine.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # MLflow unpickles models by default; nothing here is a pickle, so whatever asks for it is not ours.
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    # conf/logging.yml says what is logged and how, for MLflow too.
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    # Two warnings before every run that no user can act on. Kedro 1.7 calls what OmegaConf 2.4 has renamed;
    # and kedro-mlflow defines a model class, on which MLflow comments inside a block of filters of its own.
    warnings.filterwarnings("ignore", message="register_new_resolver", category=UserWarning)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addFilter(_is_for_users)


def _is_for_users(record: logging.LogRecord) -> bool:
    return "Add type hints to the `predict` method" not in record.getMessage()
