"""A pickle that somebody has put into a model never runs, wherever it lies and whoever loads the model."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from d2vlm_pipeline.artifacts import UserError, atomic_directory
from d2vlm_pipeline.registry.evidence import sign_folder
from d2vlm_pipeline.registry.keys import KEY_VARIABLE, Keyring, signing_key
from d2vlm_pipeline.registry.opening import open_predictor
from d2vlm_pipeline.registry.packing import pack_model
from d2vlm_pipeline.timeline import ModelRef
from d2vlm_pipeline.tracking import harden_mlflow
from registry.answering import answering_model


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.mark,)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("clean")
    pack_model(answering_model(home / "tiny"), home / "model")
    return home


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """Where a bomb leaves its mark; at the end it must not be there."""
    yield tmp_path / "mark"
    assert not (tmp_path / "mark").exists(), "the pickle ran"


@pytest.fixture
def folder(clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A packed model, signed, in a process with the settings of this project."""
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    harden_mlflow()
    shutil.copytree(clean / "model", tmp_path / "model")
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key.pem"))
    sign_folder(tmp_path / "model", signing_key(Keyring(key_file=tmp_path / "key.pem"), {}))
    return tmp_path / "model"


def test_the_bomb_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "name",
    [
        "python_model.pkl",
        "extra.pkl",
        "artifacts/tiny/pytorch_model.bin",
        "artifacts/tiny/model.pt",
        "artifacts/tiny/adapter_model.bin",
    ],
)
def test_a_pickle_more_is_refused(folder: Path, mark: Path, name: str) -> None:
    import mlflow

    (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(UserError, match=f"{name} is not signed"):
        mlflow.pyfunc.load_model(str(folder))


@pytest.mark.parametrize("has_weights", [True, False])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "training_args.bin", "tokenizer.pkl"])
def test_a_pickle_in_a_model_directory_that_is_sealed_anew_does_not_run(
    clean: Path, tmp_path: Path, mark: Path, name: str, has_weights: bool
) -> None:
    """Whoever can write the directory can write its manifest, too."""
    with atomic_directory(tmp_path / "tiny") as inside:
        for file in (clean / "tiny").iterdir():
            if file.name != "MANIFEST.json" and (has_weights or file.suffix != ".safetensors"):
                shutil.copy(file, inside)
        (inside / name).write_bytes(pickle.dumps(Bomb(mark)))
    ref = ModelRef(name="tiny", digest="d" * 64)
    if has_weights:
        open_predictor(tmp_path / "tiny", ref)
    else:
        with pytest.raises(UserError, match="safetensors"):
            open_predictor(tmp_path / "tiny", ref)


@pytest.mark.parametrize("loader", ["mlflow.pyfunc.model", "mlflow.sklearn", "mlflow.pytorch"])
def test_a_description_that_points_at_a_pickle_is_refused(folder: Path, mark: Path, loader: str) -> None:
    """MLflow runs none of our code then: what stands before the pickle is the setting."""
    import mlflow
    from mlflow.exceptions import MlflowException

    described = yaml.safe_load((folder / "MLmodel").read_text())
    flavour = described["flavors"]["python_function"]
    for key in ("model_code_path", "config"):
        del flavour[key]
    flavour |= {"loader_module": loader, "python_model": "python_model.pkl", "cloudpickle_version": "3.0.0"}
    if loader != "mlflow.pyfunc.model":
        flavour["data"] = "python_model.pkl"
    described["flavors"]["sklearn"] = {"pickled_model": "python_model.pkl", "serialization_format": "pickle"}
    described["flavors"]["pytorch"] = {"model_data": "data", "pytorch_version": "2.13.0"}
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    (folder / "python_model.pkl").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(MlflowException, match="MLFLOW_ALLOW_PICKLE_DESERIALIZATION"):
        mlflow.pyfunc.load_model(str(folder))
