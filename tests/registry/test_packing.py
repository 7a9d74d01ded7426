"""The registered model as MLflow runs it: code, signature, example, requirements, and no pickle."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry.evidence import sign_folder
from d2vlm_pipeline.registry.example import example_clip, example_row
from d2vlm_pipeline.registry.keys import TRUST_VARIABLE, Keyring, signing_key
from d2vlm_pipeline.registry.packing import pack_model
from d2vlm_pipeline.timeline import Prediction
from registry.answering import answering_model, one_thread


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("packed")
    pack_model(answering_model(home / "tiny"), home / "model")
    key = signing_key(Keyring(key_file=home / "key.pem"), {})
    sign_folder(home / "model", key)
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setenv(TRUST_VARIABLE, key.public)
        yield home / "model"


@pytest.fixture(scope="module")
def model(packed: Path) -> Any:
    import mlflow

    return mlflow.pyfunc.load_model(str(packed))


def test_its_own_example_is_answered(model: Any) -> None:
    (answer,) = model.predict(model.input_example)
    said = Prediction.model_validate(answer)
    assert said.video.startswith("sha256:") and said.question == example_row()["question"]


def test_the_example_names_no_file_and_holds_the_clip(packed: Path) -> None:
    served = json.loads((packed / "serving_input_example.json").read_text())["dataframe_split"]
    assert served["columns"] == ["video_bytes", "question"]
    assert base64.b64decode(served["data"][0][0]) == example_clip()


def test_rows_may_name_files_and_whole_numbers(model: Any, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(example_clip())
    asked = {"video": str(clip), "question": "What happens in <evi>?", "query_intervals": [[1, 3]]}
    chosen = {"video": str(clip), "question": "Which?", "options": ["red", "blue"]}
    first, second = model.predict(pd.DataFrame([asked, chosen]))
    assert first["question"] == asked["question"] and second["answer"].startswith(("(A)", "(B)"))


def test_a_bad_row_is_the_asker_s_mistake(model: Any) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="row 1: video_bytes: no video container") as refused:
        model.predict(pd.DataFrame([{"video_bytes": b"no video at all", "question": "When?"}]))
    assert refused.value.get_http_status_code() == 400


def test_the_signature_says_what_goes_in_and_what_comes_out(model: Any) -> None:
    inputs = {column.name: column.required for column in model.metadata.signature.inputs}
    optional = dict.fromkeys(("video", "video_bytes", "query_intervals", "options"), False)
    assert inputs == {**optional, "question": True}
    assert model.metadata.signature.outputs.input_names() == list(Prediction.model_fields)


def test_no_weight_is_read_before_the_first_question(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    from d2vlm_pipeline.registry import opening

    opened: list[Path] = []
    monkeypatch.setattr(opening, "open_predictor", lambda directory, *_: opened.append(directory))
    mlflow.pyfunc.load_model(str(packed))
    assert opened == []


def test_it_is_code_beside_safetensors(packed: Path, model: Any) -> None:
    flavour = model.metadata.flavors["python_function"]
    assert flavour["loader_module"] == "mlflow.pyfunc.loaders.code_model"
    assert flavour["config"]["video_mb"] == 64
    endings = {path.suffix for path in packed.rglob("*") if path.is_file()}
    assert endings <= {".safetensors", ".json", ".py", ".txt", ".yaml", ".yml", "", ".jinja"}


@pytest.mark.parametrize("name", ["artifacts/tiny/model.safetensors", "requirements.txt", "python_env.yaml"])
def test_one_changed_byte_is_refused_at_loading(packed: Path, name: str) -> None:
    import mlflow

    kept = (packed / name).read_bytes()
    (packed / name).write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        with pytest.raises(UserError, match=f"{name} is changed"):
            mlflow.pyfunc.load_model(str(packed))
    finally:
        (packed / name).write_bytes(kept)


def test_a_key_that_nobody_trusts_is_refused_at_loading(
    packed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import mlflow

    monkeypatch.delenv(TRUST_VARIABLE)
    monkeypatch.chdir(tmp_path)  # outside any project
    with pytest.raises(UserError, match=rf"foreign key \w{{16}}; .* {TRUST_VARIABLE}"):
        mlflow.pyfunc.load_model(str(packed))


def test_loading_leaves_the_folder_as_it_was(packed: Path) -> None:
    import mlflow

    before = sorted(packed.rglob("*"))
    for _ in range(2):
        mlflow.pyfunc.load_model(str(packed))
    assert sorted(packed.rglob("*")) == before


def test_requirements_are_pinned_and_name_no_local_build(packed: Path) -> None:
    lines = (packed / "requirements.txt").read_text().split()
    assert all("==" in line and "+" not in line for line in lines)
    assert {"torch", "mlflow", "d2vlm-pipeline"} <= {line.partition("==")[0] for line in lines}
