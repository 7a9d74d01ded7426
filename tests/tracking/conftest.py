"""A store to log to."""

import pytest

from d2vlm_pipeline.tracking import TrackingConfig, ensure_experiment, tracking_client


@pytest.fixture(scope="session")
def tracking(tmp_path_factory) -> TrackingConfig:
    """One store for the session: its tables take seconds to make."""
    root = tmp_path_factory.mktemp("mlruns")
    return TrackingConfig(
        tracking_uri=f"sqlite:///{root}/below/mlflow.db", artifact_root=str(root / "artifacts")
    )


@pytest.fixture
def run_id(tracking) -> str:
    client = tracking_client(tracking)
    return client.create_run(ensure_experiment(client, tracking)).info.run_id
