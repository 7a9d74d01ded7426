"""A run that renders, encodes and trains, made again in a clean checkout."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from d2vlm_pipeline.artifacts import digest_bytes
from d2vlm_pipeline.cli import main
from d2vlm_pipeline.orchestration.project import tracking_config
from d2vlm_pipeline.tracking.lineage import CONFIGURATION, find_lineage, log_lineage
from faults.runs import copy_project, environment
from orchestration.test_lineage import last_run
from tracking.repositories import committed

ENV = "faults"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, _empty_store: Path) -> Iterator[Path]:
    """A copy of the project in a repository of its own, whose model has been trained once."""
    root = copy_project(tmp_path_factory.mktemp("whole") / "project", _empty_store)
    (root / "src/.gitkeep").touch()
    committed(root)
    command = [sys.executable, "-m", "kedro", "run", "--env", ENV, "--pipelines", "ingestion,features,sft"]
    subprocess.run(command, cwd=root, env=environment(), check=True, capture_output=True)
    yield root


def reproduced(root: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.setenv("OMP_NUM_THREADS", environment()["OMP_NUM_THREADS"])
    return CliRunner().invoke(main, ["reproduce", last_run(root, ENV), "--env", ENV, "--into", str(place)])


@pytest.mark.slow
def test_a_trained_model_is_made_again_to_the_byte(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = reproduced(trained, tmp_path / "checkout", monkeypatch)
    assert result.exit_code == 0, result.output
    assert "made otherwise" not in result.output and " 0 differ" in result.output
    weights = Path("data/faults/06_models/sft/model.safetensors")
    assert (tmp_path / "checkout" / weights).read_bytes() == (trained / weights).read_bytes()
    assert not os.path.samefile(tmp_path / "checkout" / weights, trained / weights)


@pytest.mark.slow
def test_another_seed_in_what_was_recorded_is_found_out(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking, run_id = tracking_config(trained, ENV), last_run(trained, ENV)
    client = MlflowClient(tracking_uri=tracking.tracking_uri)
    recorded = yaml.safe_load(Path(client.download_artifacts(run_id, CONFIGURATION)).read_text())
    recorded["parameters"]["sft"]["seed"] = 5
    client.log_text(run_id, yaml.safe_dump(recorded), CONFIGURATION)
    lineage = find_lineage(tracking, run_id)
    assert lineage is not None
    digest = digest_bytes(yaml.safe_dump(recorded).encode())
    log_lineage(tracking, run_id, lineage.model_copy(update={"configuration": digest}))
    result = reproduced(trained, tmp_path / "checkout", monkeypatch)
    assert result.exit_code == 1, result.output
    assert "differs: first sft_curves, made by sft.train" in result.output
    assert "score sft/loss: " in result.output
