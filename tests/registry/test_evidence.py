"""What is signed cannot change by one byte, lose a file or gain one."""

import base64
import json
from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import UserError, atomic_directory, digest_json, read_manifest
from d2vlm_pipeline.registry.evidence import (
    SIGNATURE_NAME,
    Signature,
    check,
    sign,
    sign_folder,
    verify_folder,
)
from d2vlm_pipeline.registry.keys import Keyring, SigningKey, signing_key

FILES = {
    "MLmodel": "flavors: {}\n",
    "pyfunc_model.py": "answer = 1\n",
    "requirements.txt": "",
    "artifacts/fpo/model.safetensors": "weights",
    "artifacts/fpo/config.json": "{}",
}


@pytest.fixture
def key(tmp_path) -> SigningKey:
    return signing_key(Keyring(key_file=tmp_path / "keys" / "own.pem"), {})


@pytest.fixture
def foreign(tmp_path) -> SigningKey:
    return signing_key(Keyring(key_file=tmp_path / "keys" / "foreign.pem"), {})


@pytest.fixture
def folder(tmp_path, key) -> Path:
    """A signed MLflow model folder with a sealed model directory in it."""
    home = tmp_path / "model"
    with atomic_directory(home / "artifacts/fpo") as sealed:
        for name in ("model.safetensors", "config.json"):
            (sealed / name).write_text(FILES[f"artifacts/fpo/{name}"])
    for name, text in FILES.items():
        (home / name).write_text(text)
    sign_folder(home, key)
    return home


def test_a_record_is_what_was_signed_or_is_refused(key, foreign):
    record = {"scores": [1.5, None], "name": "d2vlm"}
    signature = sign(record, key)
    check(record, signature, {key.public})
    with pytest.raises(UserError, match=r"version 3: changed after key \w{16} had signed it"):
        check({**record, "name": "d2vln"}, signature, {key.public}, "version 3")
    with pytest.raises(UserError, match="signed by the foreign key") as error:
        check(record, signature, {foreign.public}, "version 3")
    assert key.public in str(error.value) and "registry.trusted_keys" in str(error.value)


def test_a_signature_under_a_trusted_name_by_another_key_is_refused(key, foreign):
    forged = sign({}, foreign).model_copy(update={"key": key.public})
    with pytest.raises(UserError, match="changed after"):
        check({}, forged, {key.public})
    with pytest.raises(UserError, match="changed after"):
        check({}, Signature(key=key.public, value="no base64"), {key.public})


def test_a_signed_folder_is_as_it_was(folder, key):
    signed = verify_folder(folder, {key.public})
    assert set(signed.files) == {*FILES, "artifacts/fpo/MANIFEST.json"}
    assert signed.digest == digest_json(read_manifest(folder / "artifacts/fpo"))
    (folder / "registered_model_meta").write_text("model_name: d2vlm")  # as MLflow does
    assert verify_folder(folder, {key.public}) == signed


@pytest.mark.parametrize("name", [*FILES, "artifacts/fpo/MANIFEST.json", SIGNATURE_NAME])
def test_one_changed_byte_of_any_file_is_refused(folder, key, name):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-1] + b" ")
    if data:
        with pytest.raises(UserError, match=name):
            verify_folder(folder, {key.public})
    (folder / name).write_bytes(data + b" ")
    with pytest.raises(UserError, match=name) as error:
        verify_folder(folder, {key.public}, "d2vlm version 3")
    assert str(error.value).startswith("d2vlm version 3: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("name", [*FILES, SIGNATURE_NAME])
def test_a_missing_file_is_refused(folder, key, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"{name}.* is missing"):
        verify_folder(folder, {key.public})


@pytest.mark.parametrize("name", ["python_model.pkl", "artifacts/fpo/pytorch_model.bin", "code/extra.py"])
def test_a_file_more_is_refused(folder, key, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    with pytest.raises(UserError, match=rf"{name} is not signed"):
        verify_folder(folder, {key.public})


def test_a_link_is_refused(folder, key, tmp_path):
    (tmp_path / "other").write_text("weights")
    (folder / "artifacts/fpo/model.safetensors").unlink()
    (folder / "artifacts/fpo/model.safetensors").symlink_to(tmp_path / "other")
    with pytest.raises(UserError, match="links and special files"):
        verify_folder(folder, {key.public})


def test_a_folder_signed_by_somebody_else_is_refused(folder, foreign):
    with pytest.raises(UserError, match="signed by the foreign key"):
        verify_folder(folder, {foreign.public})


def test_a_list_of_files_that_was_brought_up_to_date_is_refused(folder, key):
    path = folder / SIGNATURE_NAME
    record = json.loads(path.read_text())
    record["files"].pop("requirements.txt")
    (folder / "requirements.txt").unlink()
    path.write_text(json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n")
    with pytest.raises(UserError, match="changed after"):
        verify_folder(folder, {key.public})


def test_a_signature_that_is_no_signature_is_named(folder, key):
    path = folder / SIGNATURE_NAME
    record = json.loads(path.read_text())
    record["signature"]["key"] = "ed25519:" + base64.b64encode(b"short").decode()
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"signature\.json: signature\.key: a public key is"):
        verify_folder(folder, {key.public})


def test_signing_again_covers_what_is_there_now(folder, key, foreign):
    (folder / "MLmodel").write_text("flavors: {python_function: {}}\n")
    again = sign_folder(folder, foreign)
    assert verify_folder(folder, {foreign.public}) == again
