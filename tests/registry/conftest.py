"""A model directory in miniature and one MLflow store for the whole area: its tables take seconds to make."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import atomic_directory
from d2vlm_pipeline.registry import smoke, versions
from d2vlm_pipeline.registry.keys import KEY_VARIABLE, Keyring, signing_key
from d2vlm_pipeline.tracking import TrackingConfig, ensure_experiment, tracking_client
from registry.moves import answered, pack_lightly
from registry.projects import Project, made_project, three_versions


@pytest.fixture(scope="session")
def key_file(tmp_path_factory) -> Path:
    """A key of the tests' own."""
    path = tmp_path_factory.mktemp("keys") / "signing_key.pem"
    signing_key(Keyring(key_file=path), {})
    return path


@pytest.fixture(autouse=True)
def own_key(key_file, monkeypatch) -> None:
    """What is promoted without naming keys is signed, and trusted, by that one."""
    monkeypatch.setenv(KEY_VARIABLE, str(key_file))


@pytest.fixture(scope="session")
def database(tmp_path_factory) -> Path:
    """An empty store with its tables; copied, not shared, by whoever writes to it."""
    root = tmp_path_factory.mktemp("template")
    config = TrackingConfig(tracking_uri=f"sqlite:///{root}/mlflow.db", artifact_root=str(root / "artifacts"))
    ensure_experiment(tracking_client(config), config.model_copy(update={"experiment": "unused"}))
    return root / "mlflow.db"


@pytest.fixture
def tracking(database, tmp_path) -> TrackingConfig:
    """A store of the test's own."""
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(database.read_bytes())
    return TrackingConfig(
        tracking_uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db",
        artifact_root=str(tmp_path / "mlruns/artifacts"),
    )


@pytest.fixture
def model_dir(tmp_path):
    """Makes sealed directories that differ in their weights."""

    def make(weights: str = "first") -> Path:
        directory = tmp_path / "models" / weights
        with atomic_directory(directory) as inside:
            (inside / "model.safetensors").write_text(weights)
            (inside / "config.json").write_text("{}")
        return directory

    return make


@pytest.fixture
def light_packing(monkeypatch) -> None:
    """Versions without MLflow's part, which takes a second to write and is not what is looked at."""
    monkeypatch.setattr(versions, "pack_model", pack_lightly)


# --- projects ---


@pytest.fixture
def project(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Nothing was promoted yet."""
    made = made_project(tmp_path / "project", database)
    monkeypatch.chdir(made.root)
    monkeypatch.delenv(KEY_VARIABLE)
    return made


@pytest.fixture
def two(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three versions; models answer without being opened."""
    three_versions(project)

    class Opened:
        def __init__(self, directory, ref) -> None:
            self.directory, self.ref = directory, ref

        def answer_batch(self, questions):
            return [answered(self.directory, self.ref, question.question) for question in questions]

    monkeypatch.setattr(smoke, "open_predictor", Opened)
    return project


@pytest.fixture(scope="session")
def shared(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = made_project(tmp_path_factory.mktemp("shared") / "project", database)
    three_versions(made)
    return made


@pytest.fixture
def settled(shared: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The same for tests that move nothing; what they change of the configuration is put back."""
    before = shared.state()
    shutil.copytree(shared.root / "conf", tmp_path / "conf")
    monkeypatch.chdir(shared.root)
    monkeypatch.delenv(KEY_VARIABLE)
    yield shared
    assert shared.state() == before
    shutil.rmtree(shared.root / "conf")
    shutil.copytree(tmp_path / "conf", shared.root / "conf")
