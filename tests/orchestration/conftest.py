"""A project in miniature, run in this process."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.runner import AbstractRunner

ROOT = Path(__file__).parents[2]
PACKAGE = "orchestration.tiny"

CATALOG = """
points:
  type: d2vlm_pipeline.orchestration.JsonLinesDataset
  filepath: ${globals:data_root}/03_primary/points.jsonl
  records: orchestration.things.Point
  metadata: {made_by: ingestion}

"{system}_model":
  type: d2vlm_pipeline.orchestration.DirectoryDataset
  filepath: ${globals:data_root}/06_models/{system}
  save: orchestration.things.save_lines
  load: orchestration.things.load_lines
  metadata: {made_by: "{system}", announce: "model {system}"}

metrics:
  type: d2vlm_pipeline.orchestration.AtomicDataset
  filepath: ${globals:data_root}/08_reporting/metrics.json
  dataset: {type: json.JSONDataset}
  metadata: {made_by: evaluation, announce: scores}

promotion_decision:
  type: d2vlm_pipeline.orchestration.AtomicDataset
  filepath: ${globals:data_root}/08_reporting/promotion.json
  dataset: {type: json.JSONDataset}
  metadata: {made_by: promotion}
"""
PARAMETERS = """
points: {count: 3}
sft:
  steps: 10
  optimiser: {rate: 0.5}
"""


def project_files(root: Path, empty_store: Path) -> None:
    """The project in miniature without its code."""
    files = {
        "pyproject.toml": f'[tool.kedro]\npackage_name = "{PACKAGE}"\nproject_name = "tiny"\n'
        'kedro_init_version = "1.7.0"\n',
        "conf/base/catalog.yml": CATALOG,
        "conf/base/parameters.yml": PARAMETERS,
        "conf/smoke/parameters_sft.yml": "sft: {steps: 2}\n",
        "conf/local/.gitkeep": "",
        "src/.gitkeep": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("base/globals.yml", "base/mlflow.yml", "smoke/globals.yml"):
        shutil.copy(ROOT / "conf" / name, root / "conf" / name)
    for folder in ("mlruns", "mlruns/smoke"):
        (root / folder).mkdir()
        shutil.copy(empty_store, root / folder / "mlflow.db")


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables made, which takes seconds: copied into every project."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _empty_store: Path) -> Iterator[Path]:
    """Folder of the project in miniature; the working directory of the test."""
    project_files(tmp_path, _empty_store)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KEDRO_ENV", raising=False)
    configure_project(PACKAGE)
    yield tmp_path
    configure_project("d2vlm_pipeline")


@pytest.fixture
def run_session(project: Path) -> Callable[..., Any]:
    """`kedro run` without the command line."""

    def run(
        *pipelines: str,
        env: str | None = None,
        runner: AbstractRunner | None = None,
        params: dict[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        with KedroSession.create(project_path=project, env=env, runtime_params=params) as session:
            return session.run(pipeline_names=list(pipelines) or None, runner=runner, **options)

    return run


@pytest.fixture
def kedro_run(project: Path) -> Callable[..., Result]:
    """The project's `kedro run`, with its command line."""
    from d2vlm_pipeline.orchestration.run_command import run

    return lambda *arguments: CliRunner().invoke(run, list(arguments))
